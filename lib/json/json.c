/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json.h"

#include "json/memory.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

unsigned tg_json_depth(const char *text, size_t len)
{
	unsigned depth = 0, deepest = 0;
	bool string = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				string = false;
		} else if (c == '"') {
			string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > deepest)
				deepest = depth;
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return deepest;
}

int tg_json_object(const char *text, size_t len, size_t max, struct json_t **ret,
		   struct tg_fault *reterr)
{
	json_t *doc = NULL;
	int r;

	if (len > max)
		return tg_fault_set(reterr, -EFBIG, "longer than %zu bytes", max);
	r = tg_json_load(text, len, JSON_REJECT_DUPLICATES, &doc, reterr);
	if (r < 0)
		return r == -ERANGE ? tg_fault_set(reterr, -EBADMSG, "not JSON: a number is too large") : r;
	if (!json_is_object(doc)) {
		json_decref(doc);
		return tg_fault_set(reterr, -EBADMSG, "not a JSON object");
	}
	*ret = doc;
	return 0;
}

struct json_t *tg_json_free(struct json_t *object)
{
	json_decref(object);
	return NULL;
}

/* 0 and a value that is not null, or -ENOENT. */
static int find(const struct json_t *object, const char *key, const json_t **ret,
		struct tg_fault *reterr)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return tg_fault_set(reterr, -ENOENT, "\"%s\" is missing", key);
	*ret = value;
	return 0;
}

static int find_string(const struct json_t *object, const char *key, size_t max, bool lines,
		       const char **ret, size_t *ret_len, struct tg_fault *reterr)
{
	const json_t *value = NULL;
	const char *s;
	size_t len;
	int r = find(object, key, &value, reterr);

	if (r < 0)
		return r;
	if (!json_is_string(value))
		return tg_fault_set(reterr, -EBADMSG, "\"%s\" is not a string", key);
	s = json_string_value(value);
	len = json_string_length(value);
	if (len > max)
		return tg_fault_set(reterr, -EBADMSG, "\"%s\" is longer than %zu bytes", key, max);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char) s[i];

		if ((c < 0x20 && !(lines && (c == '\n' || c == '\r' || c == '\t'))) || c == 0x7f)
			return tg_fault_set(reterr, -EBADMSG, "\"%s\" has a control character",
					    key);
	}
	*ret = s;
	*ret_len = len;
	return 0;
}

int tg_json_text(const struct json_t *object, const char *key, char *out, size_t size,
		 struct tg_fault *reterr)
{
	const char *s = NULL;
	size_t len = 0;
	int r = find_string(object, key, size - 1, false, &s, &len, reterr);

	if (r < 0)
		return r;
	memcpy(out, s, len + 1);
	return 0;
}

int tg_json_lines(const struct json_t *object, const char *key, size_t max, char **ret,
		  struct tg_fault *reterr)
{
	const char *s = NULL;
	size_t len = 0;
	char *copy;
	int r = find_string(object, key, max, true, &s, &len, reterr);

	if (r < 0)
		return r;
	copy = strdup(s);
	if (!copy)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	*ret = copy;
	return 0;
}

const char *tg_json_printable(const struct json_t *object, const char *key, char *out, size_t size)
{
	const json_t *value = json_object_get(object, key);
	const char *s = json_string_value(value);

	return tg_printable(out, size, s ? s : "", s ? json_string_length(value) : 0);
}

int tg_json_int(const struct json_t *object, const char *key, int64_t min, int64_t max,
		int64_t *ret, struct tg_fault *reterr)
{
	const json_t *value = NULL;
	int r = find(object, key, &value, reterr);

	if (r < 0)
		return r;
	if (!json_is_integer(value))
		return tg_fault_set(reterr, -EBADMSG, "\"%s\" is not an integer", key);
	if (json_integer_value(value) < min || json_integer_value(value) > max)
		return tg_fault_set(reterr, -EBADMSG, "\"%s\" is out of range", key);
	*ret = json_integer_value(value);
	return 0;
}

int tg_json_value(const struct json_t *object, const char *key, size_t max, struct tg_value *ret,
		  struct tg_fault *reterr)
{
	const json_t *value = NULL;
	size_t len;
	int r = find(object, key, &value, reterr);

	if (r < 0)
		return r;
	if (json_is_boolean(value)) {
		*ret = (struct tg_value){ .type = TG_VALUE_BOOL, .b = json_is_true(value) };
		return 0;
	}
	if (json_is_integer(value)) {
		*ret = (struct tg_value){ .type = TG_VALUE_INT, .i = json_integer_value(value) };
		return 0;
	}
	if (json_is_real(value)) {
		*ret = (struct tg_value){ .type = TG_VALUE_REAL, .real = json_real_value(value) };
		return 0;
	}
	if (!json_is_string(value))
		return tg_fault_set(reterr, -EBADMSG,
				    "\"%s\" is not a number, a boolean or a string", key);
	r = find_string(object, key, max, false, &ret->text, &len, reterr);
	if (r == 0)
		ret->type = TG_VALUE_TEXT;
	return r;
}

const char *tg_json_stranger(const struct json_t *object, const char *const *known)
{
	/* The library has no iterator that leaves an object const; nothing is changed. */
	json_t *o = (json_t *) (uintptr_t) object;
	const char *key;
	json_t *value;

	json_object_foreach (o, key, value) {
		const char *const *k = known;

		while (*k && strcmp(*k, key) != 0)
			k++;
		if (!*k)
			return key;
	}
	return NULL;
}

int tg_json_member(const struct json_t *object, const char *key, const struct json_t **ret,
		   struct tg_fault *reterr)
{
	const json_t *value = NULL;
	int r = find(object, key, &value, reterr);

	if (r < 0)
		return r;
	if (!json_is_object(value))
		return tg_fault_set(reterr, -EBADMSG, "\"%s\" is not an object", key);
	*ret = value;
	return 0;
}

char *tg_json_print(struct json_t *object, unsigned long refused)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(TG_JSON_DIGITS));

	json_decref(object);
	/* Names of members that do not fit are left out of the text, too. */
	if (tg_json_refused() != refused) {
		free(text);
		return NULL;
	}
	return text;
}
