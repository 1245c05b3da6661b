/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "identity/generation.h"

/*
 * The text of a generation's outcome: one JSON object. Pure: no I/O, no clock.
 */
#define TG_OUTCOME_MAX 4096 /* bytes; a reason that escapes to six bytes a byte still fits */

/* Appends the text; the buffer keeps its own errors. */
void tg_outcome_print(const struct tg_outcome *o, struct tg_buffer *out);
/* 0, or -EBADMSG, -EFBIG, -ENOMEM. */
int tg_outcome_parse(const char *text, size_t len, struct tg_outcome *ret,
		     struct tg_fault *reterr) TG_CHECKED;
