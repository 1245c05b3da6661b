/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/queue.h"
#include "agent/spool/shelf.h"
#include "agent/spool/store.h"

#include <tidegate/log.h>

/*
 * Between the queue, which decides, and the store, which writes: carries out
 * what is due, makes room, and deals with a medium that fails.
 *
 * How failures end: damage is repaired at once (but not again and again); a
 * full or read-only medium keeps the file open for reading and is tried again after 1 s,
 * 2 s ... 60 s; after any other error the file is closed and must pass a
 * verification before it is used again. Meanwhile packs stay in memory, and `error` says so.
 *
 * Logs events. Blocks as long as the disk does. One thread; times are CLOCK_BOOTTIME, given by the
 * caller.
 */
#define TG_DISK_CHECKPOINT_US (UINT64_C(10) * 1000 * 1000) /* durability = normal: what a power cut may take */

struct tg_disk_limits {
	uint64_t max_size, max_age_us; /* 0: no limit of age */
	bool full;                     /* durability */
	bool drop_newest;
};

struct tg_disk {
	struct tg_store *store;
	struct tg_queue *queue;
	struct tg_disk_limits limits;
	void (*tick)(void *user);
	void *tick_user;

	int error; /* 0, or -errno of the medium */
	uint64_t error_since_us;
	char error_text[160];
	bool verify; /* the file has failed: the next open must look at all of it */
	unsigned unreadable; /* such opens that ended in errors of the medium */
	uint64_t retry_us, retry_delay_us;
	uint64_t repaired_us;                                /* 0: never */
	uint64_t upkeep_us, checkpoint_us, age_us, audit_us; /* when each is due */
	bool log_dirty; /* written since the last checkpoint of ours */
	struct tg_log_limit drop_log, fail_log;
	bool fail_told; /* the last failure was logged, so its end is, too */
	uint64_t dropped_logged; /* but for these, which the log has not heard of yet */

	struct tg_shelf shelf;
	uint64_t dropped_told; /* to the cloud; may be ahead of the file's count */
	uint64_t events_us;    /* not to be written before */
	uint64_t aside_seq;    /* of the pack that was set aside last, */
	char aside_device[TG_NAME_MAX + 1]; /* and its device; "": none since start */
	uint64_t repairs;      /* since start, and of the last one: */
	struct tg_store_repair repaired;

	uint64_t now_us; /* of the call under way */
	struct tg_parcel
		*latest; /* the pack that came last: what its clock says about trust holds now */
	struct tg_db_counts counts; /* kept while the file is closed */
	uint64_t file_bytes;
	int64_t oldest_wall_us; /* 0: none */
};

/*
 * Opens the spool of @state_dir. Returns 0 also when the disk fails (see @d->error) or the file is
 * damaged, which the first tg_disk_turn() repairs; -EPROTONOSUPPORT: written by a newer version;
 * -ENOMEM. @tick (may be NULL) is called while something takes long, so that the watchdog sees
 * progress.
 */
int tg_disk_init(struct tg_disk *d, const char *state_dir, const struct tg_disk_limits *limits,
		 void (*tick)(void *user), void *user, struct tg_queue *q,
		 struct tg_fault *reterr) TG_CHECKED;
void tg_disk_done(struct tg_disk *d);
void tg_disk_configure(struct tg_disk *d, const struct tg_disk_limits *limits);
/* The pack that came last; takes a reference. */
void tg_disk_latest(struct tg_disk *d, struct tg_parcel *p);

/* Everything that is due: reopen, commit, drop, read, upkeep, events. */
void tg_disk_turn(struct tg_disk *d, uint64_t now_us);
/* When the next turn is due on the disk's account, TG_US_FOREVER: none. */
uint64_t tg_disk_due_us(const struct tg_disk *d);
/* One last commit of everything. 0 when all is on stable storage, or -errno. Closes the file. */
int tg_disk_finish(struct tg_disk *d, uint64_t now_us) TG_CHECKED;
