/* SPDX-License-Identifier: Apache-2.0 */
#include "json/pointer.h"

#include "json/memory.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define TOKEN_MAX 256 /* bytes of a member's name that can be asked for */
#define INDEX_MAX 9   /* digits: more elements do not fit into any document */

int tg_json_document(const char *text, size_t len, size_t max, struct json_t **ret,
		     struct tg_fault *reterr)
{
	const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	int r;

	if (len > max)
		return tg_fault_set(reterr, -EFBIG, "longer than %zu bytes", max);
	r = tg_json_load(text, len, flags, ret, reterr);
	if (r == -ERANGE)
		r = tg_json_load(text, len, flags | JSON_DECODE_INT_AS_REAL, ret, reterr);
	return r == -ERANGE ? tg_fault_set(reterr, -EBADMSG, "not JSON: a number is too large") : r;
}

/* The reference token at @s with its escapes undone. Returns its length, or -1 when it is none or too long. */
static int unescape(const char *s, size_t len, char out[static TOKEN_MAX + 1])
{
	int n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (n == TOKEN_MAX)
			return -1;
		if (c == '~') {
			i++;
			if (i == len || (s[i] != '0' && s[i] != '1'))
				return -1;
			c = s[i] == '0' ? '~' : '/';
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return n;
}

/* RFC 6901 section 4: digits without leading zeros; "-" is the element behind the last, which is not there. */
static const json_t *element(const json_t *array, const char *token, int len)
{
	size_t index = 0;

	if (len < 1 || len > INDEX_MAX || (token[0] == '0' && len > 1))
		return NULL;
	for (int i = 0; i < len; i++) {
		if (token[i] < '0' || token[i] > '9')
			return NULL;
		index = 10 * index + (size_t) (token[i] - '0');
	}
	return json_array_get(array, index);
}

static const json_t *step(const json_t *at, const char *s, size_t len)
{
	char token[TOKEN_MAX + 1];
	int n = unescape(s, len, token);

	if (n < 0)
		return NULL;
	if (json_is_array(at))
		return element(at, token, n);
	/* A name with a NUL in it is none that the parser lets pass. */
	return memchr(token, '\0', (size_t) n) ? NULL : json_object_get(at, token);
}

static struct tg_json_value value_of(const json_t *at)
{
	struct tg_json_value v = { .kind = TG_JSON_NULL };

	switch (json_typeof(at)) {
	case JSON_OBJECT:
		v.kind = TG_JSON_OBJECT;
		break;
	case JSON_ARRAY:
		v.kind = TG_JSON_ARRAY;
		break;
	case JSON_STRING:
		v.kind = TG_JSON_TEXT;
		v.text = json_string_value(at);
		v.len = json_string_length(at);
		break;
	case JSON_INTEGER:
		v.kind = TG_JSON_INT;
		v.i = json_integer_value(at);
		break;
	case JSON_REAL:
		v.kind = TG_JSON_REAL;
		v.real = json_real_value(at);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		v.kind = TG_JSON_BOOL;
		v.b = json_is_true(at);
		break;
	case JSON_NULL:
		break;
	}
	return v;
}

int tg_json_pointer(const struct json_t *doc, const char *pointer, size_t len,
		    struct tg_json_value *ret)
{
	const json_t *at = doc;

	while (at && len) {
		const char *end;
		size_t n;

		if (*pointer != '/')
			return -ENOENT;
		pointer++;
		len--;
		end = memchr(pointer, '/', len);
		n = end ? (size_t) (end - pointer) : len;
		at = step(at, pointer, n);
		pointer += n;
		len -= n;
	}
	if (!at)
		return -ENOENT;
	*ret = value_of(at);
	return 0;
}
