/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/table.h"

#include <tidegate/error.h>

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CELL_MAX 200 /* bytes shown of a cell */

void tg_table_init(struct tg_table *t)
{
	*t = (struct tg_table){
		.columns = TG_BUFFER_INIT(TG_TABLE_BYTES / 8),
		.rows = TG_BUFFER_INIT(TG_TABLE_BYTES * 3 / 4),
		.notes = TG_BUFFER_INIT(TG_TABLE_BYTES / 8),
	};
}

void tg_table_done(struct tg_table *t)
{
	tg_buffer_done(&t->columns);
	tg_buffer_done(&t->rows);
	tg_buffer_done(&t->notes);
}

static void add_cell(struct tg_buffer *b, const char *text)
{
	char cell[CELL_MAX + 1];

	tg_buffer_add_json(b, tg_printable(cell, sizeof(cell), text, strlen(text)));
}

void tg_table_heads(struct tg_table *t, const char *const *heads)
{
	for (; *heads; heads++) {
		assert(t->n_columns < TG_TABLE_COLUMNS);
		if (t->n_columns++)
			tg_buffer_addc(&t->columns, ',');
		add_cell(&t->columns, *heads);
	}
}

void tg_table_row(struct tg_table *t, const char *const *cells)
{
	size_t before = t->rows.len;

	if (t->full)
		return;
	tg_buffer_adds(&t->rows, before ? ",[" : "[");
	for (size_t i = 0; i < t->n_columns; i++) {
		if (i)
			tg_buffer_addc(&t->rows, ',');
		add_cell(&t->rows, cells[i]);
	}
	tg_buffer_addc(&t->rows, ']');
	if (tg_buffer_error(&t->rows) != -EMSGSIZE)
		return;
	/* Half a row is none. */
	t->full = true;
	t->rows.len = before;
	t->rows.data[before] = '\0';
	t->rows.error = 0;
}

static void add_note(struct tg_table *t, const char *text)
{
	if (t->notes.len)
		tg_buffer_addc(&t->notes, ',');
	add_cell(&t->notes, text);
}

void tg_table_note(struct tg_table *t, const char *fmt, ...)
{
	char text[CELL_MAX + 1];
	va_list ap;

	/* The room for the note that it is not all stays free. */
	if (t->notes.len + 8 * sizeof(text) > t->notes.max)
		return;
	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_note(t, text);
}

int tg_table_json(struct tg_table *t, struct tg_buffer *out)
{
	if (t->full)
		add_note(t, "there is more than this table holds");
	if (tg_buffer_error(&t->columns) < 0 || tg_buffer_error(&t->rows) < 0 ||
	    tg_buffer_error(&t->notes) < 0)
		return -ENOMEM;
	tg_buffer_addf(out, "{\"columns\":[%s],\"rows\":[%s],\"notes\":[%s]}",
		       tg_buffer_text(&t->columns), tg_buffer_text(&t->rows),
		       tg_buffer_text(&t->notes));
	return tg_buffer_error(out) < 0 ? -ENOMEM : 0;
}
