/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "json/json.h"

/*
 * Single values out of documents of any shape, by JSON pointer (RFC 6901).
 *
 * For what devices write: unlike in our own protocols a document may be a mere number or an array, a name that stands
 * twice counts as it stands last, and an integer that 64 bits do not hold is a real number. Depth and size
 * are bounded as in json.h. Pure; any thread.
 */
enum tg_json_kind {
	TG_JSON_NULL,
	TG_JSON_BOOL,
	TG_JSON_INT,
	TG_JSON_REAL,
	TG_JSON_TEXT,
	TG_JSON_OBJECT,
	TG_JSON_ARRAY,
};

struct tg_json_value {
	enum tg_json_kind kind;
	union {
		bool b;
		int64_t i;
		double real; /* finite */
		struct {
			const char *text; /* UTF-8, may hold NUL; of the document */
			size_t len;
		};
	};
};

/* Returns 0 and an owned document, for tg_json_free(), or -EFBIG, -EBADMSG, -ENOMEM as tg_json_object(). */
int tg_json_document(const char *text, size_t len, size_t max, struct json_t **ret,
		     struct tg_fault *reterr) TG_CHECKED;
/*
 * What @pointer of @len bytes (escapes as in the RFC; "" is the whole) leads to in @doc. Returns 0, or -ENOENT: there is
 * nothing. A pointer that is none leads nowhere.
 */
int tg_json_pointer(const struct json_t *doc, const char *pointer, size_t len,
		    struct tg_json_value *ret) TG_CHECKED;
