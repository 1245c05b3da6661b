/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/db.h"

#include <sqlite3.h>

/*
 * Inside an open spool file, for db*.c only: the connection, its prepared
 * statements, and how SQLite's results become ours.
 */
#define TG_DB_PAGE 4096u

/* Every statement, prepared once. */
enum tg_db_stmt {
	S_BEGIN,
	S_COMMIT,
	S_ROLLBACK,
	S_APPEND,
	S_REMOVE,
	S_ASIDE_COPY,
	S_ASIDE_TRIM,
	S_ASIDE_READ,
	S_READ_UP,
	S_READ_DOWN,
	S_COUNTER,
	S_SET_COUNTER,
	S_LAST_ORD,
	S_RECOUNT,
	S_PAGES,
	S_FREE_PAGES,
	S_COUNT_GAPS,
	S_EVENT_APPEND,
	S_EVENT_REMOVE,
	S_EVENT_READ,
	S_COUNT_
};

/*
 * How many rows there are is `appended` minus `removed`. To write both with each
 * commit would cost one more page each time, so `appended` stands in the rows
 * themselves (ord) and is written down only with deletes, which are rare and in bulk.
 */
struct tg_db_counters {
	uint64_t appended, removed, dropped, set_aside;
	/* since schema 3 */
	uint64_t gaps, dropped_told, events_lost;
};

struct tg_db {
	sqlite3 *h;
	sqlite3_stmt *stmt[S_COUNT_];
	struct tg_db_counters now, committed;
	bool counters_changed; /* in this transaction, beyond `appended` */
	struct tg_db_options options;
	int version; /* of the schema that the file has */
};

/* The -errno of SQLite's result @rc: the one converter. */
int tg_db_result(struct tg_db *db, int rc) TG_CHECKED;
int tg_db_exec(struct tg_db *db, const char *sql) TG_CHECKED;
/* The statement, prepared when it is used first. Owned by @db. */
int tg_db_prepare(struct tg_db *db, enum tg_db_stmt s, sqlite3_stmt **ret) TG_CHECKED;
/* Steps a statement that yields nothing, and makes it ready for the next time. */
int tg_db_run(struct tg_db *db, sqlite3_stmt *st) TG_CHECKED;
int tg_db_run_plain(struct tg_db *db, enum tg_db_stmt s) TG_CHECKED;
/* The first column of the first row; -ENOENT when there is none. A statement that writes has done so then. */
int tg_db_step_int(struct tg_db *db, sqlite3_stmt *st, int64_t *ret) TG_CHECKED;
/* A value of the counter table; -EUCLEAN when it is not there or negative. */
int tg_db_get_counter(struct tg_db *db, const char *name, uint64_t *ret) TG_CHECKED;
int tg_db_set_counter(struct tg_db *db, const char *name, uint64_t value) TG_CHECKED;
/* All of db->now, from and to the file; what an older schema did not count is 0. */
int tg_db_read_counters(struct tg_db *db) TG_CHECKED;
int tg_db_write_counters(struct tg_db *db) TG_CHECKED;
