/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/db_private.h"

#include <errno.h>
#include <string.h>

static const char *const statements[S_COUNT_] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_ROLLBACK] = "ROLLBACK",
	[S_APPEND] = "INSERT OR IGNORE INTO pack(seq, ord, device, made, gap, gap_first, key_crc, "
		     "crc, bytes)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[S_REMOVE] = "DELETE FROM pack WHERE seq = ?1 RETURNING gap",
	[S_ASIDE_COPY] = "INSERT OR IGNORE INTO aside SELECT seq, device, made, bytes FROM pack "
			 "WHERE seq = ?1",
	[S_ASIDE_TRIM] = "DELETE FROM aside WHERE seq <= (SELECT seq FROM aside ORDER BY seq DESC "
			 "LIMIT 1 OFFSET ?1)",
	[S_ASIDE_READ] = "SELECT seq, device, made, length(bytes) FROM aside ORDER BY seq DESC",
	[S_READ_UP] = "SELECT seq, device, made, gap, gap_first, key_crc, crc, bytes FROM pack"
		      " WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
	[S_READ_DOWN] = "SELECT seq, device, made, gap, gap_first, key_crc, crc, bytes FROM pack"
			" WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT ?3",
	[S_COUNTER] = "SELECT value FROM counter WHERE name = ?1",
	[S_SET_COUNTER] = "REPLACE INTO counter(name, value) VALUES (?1, ?2)",
	[S_LAST_ORD] = "SELECT count(*), max(ord) FROM (SELECT ord FROM pack ORDER BY seq DESC "
		       "LIMIT ?1)",
	[S_RECOUNT] = "SELECT count(*), max(ord) FROM pack",
	[S_PAGES] = "PRAGMA page_count",
	[S_FREE_PAGES] = "PRAGMA freelist_count",
	[S_COUNT_GAPS] = "SELECT count(*) FROM pack WHERE gap > 0",
	[S_EVENT_APPEND] = "REPLACE INTO event(number, crc, bytes) VALUES (?1, ?2, ?3)",
	[S_EVENT_REMOVE] = "DELETE FROM event WHERE number = ?1",
	[S_EVENT_READ] = "SELECT number, crc, bytes FROM event ORDER BY number",
};

static const struct counter {
	const char *name;
	size_t offset;
	int since; /* schema */
} counters[] = {
	{ "appended", offsetof(struct tg_db_counters, appended), 1 },
	{ "removed", offsetof(struct tg_db_counters, removed), 1 },
	{ "dropped", offsetof(struct tg_db_counters, dropped), 1 },
	{ "set_aside", offsetof(struct tg_db_counters, set_aside), 1 },
	{ "gaps", offsetof(struct tg_db_counters, gaps), 3 },
	{ "dropped_told", offsetof(struct tg_db_counters, dropped_told), 3 },
	{ "events_lost", offsetof(struct tg_db_counters, events_lost), 3 },
};

static int errno_of(sqlite3 *h, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_ERROR: /* our statements are right, so the schema is not what it says */
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
	case SQLITE_SCHEMA:
	case SQLITE_TOOBIG: /* a row that is larger than any of ours */
		return -EUCLEAN;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN: {
		int e = sqlite3_system_errno(h);

		return e > 0 ? -e : -EIO;
	}
	default:
		if (rc == SQLITE_IOERR_NOMEM)
			return -ENOMEM;
		/* A file that is shorter than its own header says. */
		return rc == SQLITE_IOERR_SHORT_READ ? -EUCLEAN : -EIO;
	}
}

int tg_db_result(struct tg_db *db, int rc)
{
	return errno_of(db->h, rc);
}

int tg_db_exec(struct tg_db *db, const char *sql)
{
	return tg_db_result(db, sqlite3_exec(db->h, sql, NULL, NULL, NULL));
}

int tg_db_prepare(struct tg_db *db, enum tg_db_stmt s, sqlite3_stmt **ret)
{
	if (!db->stmt[s]) {
		int rc = sqlite3_prepare_v3(db->h, statements[s], -1, SQLITE_PREPARE_PERSISTENT,
					    &db->stmt[s], NULL);

		if (rc != SQLITE_OK)
			return tg_db_result(db, rc);
	}
	*ret = db->stmt[s];
	return 0;
}

int tg_db_run(struct tg_db *db, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	(void) sqlite3_reset(st);
	(void) sqlite3_clear_bindings(st);
	return tg_db_result(db, rc);
}

int tg_db_run_plain(struct tg_db *db, enum tg_db_stmt s)
{
	sqlite3_stmt *st;
	int r = tg_db_prepare(db, s, &st);

	return r < 0 ? r : tg_db_run(db, st);
}

int tg_db_step_int(struct tg_db *db, sqlite3_stmt *st, int64_t *ret)
{
	int rc = sqlite3_step(st), r = tg_db_result(db, rc);

	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	else if (r == 0)
		r = -ENOENT;
	(void) sqlite3_reset(st);
	(void) sqlite3_clear_bindings(st);
	return r;
}

int tg_db_get_counter(struct tg_db *db, const char *name, uint64_t *ret)
{
	sqlite3_stmt *st;
	int64_t v = 0;
	int r = tg_db_prepare(db, S_COUNTER, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	r = tg_db_step_int(db, st, &v);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	if (v < 0)
		return -EUCLEAN;
	*ret = (uint64_t) v;
	return 0;
}

int tg_db_set_counter(struct tg_db *db, const char *name, uint64_t value)
{
	sqlite3_stmt *st;
	int r = tg_db_prepare(db, S_SET_COUNTER, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(st, 2, (sqlite3_int64) value);
	return tg_db_run(db, st);
}

int tg_db_write_counters(struct tg_db *db)
{
	int r = 0;

	for (size_t i = 0; i < TG_ARRAY_SIZE(counters) && r == 0; i++) {
		const char *base = (const char *) &db->now;
		uint64_t v;

		memcpy(&v, base + counters[i].offset, sizeof(v));
		r = tg_db_set_counter(db, counters[i].name, v);
	}
	return r;
}

int tg_db_read_counters(struct tg_db *db)
{
	int r = 0;

	for (size_t i = 0; i < TG_ARRAY_SIZE(counters) && r == 0; i++) {
		char *base = (char *) &db->now;
		uint64_t v = 0;

		if (counters[i].since <= db->version)
			r = tg_db_get_counter(db, counters[i].name, &v);
		memcpy(base + counters[i].offset, &v, sizeof(v));
	}
	return r;
}
