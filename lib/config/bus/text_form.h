/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * The words of a `read` that names things of others' making: keys, topics,
 * members of documents. Words are separated by blanks; one that has blanks
 * itself stands in double quotes, and nothing is escaped in there. `on=OPEN`
 * is a word with a key.
 *
 * Slices: they point into the text that is read and are not terminated. Pure.
 */
struct tg_slice {
	const char *at;
	unsigned len;
};

#define TG_SLICE_MAX 256 /* bytes of one word, and more than any device calls a thing */

struct tg_slice_word {
	struct tg_slice key;   /* len 0: none */
	struct tg_slice value; /* without the quotes */
	bool quoted;
};

/* Takes the next word off *@rest. Returns 1 and the word, 0 at the end, or -EINVAL with the reason. */
int tg_slice_next(const char **rest, struct tg_slice_word *ret, struct tg_fault *reterr) TG_CHECKED;
bool tg_slice_is(const struct tg_slice *s, const char *word);
/* Copies @s to @out, cut to fit. Returns @out, for messages and look-ups in lists of words. */
const char *tg_slice_text(const struct tg_slice *s, char *out, size_t size);

/*
 * How a text becomes a value: `number` (the default), `hex`, `bool`, `text`,
 * and on=WORD, off=WORD for what a bool is called there.
 */
enum tg_text_kind { TG_TEXT_NUMBER, TG_TEXT_HEX, TG_TEXT_BOOL, TG_TEXT_AS_IS };

struct tg_text_form {
	enum tg_text_kind kind;
	bool given; /* the kind was said */
	struct tg_slice on,
		off; /* len 0: the usual words, on off true false yes no 1 0 open closed online offline */
};

/* Takes @w when it is one of the words above. Returns 1 when it was, 0 when it is another word, or -EINVAL. */
int tg_text_form_take(struct tg_text_form *form, const struct tg_slice_word *w,
		      struct tg_fault *reterr) TG_CHECKED;
/* on= and off= stand together or not at all. Returns 0 or -EINVAL. */
int tg_text_form_check(const struct tg_text_form *form, struct tg_fault *reterr) TG_CHECKED;
