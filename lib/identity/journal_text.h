/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "identity/journal.h"

/*
 * The journal's text: one JSON object. Pure: no I/O, no clock.
 */
#define TG_JOURNAL_MAX                                                                             \
	(32u * 1024) /* a token and an error text that escape to six bytes a byte still fit */

/* Appends the text; the buffer keeps its own errors. Contains the token: clear the buffer after
 * use. */
void tg_journal_print(const struct tg_journal *j, struct tg_buffer *out);
/* 0, or -EBADMSG, -EFBIG, -ENOMEM. */
int tg_journal_parse(const char *text, size_t len, struct tg_journal *ret,
		     struct tg_fault *reterr) TG_CHECKED;
