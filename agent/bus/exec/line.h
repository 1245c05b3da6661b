/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>
#include <tidegate/sample.h>

/*
 * A line that a program prints:
 *
 *	name value [unit] [time]	name=value [unit] [time]	name ! why not
 *
 * A value is a whole or decimal number, yes/no, true/false or on/off, or a
 * text: "in quotes", or one word. The time is seconds since 1970, with a
 * fraction or not, or as RFC 3339 has it; without one it is now. Empty lines
 * and lines that begin with # say nothing.
 *
 * Pure. The result points into the line, which is cut up.
 */
#define TG_EXEC_LINE_MAX (TG_TEXT_MAX + 256) /* bytes of a line */

struct tg_exec_line {
	const char *name;
	struct tg_value value; /* TG_VALUE_NONE: there is none, reason says why */
	const char *reason;
	const char *unit; /* "" when not given */
	bool has_time;
	int64_t time_us; /* since 1970 */
};

/* Returns 1 with a reading, 0 for a line that says nothing, or -EINVAL with what is wrong. */
int tg_exec_line_parse(char *line, struct tg_exec_line *ret, struct tg_fault *reterr) TG_CHECKED;
