/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/command/command.h"
#include "base/buffer.h"

/*
 * One line of the ledger: checksum, then fields with a tab between them.
 *
 *	8a2f0c11 B	1795256110	broker	ID	boiler	setpoint	r21.5
 *	77aa0142 D	1795256111	ID	done	r21.5
 *	0c55e0aa T	ID
 *
 * B: begun; D: done, with status, value and reason; T: told. Pure.
 */
#define TG_LEDGER_LINE_MAX 2048 /* bytes with the newline; more than the longest */

enum tg_ledger_step { TG_LEDGER_BEGUN = 'B', TG_LEDGER_DONE = 'D', TG_LEDGER_TOLD = 'T' };

struct tg_ledger_line {
	enum tg_ledger_step step;
	int64_t time_s; /* B, D */
	struct tg_result
		r; /* B: id, device, point, local, value (that was to be written); D: id, status, value, reason; T: id */
};
/* Appends @line with its newline to @b. */
void tg_ledger_line_add(struct tg_buffer *b, const struct tg_ledger_line *line);
/* Reads the @len bytes of a line without its newline. Returns 0, or -EBADMSG: torn, damaged, or of a later version. */
int tg_ledger_line_parse(const char *text, size_t len, struct tg_ledger_line *ret) TG_CHECKED;
