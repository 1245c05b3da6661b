/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/db.h"

/*
 * Which file is the spool, and what happens to a bad one.
 *
 *	spool.db, spool.db-wal	the spool
 *	spool.new		a spool in the making; complete as soon as it has no journal
 *	spool.bad-TIME		what was set aside: damaged, or something that was in the way
 *
 * A file is made whole under the name spool.new before it is called spool.db,
 * so that a power cut at any instant leaves a good file, or the old one, or a
 * complete new one that the next start takes. A damaged file is read as far as it goes and its
 * good rows are in the new one before it is set aside. At most TG_STORE_BAD_KEEP of those are kept.
 *
 * Blocks as long as the disk does. One thread at a time. Logs nothing.
 */
#define TG_STORE_BAD_KEEP 3u

struct tg_store;

struct tg_store_repair {
	uint64_t rescued; /* packs that are in the new file */
	uint64_t lost;    /* packs that are known to be lost; in its count of dropped ones */
	char aside[64];   /* the name under which the old file is kept */
};

/* Copies everything. 0 or -ENOMEM; the directory is looked at by tg_store_open(). */
int tg_store_new(const char *state_dir, const struct tg_db_options *o,
		 struct tg_store **ret) TG_CHECKED;
struct tg_store *tg_store_free(struct tg_store *s);
TG_DEFINE_CLEANUP(struct tg_store *, tg_store_free)
/* For the next file that is opened, and the bytes also for this one. */
void tg_store_configure(struct tg_store *s, const struct tg_db_options *o);

/*
 * Opens the spool, or makes it. A log that is found is synced as if it never had been. @verify: the file has failed
 * before; fold its log, sync, and read all of it. Returns 0 or -errno as db.h says: -EUCLEAN: call tg_store_repair(); -EPROTONOSUPPORT:
 * newer, left alone.
 */
int tg_store_open(struct tg_store *s, bool verify, struct tg_fault *reterr) TG_CHECKED;
/* The highest number that a row or an event of the file has, as far as it can be read, be it open or damaged; 0: none. */
uint64_t tg_store_last_seq(struct tg_store *s);
/* Moves what can be read into a new file, sets the old one aside, opens the new one. On failure
 * nothing has changed. */
int tg_store_repair(struct tg_store *s, struct tg_store_repair *ret,
		    struct tg_fault *reterr) TG_CHECKED;
/* NULL while not open. */
struct tg_db *tg_store_db(struct tg_store *s);
void tg_store_close(struct tg_store *s);
/* Closes after a failure, without another write. */
void tg_store_abandon(struct tg_store *s);
