/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "spool-bench.h"

#include <sqlite3.h>

/*
 * A spool of schema 2, made by SQL of its own: with packs, gap records and counts, and no events. For the tests of what
 * becomes of it.
 */
#define OLD_ROWS 300u

static const char old_schema[] =
	"PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; BEGIN;"
	"CREATE TABLE pack(seq INTEGER PRIMARY KEY, ord INTEGER NOT NULL, device TEXT NOT NULL, made INTEGER NOT NULL,"
	" gap INTEGER NOT NULL, gap_first INTEGER NOT NULL, key_crc INTEGER NOT NULL, crc INTEGER NOT NULL, bytes BLOB NOT NULL);"
	"CREATE TABLE aside(seq INTEGER PRIMARY KEY, device TEXT, made INTEGER, bytes BLOB);"
	"CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO counter VALUES ('schema', 2), ('appended', 300), ('removed', 0), ('dropped', 41), ('set_aside', 3);"
	"PRAGMA application_id=1952936816; PRAGMA user_version=2; COMMIT; PRAGMA journal_mode=WAL";

static inline void insert_old(sqlite3_stmt *st, uint64_t seq)
{
	struct tg_parcel *p = spool_bench_parcel("boiler", seq, 8);
	const struct tg_row row = {
		.seq = seq,
		.device = "boiler",
		.made_wall_us = 1000000 + (int64_t) seq,
		.gap = seq % 100 == 0 ? 5 : 0,
		.gap_first = seq % 100 == 0 ? seq - 5 : 0,
		.bytes = p->bytes,
		.len = p->len,
	};
	uint32_t key_crc = tg_row_key_crc(&row);

	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) seq);
	(void) sqlite3_bind_int64(st, 2, (sqlite3_int64) seq);
	(void) sqlite3_bind_int64(st, 3, row.made_wall_us);
	(void) sqlite3_bind_int64(st, 4, (sqlite3_int64) row.gap);
	(void) sqlite3_bind_int64(st, 5, (sqlite3_int64) row.gap_first);
	(void) sqlite3_bind_int64(st, 6, key_crc);
	(void) sqlite3_bind_int64(st, 7, tg_row_crc(&row, key_crc));
	(void) sqlite3_bind_blob(st, 8, p->bytes, (int) p->len, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	assert_int_equal(sqlite3_reset(st), SQLITE_OK);
	tg_parcel_unref(p);
}

/* OLD_ROWS rows, each hundredth a gap record of five. @with_log: as a kill leaves it, with half of the rows in the log alone. */
static inline void make_old(const char *dir, bool with_log)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *h = NULL;
	char path[512];

	spool_bench_path(path, dir, "spool.db");
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, old_schema, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, "INSERT INTO pack VALUES (?1, ?2, 'boiler', ?3, ?4, ?5, ?6, ?7, ?8)",
					    -1, &st, NULL),
			 SQLITE_OK);
	for (uint64_t seq = 1; seq <= OLD_ROWS; seq++) {
		if (seq == OLD_ROWS / 2)
			assert_int_equal(sqlite3_wal_checkpoint_v2(h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
					 SQLITE_OK);
		insert_old(st, seq);
	}
	(void) sqlite3_finalize(st);
	if (with_log)
		(void) sqlite3_db_config(h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
	spool_bench_path(path, dir, "spool.db-shm");
	(void) unlink(path);
}
