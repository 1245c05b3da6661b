/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/db_private.h"

#include "base/crc32c.h"

#include <errno.h>
#include <string.h>

/* Over number and text, as SQLite has no checksum over its pages. */
static uint32_t crc_of(uint64_t number, const void *text, size_t len)
{
	uint8_t le[8];

	for (size_t i = 0; i < sizeof(le); i++)
		le[i] = (uint8_t) (number >> 8 * i);
	return tg_crc32c(tg_crc32c(0, le, sizeof(le)), text, len);
}

int tg_db_event_append(struct tg_db *db, uint64_t number, const char *text)
{
	size_t len = strlen(text);
	sqlite3_stmt *st;
	int r = tg_db_prepare(db, S_EVENT_APPEND, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) number);
	(void) sqlite3_bind_int64(st, 2, crc_of(number, text, len));
	(void) sqlite3_bind_blob(st, 3, text, (int) len, SQLITE_STATIC);
	return tg_db_run(db, st);
}

int tg_db_event_remove(struct tg_db *db, uint64_t number)
{
	sqlite3_stmt *st;
	int r = tg_db_prepare(db, S_EVENT_REMOVE, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) number);
	return tg_db_run(db, st);
}

/* The stored text in @out, or NULL when it is not what was written. */
static const char *text_of(sqlite3_stmt *st, uint64_t number, char out[static TG_DB_EVENT_MAX + 1])
{
	const void *bytes = sqlite3_column_blob(st, 2);
	size_t len = (size_t) sqlite3_column_bytes(st, 2);

	if (!bytes || number == 0 || number > TG_ROW_SEQ_MAX || len > TG_DB_EVENT_MAX || memchr(bytes, 0, len) ||
	    crc_of(number, bytes, len) != (uint64_t) sqlite3_column_int64(st, 1))
		return NULL;
	memcpy(out, bytes, len);
	out[len] = '\0';
	return out;
}

int tg_db_event_read(struct tg_db *db, tg_db_event_fn fn, void *user)
{
	char text[TG_DB_EVENT_MAX + 1];
	sqlite3_stmt *st;
	int rc = SQLITE_DONE, seen = 0, r = tg_db_prepare(db, S_EVENT_READ, &st);

	if (r < 0)
		return r;
	while (r == 0 && seen < TG_DB_EVENTS_READ && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t number = (uint64_t) sqlite3_column_int64(st, 0);

		seen++;
		r = fn(user, number, text_of(st, number, text));
	}
	if (r == 0)
		r = tg_db_result(db, rc);
	(void) sqlite3_reset(st);
	return r < 0 ? r : seen;
}
