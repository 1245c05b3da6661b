/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/exec.h"

#include <tidegate/error.h>

#include <stddef.h>

/*
 * A command as words, without a shell: blanks stand between words, 'single'
 * and "double" quotes keep them together, and a backslash takes the next
 * character as it is (not within single quotes). Nothing else is special.
 * The first word is an absolute path. Pure but for the memory.
 */
struct tg_exec_words {
	char *words[TG_EXEC_WORDS + 1]; /* NULL behind the last */
	size_t n;
	char *text; /* owned; the words are in it */
};

/* Returns 0, -EINVAL with what is wrong, or -ENOMEM; tg_exec_words_done() is right after either. */
int tg_exec_words_split(const char *command, struct tg_exec_words *ret,
			struct tg_fault *reterr) TG_CHECKED;
void tg_exec_words_done(struct tg_exec_words *w);
