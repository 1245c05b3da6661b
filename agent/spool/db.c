/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/db_private.h"

#include <errno.h>
#include <string.h>

#define ASIDE_KEEP 256

/* --- transactions --- */

int tg_db_begin(struct tg_db *db)
{
	return tg_db_run_plain(db, S_BEGIN);
}

int tg_db_commit(struct tg_db *db)
{
	int r = db->counters_changed ? tg_db_write_counters(db) : 0;

	if (r == 0)
		r = tg_db_run_plain(db, S_COMMIT);
	if (r == 0) {
		db->committed = db->now;
		db->counters_changed = false;
	}
	return r;
}

void tg_db_rollback(struct tg_db *db)
{
	int r = 0;

	/* After some failures SQLite has rolled back by itself; and a rollback that fails leaves nothing to be done. */
	if (!sqlite3_get_autocommit(db->h))
		r = tg_db_run_plain(db, S_ROLLBACK);
	(void) r;
	db->now = db->committed;
	db->counters_changed = false;
}

int tg_db_append(struct tg_db *db, const struct tg_row *row)
{
	uint32_t key_crc = tg_row_key_crc(row);
	sqlite3_stmt *st;
	int r = tg_db_prepare(db, S_APPEND, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) row->seq);
	(void) sqlite3_bind_int64(st, 2, (sqlite3_int64) db->now.appended + 1);
	(void) sqlite3_bind_text(st, 3, row->device, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(st, 4, row->made_wall_us);
	(void) sqlite3_bind_int64(st, 5, (sqlite3_int64) row->gap);
	(void) sqlite3_bind_int64(st, 6, (sqlite3_int64) row->gap_first);
	(void) sqlite3_bind_int64(st, 7, key_crc);
	(void) sqlite3_bind_int64(st, 8, tg_row_crc(row, key_crc));
	(void) sqlite3_bind_blob(st, 9, row->bytes, (int) row->len, SQLITE_STATIC);
	r = tg_db_run(db, st);
	if (r == 0 && sqlite3_changes(db->h) == 1) {
		db->now.appended++;
		db->now.gaps += row->gap > 0;
		db->counters_changed |= row->gap > 0;
	}
	return r;
}

int tg_db_remove(struct tg_db *db, uint64_t seq)
{
	sqlite3_stmt *st;
	int64_t gap = 0;
	int r = tg_db_prepare(db, S_REMOVE, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) seq);
	r = tg_db_step_int(db, st, &gap);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	db->now.removed++;
	if (gap > 0 && db->now.gaps > 0)
		db->now.gaps--;
	db->counters_changed = true;
	return 0;
}

int tg_db_set_aside(struct tg_db *db, uint64_t seq)
{
	sqlite3_stmt *st;
	int r = tg_db_prepare(db, S_ASIDE_COPY, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) seq);
	r = tg_db_run(db, st);
	if (r < 0 || sqlite3_changes(db->h) == 0)
		return r;
	db->now.set_aside++;
	db->counters_changed = true;
	r = tg_db_prepare(db, S_ASIDE_TRIM, &st);
	if (r < 0)
		return r;
	(void) sqlite3_bind_int(st, 1, ASIDE_KEEP);
	r = tg_db_run(db, st);
	return r < 0 ? r : tg_db_remove(db, seq);
}

int tg_db_add_dropped(struct tg_db *db, uint64_t dropped)
{
	db->now.dropped += dropped;
	db->counters_changed = db->counters_changed || dropped > 0;
	return 0;
}

int tg_db_add_events_lost(struct tg_db *db, uint64_t lost)
{
	db->now.events_lost += lost;
	db->counters_changed = db->counters_changed || lost > 0;
	return 0;
}

int tg_db_set_dropped_told(struct tg_db *db, uint64_t told)
{
	db->now.dropped_told = told;
	db->counters_changed = true;
	return 0;
}

int tg_db_carry_counts(struct tg_db *db, const struct tg_db_counts *old)
{
	db->now.dropped += old->dropped;
	db->now.set_aside += old->set_aside;
	db->now.dropped_told += old->dropped_told;
	db->now.events_lost += old->events_lost;
	db->counters_changed = true;
	return 0;
}

/* --- reading --- */

static const char *text_of(sqlite3_stmt *st, int column)
{
	const char *text;

	if (sqlite3_column_type(st, column) != SQLITE_TEXT)
		return NULL;
	text = (const char *) sqlite3_column_text(st, column);
	/* A NUL inside would hide the rest from everybody who looks at it. */
	return text && strlen(text) == (size_t) sqlite3_column_bytes(st, column) ? text : NULL;
}

static enum tg_row_state view(sqlite3_stmt *st, struct tg_row *ret)
{
	*ret = (struct tg_row){
		.seq = (uint64_t) sqlite3_column_int64(st, 0),
		.device = text_of(st, 1),
		.made_wall_us = sqlite3_column_int64(st, 2),
		.gap = (uint64_t) sqlite3_column_int64(st, 3),
		.gap_first = (uint64_t) sqlite3_column_int64(st, 4),
	};
	if (sqlite3_column_type(st, 7) == SQLITE_BLOB) {
		ret->bytes = sqlite3_column_blob(st, 7);
		ret->len = (size_t) sqlite3_column_bytes(st, 7);
	}
	return tg_row_check(ret, (uint64_t) sqlite3_column_int64(st, 5),
			    (uint64_t) sqlite3_column_int64(st, 6));
}

int tg_db_read(struct tg_db *db, uint64_t lo, uint64_t hi, bool down, unsigned limit,
	       tg_db_row_fn fn, void *user)
{
	sqlite3_stmt *st;
	int rc = SQLITE_DONE, seen = 0, r = tg_db_prepare(db, down ? S_READ_DOWN : S_READ_UP, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) lo);
	(void) sqlite3_bind_int64(st, 2, (sqlite3_int64) hi);
	(void) sqlite3_bind_int64(st, 3, limit);
	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct tg_row row;
		enum tg_row_state state = view(st, &row);

		if (row.seq < lo || row.seq > hi) {
			r = -EUCLEAN;
			break;
		}
		if (down)
			hi = row.seq - 1;
		else
			lo = row.seq + 1;
		seen++;
		r = fn(user, &row, state);
	}
	if (r == 0)
		r = tg_db_result(db, rc);
	(void) sqlite3_reset(st);
	return r < 0 ? r : seen;
}

int tg_db_aside_read(struct tg_db *db, tg_db_row_fn fn, void *user)
{
	sqlite3_stmt *st;
	int rc = SQLITE_DONE, seen = 0, r = tg_db_prepare(db, S_ASIDE_READ, &st);

	if (r < 0)
		return r;
	while (r == 0 && seen < ASIDE_KEEP && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const struct tg_row row = {
			.seq = (uint64_t) sqlite3_column_int64(st, 0),
			.device = text_of(st, 1) ? text_of(st, 1) : "",
			.made_wall_us = sqlite3_column_int64(st, 2),
			.len = (size_t) sqlite3_column_int64(st, 3),
		};

		seen++;
		r = fn(user, &row, TG_ROW_BAD_BYTES);
	}
	if (r == 0)
		r = tg_db_result(db, rc);
	(void) sqlite3_reset(st);
	return r < 0 ? r : seen;
}

struct tg_db_counts tg_db_counts(const struct tg_db *db)
{
	return (struct tg_db_counts){
		.rows = db->now.appended - db->now.removed,
		.gaps = db->now.gaps,
		.dropped = db->now.dropped,
		.set_aside = db->now.set_aside,
		.dropped_told = db->now.dropped_told,
		.events_lost = db->now.events_lost,
	};
}

int tg_db_usage(struct tg_db *db, uint64_t *ret_used, uint64_t *ret_file)
{
	int64_t pages = 0, unused = 0;
	sqlite3_stmt *st;
	int r = tg_db_prepare(db, S_PAGES, &st);

	if (r == 0)
		r = tg_db_step_int(db, st, &pages);
	if (r == 0)
		r = tg_db_prepare(db, S_FREE_PAGES, &st);
	if (r == 0)
		r = tg_db_step_int(db, st, &unused);
	if (r < 0)
		return r;
	if (pages < 0 || unused < 0 || unused > pages)
		return -EUCLEAN;
	*ret_used = (uint64_t) (pages - unused) * TG_DB_PAGE;
	*ret_file = (uint64_t) pages * TG_DB_PAGE;
	return 0;
}

/* --- upkeep --- */

int tg_db_checkpoint(struct tg_db *db, bool restart)
{
	return tg_db_result(db, sqlite3_wal_checkpoint_v2(db->h, NULL,
							  restart ? SQLITE_CHECKPOINT_TRUNCATE
								  : SQLITE_CHECKPOINT_FULL,
							  NULL, NULL));
}

int tg_db_shrink(struct tg_db *db)
{
	int r = tg_db_exec(db, "PRAGMA incremental_vacuum");

	return r < 0 ? r : tg_db_checkpoint(db, true);
}

static int on_check(void *user, int n, char **values, char **names)
{
	bool *ok = user;

	(void) names;
	*ok = n == 1 && values[0] && strcmp(values[0], "ok") == 0;
	return 0;
}

int tg_db_verify(struct tg_db *db)
{
	bool ok = false;
	int rc = sqlite3_exec(db->h, "PRAGMA quick_check(1)", on_check, &ok, NULL);

	if (rc != SQLITE_OK)
		return tg_db_result(db, rc);
	return ok ? 0 : -EUCLEAN;
}
