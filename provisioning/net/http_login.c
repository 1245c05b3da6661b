/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_login.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

static int make_basic(struct tg_http_login *l, size_t user_len, size_t password_len)
{
	unsigned char plain[2 * TG_HTTP_LOGIN_MAX + 1];
	size_t len = user_len + 1 + password_len;

	l->basic = calloc(1, len / 3 * 4 + 5);
	if (!l->basic)
		return -ENOMEM;
	memcpy(plain, l->username, user_len);
	plain[user_len] = ':';
	memcpy(plain + user_len + 1, l->password, password_len);
	(void) EVP_EncodeBlock((unsigned char *) l->basic, plain, (int) len);
	explicit_bzero(plain, sizeof(plain));
	return 0;
}

int tg_http_login_init(struct tg_http_login *l, const struct tg_http_options *o,
		       struct tg_fault *reterr)
{
	const char *password = o->password ? o->password : "";
	size_t user_len, password_len;

	if (!o->username)
		return 0;
	user_len = strnlen(o->username, TG_HTTP_LOGIN_MAX + 1);
	password_len = strnlen(password, TG_HTTP_LOGIN_MAX + 1);
	if (user_len > TG_HTTP_LOGIN_MAX || password_len > TG_HTTP_LOGIN_MAX)
		return tg_fault_set(reterr, -EINVAL, "name or password longer than %d bytes",
				    TG_HTTP_LOGIN_MAX);
	l->username = strdup(o->username);
	l->password = strdup(password);
	if (!l->username || !l->password || make_basic(l, user_len, password_len) < 0)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	return 0;
}

static void clear(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void tg_http_login_done(struct tg_http_login *l)
{
	clear(l->username);
	clear(l->password);
	clear(l->basic);
	*l = (struct tg_http_login){ 0 };
}
