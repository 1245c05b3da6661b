/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/net/http.h"

/* Name and password for a server that asks, and what must not be seen of them. */
#define TG_HTTP_LOGIN_MAX 1024 /* bytes of each */

struct tg_http_login {
	char *username; /* NULL: none */
	char *password;
	char *basic; /* what Basic authentication makes of both */
};

/* Copies those of @o, if it has any: 0, -EINVAL (too long) or -ENOMEM. */
int tg_http_login_init(struct tg_http_login *l, const struct tg_http_options *o,
		       struct tg_fault *reterr) TG_CHECKED;
/* Clears before it frees. Also of a zeroed one. */
void tg_http_login_done(struct tg_http_login *l);
