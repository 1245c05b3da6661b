/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_intake.h"
#include "provisioning/net/http_origin.h"

#include <stdlib.h>
#include <string.h>

#define SECRET "s3cret"

/* Shown text is printable and does not have the secret. */
static void check(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			abort();
	if (strstr(text, SECRET))
		abort();
}

static void try_url(const uint8_t *data, size_t size)
{
	struct tg_http_origin o;
	char *text = strndup((const char *) data, size);
	char *proxy = NULL;

	if (text && tg_http_origin_parse(text, &o, NULL) == 0 && (!*o.host || !*o.port))
		abort();
	if (text && tg_http_proxy_parse(text, &proxy, NULL) == 0)
		free(proxy);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Header lines up to an empty one, then a body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tg_http_intake in;
	struct tg_http_answer a = { 0 };
	bool header = true;

	try_url(data, size);
	tg_http_intake_init(&in, 8192);
	in.trusted = true;
	in.secrets[0] = SECRET;
	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t len = end ? (size_t) (end - data) + 1 : size;
		int r = header ? tg_http_intake_header(&in, (const char *) data, len)
			       : tg_http_intake_body(&in, data, len);

		if (r < 0)
			break;
		header = header && (len > 2 || in.in_headers);
		data += len;
		size -= len;
	}
	if (!in.error) {
		in.answer.status = 400;
		if (tg_http_intake_take(&in, &a) == 0) {
			check(a.content_type);
			check(a.location);
			check(a.retry_after);
			check(a.words);
		}
		tg_http_answer_done(&a);
	}
	tg_http_intake_done(&in);
	return 0;
}
