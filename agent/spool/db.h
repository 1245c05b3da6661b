/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/row.h"

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * One open spool file: the only place with SQLite. It knows rows, counts and
 * transactions; which file, and what to do with a bad one, is store.h.
 *
 * Everything may block as long as the disk does. One thread at a time. All
 * functions fail with
 *	-EUCLEAN	the file is damaged, or not ours
 *	-ENOSPC -EDQUOT	the disk is full; the file's own bound is reached
 *	-EROFS -EACCES -EBUSY -EIO -ENOMEM	what they say
 * and after -EIO the file must be closed: what the kernel still shows of it may never reach the
 *medium.
 *
 * The schema has a version in user_version and, since one flipped bit must not pass for a newer
 *version, again as the counter `schema`. Every version to come keeps both, application_id and the
 *counter table.
 */
struct tg_db;

/* Not 1: SQLite stores that without a byte of its own, which a test of newer versions could change.
 */
#define TG_DB_SCHEMA 3
/* The oldest that is understood: it has no events, and is brought up to date when it is opened. */
#define TG_DB_SCHEMA_MIN 2

struct tg_db_options {
	uint64_t max_bytes; /* of the file, without its log */
	bool full;          /* commits are on stable storage; else since the last checkpoint */
	void (*tick)(void *user); /* called now and then while something takes long; may be NULL */
	void *user;
};

enum tg_db_kind {
	TG_DB_EXISTING,
	TG_DB_NEW, /* made here, in one transaction that is left open: fill it, then tg_db_commit()
		    */
	TG_DB_SALVAGE, /* to be read only as far as it goes; nothing is written */
};

/*
 * Opens @path. Returns 0 and an owned tg_db, or -errno as above; -EPROTONOSUPPORT: written by a
 * newer version, and left as it was; -ENOENT.
 */
int tg_db_open(const char *path, enum tg_db_kind kind, const struct tg_db_options *o,
	       struct tg_db **ret, struct tg_fault *reterr) TG_CHECKED;
/* Folds the log into the file. After a failure use tg_db_abandon(), which leaves file and log
 * alone. Both accept NULL. */
struct tg_db *tg_db_close(struct tg_db *db);
struct tg_db *tg_db_abandon(struct tg_db *db);
TG_DEFINE_CLEANUP(struct tg_db *, tg_db_abandon)
/* New bounds. Never fails; what is too large already stays. */
void tg_db_set_max_bytes(struct tg_db *db, uint64_t max_bytes);
/* Of the last failure, for people. Valid until the next call. */
const char *tg_db_error_text(struct tg_db *db);

/* Returns 0 to go on, 1 to stop, or -errno. */
typedef int (*tg_db_row_fn)(void *user, const struct tg_row *row, enum tg_row_state state);

int tg_db_begin(struct tg_db *db) TG_CHECKED;
int tg_db_commit(struct tg_db *db) TG_CHECKED;
void tg_db_rollback(struct tg_db *db);

/* In a transaction. A number that is there already is left as it is. */
int tg_db_append(struct tg_db *db, const struct tg_row *row) TG_CHECKED;
/* In a transaction. A number that is not there is no failure. */
int tg_db_remove(struct tg_db *db, uint64_t seq) TG_CHECKED;
/* In a transaction: moves the row to the table of packs that cannot be published, which keeps the
 * last 256. */
int tg_db_set_aside(struct tg_db *db, uint64_t seq) TG_CHECKED;
/* What was set aside, by falling number. @fn gets views as of tg_db_read(), with seq, device, made_wall_us and len
 * alone. */
int tg_db_aside_read(struct tg_db *db, tg_db_row_fn fn, void *user) TG_CHECKED;
/* In a transaction: counts packs that are lost, events that are, and how many lost packs have been told. */
int tg_db_add_dropped(struct tg_db *db, uint64_t dropped) TG_CHECKED;
int tg_db_add_events_lost(struct tg_db *db, uint64_t lost) TG_CHECKED;
int tg_db_set_dropped_told(struct tg_db *db, uint64_t told) TG_CHECKED;

/*
 * Events for the cloud: texts with numbers, few and small. In a transaction; a number that is there already gets the new
 * text, one that is not there is no failure.
 */
int tg_db_event_append(struct tg_db *db, uint64_t number, const char *text) TG_CHECKED;
int tg_db_event_remove(struct tg_db *db, uint64_t number) TG_CHECKED;
/*
 * All of them, by rising number. @fn gets views that are valid during the call, @text NULL where the checksum fails; it
 * returns 0 to go on, 1 to stop, or -errno, which is returned. Returns the number of events seen.
 */
#define TG_DB_EVENT_MAX   8192 /* bytes of a text */
#define TG_DB_EVENTS_READ 256  /* more than are ever kept: the rest of a damaged file is not looked at */
typedef int (*tg_db_event_fn)(void *user, uint64_t number, const char *text);
int tg_db_event_read(struct tg_db *db, tg_db_event_fn fn, void *user) TG_CHECKED;

/*
 * Rows with @lo <= seq <= @hi, at most @limit, in rising order or (@down) falling. @fn gets views
 * that are valid during the call, and returns 0 to go on, 1 to stop, or -errno, which is returned.
 * Returns the number of rows seen. A file that yields rows out of order is damaged.
 */
int tg_db_read(struct tg_db *db, uint64_t lo, uint64_t hi, bool down, unsigned limit,
	       tg_db_row_fn fn, void *user) TG_CHECKED;

struct tg_db_counts {
	uint64_t rows;
	uint64_t gaps; /* rows that are gap records */
	/* since the spool was made: */
	uint64_t dropped, set_aside;
	uint64_t dropped_told; /* the part of `dropped` that an event has told the cloud of */
	uint64_t events_lost;
};
struct tg_db_counts tg_db_counts(const struct tg_db *db);
/* For a file made anew: what the old one had counted since it was made. In a transaction. */
int tg_db_carry_counts(struct tg_db *db, const struct tg_db_counts *old) TG_CHECKED;
/* Counts the rows again, by reading them all. */
int tg_db_recount(struct tg_db *db) TG_CHECKED;
/* Bytes in use, bytes of the file. */
int tg_db_usage(struct tg_db *db, uint64_t *ret_used, uint64_t *ret_file) TG_CHECKED;

/* Folds the log into the file and syncs both; @restart also empties the log. */
int tg_db_checkpoint(struct tg_db *db, bool restart) TG_CHECKED;
/* Gives unused pages back to the file system. */
int tg_db_shrink(struct tg_db *db) TG_CHECKED;
/* Reads everything. 0 or -EUCLEAN. */
int tg_db_verify(struct tg_db *db) TG_CHECKED;
