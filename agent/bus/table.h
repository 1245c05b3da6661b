/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"

#include <stddef.h>

/*
 * What a probe found: a small table for people, as JSON
 * {"columns":[...],"rows":[[...],...],"notes":[...]}; every cell is text.
 * Bounded: what no longer fits is left out, and the last note says so.
 * Pure but for its memory. Owned by one thread.
 */
#define TG_TABLE_COLUMNS 8
#define TG_TABLE_BYTES   (48u * 1024)

struct tg_table {
	struct tg_buffer columns, rows, notes;
	size_t n_columns;
	bool full;
};

void tg_table_init(struct tg_table *t);
void tg_table_done(struct tg_table *t);
/* The heads, NULL at the end; at most TG_TABLE_COLUMNS. Once, before the first row. */
void tg_table_heads(struct tg_table *t, const char *const *heads);
/* As many cells as heads; copied, made printable. */
void tg_table_row(struct tg_table *t, const char *const *cells);
/* A line under the table. */
void tg_table_note(struct tg_table *t, const char *fmt, ...) TG_PRINTF(2, 3);
/* Appends the whole to @out. Returns 0 or -ENOMEM. */
int tg_table_json(struct tg_table *t, struct tg_buffer *out) TG_CHECKED;
