/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stddef.h>

/*
 * Words out of a fixed list, and what was meant by one that is not in it.
 * Pure.
 */
struct tg_word {
	const char *word;
	unsigned value;
	const char
		*refused; /* why this version does not take a word that it knows; NULL: it does */
};

/* The best of a list of words for a word that is not in it. */
struct tg_guess {
	const char *word; /* what was written */
	const char *best; /* NULL while nothing is near enough */
	unsigned distance;
};
#define TG_GUESS_INIT(written)                                                                     \
	{                                                                                          \
		.word = (written)                                                                  \
	}

void tg_guess_consider(struct tg_guess *g, const char *candidate);

/*
 * The value of @text in @words, which end with a NULL word. Returns 0, or -EINVAL with the reason,
 * what was probably meant and what is possible in @reterr.
 */
int tg_word_parse(const char *text, const struct tg_word *words, unsigned *ret,
		  struct tg_fault *reterr) TG_CHECKED;

/* "full|normal" to @out, without the refused words. Returns @out. */
const char *tg_word_list(const struct tg_word *words, const char *separator, char *out,
			 size_t size);
