/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>
#include <tidegate/sample.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Strict, bounded reading of JSON objects that others wrote: a peer, or a file
 * that a power cut may have damaged. The only place with jansson.
 *
 * One object, nothing behind it, no duplicate names, valid UTF-8, at most
 * TG_JSON_DEPTH levels (looked at before parsing, as the parser recurses).
 * Members that nobody asks for are ignored. Pure: no I/O, any thread.
 */
struct json_t;

#define TG_JSON_DEPTH 16

/*
 * Levels of nesting, counted without parsing. Wrong JSON may be counted wrongly; that is the
 * parser's to find, and no deeper than the count says: it stops at the first error. Never fails.
 */
unsigned tg_json_depth(const char *text, size_t len);

/*
 * Returns 0 and an owned object, or -EFBIG (longer than @max), -EBADMSG (not JSON, not an object,
 * too deep; where is in @reterr), -ENOMEM.
 */
int tg_json_object(const char *text, size_t len, size_t max, struct json_t **ret,
		   struct tg_fault *reterr) TG_CHECKED;
struct json_t *tg_json_free(struct json_t *object); /* accepts NULL, returns NULL */
TG_DEFINE_CLEANUP(struct json_t *, tg_json_free)

/*
 * Members. All return 0, -ENOENT when @key is absent or null, or -EBADMSG when it has the wrong
 * type or is out of bounds; the text names the key, never the value. Outputs are set on success
 * only.
 */

/* A string of at most @size - 1 bytes without control characters. */
int tg_json_text(const struct json_t *object, const char *key, char *out, size_t size,
		 struct tg_fault *reterr) TG_CHECKED;
/* The same, owned, at most @max bytes; line breaks and tabs are allowed (PEM). */
int tg_json_lines(const struct json_t *object, const char *key, size_t max, char **ret,
		  struct tg_fault *reterr) TG_CHECKED;
/*
 * For what is only shown to people: a string made printable and cut to fit (tg_printable()), ""
 * when it is absent or none. Never fails. Returns @out.
 */
const char *tg_json_printable(const struct json_t *object, const char *key, char *out, size_t size);
/* An integer in @min..@max; a real number is not one. */
int tg_json_int(const struct json_t *object, const char *key, int64_t min, int64_t max,
		int64_t *ret, struct tg_fault *reterr) TG_CHECKED;
/* A number, a boolean or a string as tg_json_text() takes it, of at most @max bytes; text is borrowed from @object. */
int tg_json_value(const struct json_t *object, const char *key, size_t max, struct tg_value *ret,
		  struct tg_fault *reterr) TG_CHECKED;
/* An object; borrowed from @object. */
int tg_json_member(const struct json_t *object, const char *key, const struct json_t **ret,
		   struct tg_fault *reterr) TG_CHECKED;

/* The first member whose name is not one of @known (which ends in NULL), borrowed; NULL when there is none. Never fails. */
const char *tg_json_stranger(const struct json_t *object, const char *const *known);

/*
 * For those who build documents: members that find no memory are missing from them, and nobody says
 * so. How many allocations the library was refused on this thread; what is built while that stays
 * the same is whole. Never fails.
 */
unsigned long tg_json_refused(void);
/*
 * The text of @object, which is taken over: owned, or NULL when that or anything since
 * tg_json_refused() gave @refused found no memory. NULL also for an @object that is NULL.
 */
char *tg_json_print(struct json_t *object, unsigned long refused);
#define TG_JSON_DIGITS 12 /* of a real number */

/*
 * From now on memory that a parsed document gives back is cleared first, in the whole process. For
 * programs that parse secrets; once, before the first document.
 */
void tg_json_clear_memory(void);
