/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/text_form.h"

#include <tidegate/sample.h>

#include <stddef.h>

/*
 * What devices say in text, as values. Pure.
 *
 * A number is decimal, with a sign, a fraction and an exponent; white space
 * round it and a unit behind it ("21.5 C", "40%") are let pass, more digits are
 * not ("12:30" is none, nor is "1,5"). Integers stay integers as long as 64 bits hold
 * them. NaN, infinities and what is beyond a double are bad.
 */
struct tg_text_room {
	char text[TG_TEXT_MAX + 1];
	char reason[TG_REASON_MAX + 1];
};

/*
 * Sets value, quality and reason of @out from @len bytes at @text; strings live in @room, and as long. Nothing else of @out
 * is touched. Never fails: what is not of @form is bad, with the text quoted in the reason.
 */
void tg_text_read(const struct tg_text_form *form, const char *text, size_t len,
		  struct tg_text_room *room, struct tg_sample *out);
/* Makes @out bad for the formatted reason, made printable and cut to fit. */
void tg_text_bad(struct tg_text_room *room, struct tg_sample *out, const char *fmt, ...)
	TG_PRINTF(3, 4);
