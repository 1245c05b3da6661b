/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * The words of a `read`, one after the other, separated by blanks or tabs, for
 * the parsers of several bus types. Pure.
 */
#define TG_READ_WORD_MAX 48 /* longer than any word that means something */

struct tg_read_words {
	const char *rest;
	char word[TG_READ_WORD_MAX + 1]; /* the last one; "" before the first and behind the last */
};
#define TG_READ_WORDS_INIT(text)                                                                   \
	{                                                                                          \
		.rest = (text)                                                                     \
	}

/* Returns 1 and the next word in w->word, 0 and "" at the end, or -EINVAL for one that is too long. */
int tg_read_words_next(struct tg_read_words *w, struct tg_fault *reterr) TG_CHECKED;

/* What stands behind the equals sign when @word is NAME=VALUE with this @name, else NULL. */
const char *tg_read_option(const char *word, const char *name);

/* The number in @text, decimal or 0x, in [lo, hi]. Returns 0, or -EINVAL saying that @what is not one. */
int tg_read_number(const char *what, const char *text, uint64_t lo, uint64_t hi, uint64_t *ret,
		   struct tg_fault *reterr) TG_CHECKED;

/* One byte as data sheets write it: one or two hexadecimal digits, with or without 0x. */
bool tg_read_byte(const char *word, uint8_t *ret);
