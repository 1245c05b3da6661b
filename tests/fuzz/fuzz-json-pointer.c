/* SPDX-License-Identifier: Apache-2.0 */
#include "json/pointer.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A pointer, a line break, a document. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);
	size_t n = end ? (size_t) (end - data) : len, rest = end ? len - n - 1 : 0;
	tg_autofree char *pointer = malloc(n + 1), *text = malloc(rest + 1);
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	struct tg_json_value v;
	struct tg_fault why = { 0 };
	int r;

	if (!pointer || !text)
		return 0;
	/* Exactly as long as they are, so that reading beyond is seen. */
	pointer = realloc(pointer, n ? n : 1);
	text = realloc(text, rest ? rest : 1);
	assert(pointer && text);
	if (n)
		memcpy(pointer, data, n);
	if (rest)
		memcpy(text, end + 1, rest);
	r = tg_json_document(text, rest, 4096, &doc, &why);
	assert(r == 0 || (doc == NULL && why.text[0]));
	if (r < 0)
		return 0;
	r = tg_json_pointer(doc, pointer, n, &v);
	assert(r == 0 || r == -ENOENT);
	assert(r < 0 || v.kind != TG_JSON_REAL || isfinite(v.real));
	assert(r < 0 || v.kind != TG_JSON_TEXT || v.text[v.len] == '\0');
	return 0;
}
