/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/quarantine.h"
#include "agent/spool/rate.h"
#include "agent/spool/ring.h"
#include "agent/spool/suspect.h"

#include <tidegate/sample.h>

/*
 * What the spool decides: which packs go to the disk and when, what is handed
 * out next, what is dropped when nothing more fits.
 *
 * Pure: no SQLite, no threads, no clock. Times are CLOCK_BOOTTIME in
 * microseconds, given by the caller, and must not decrease. One thread.
 *
 * Two rings. `live` holds packs since they were put; they are handed out as the
 * live stream. `replay` holds what was read back from the disk. A pack whose row is on
 * the disk may leave `live` (memory is short, or the link is down); it comes back
 * through `replay`, whose cursor is moved back where necessary.
 *
 * Order, per device and stream: `live` is handed out in order of sequence
 * numbers and packs leave it oldest first; a replay pack waits while an older live
 * one is in flight, as that one would have to be replayed after it if the session broke.
 *
 * Packs for which the broker ends its sessions: suspect.h. Devices of which it takes nothing: quarantine.h. Their rows
 * are not read but for one that is tried; in `live` is only what is not on the disk.
 */
#define TG_QUEUE_WINDOW_MAX 512u          /* in flight; more than any broker allows */
#define TG_QUEUE_PAGE       64u           /* rows of one read from the disk, and */
#define TG_QUEUE_PAGE_BYTES (256u * 1024) /* their bytes, but at least one */
#define TG_QUEUE_DONE_FLUSH 128u          /* acknowledged rows that make one bulk delete */
#define TG_QUEUE_DONE_MAX                                                                          \
	2048u                 /* with as many undeleted no more is read: a crash sends them again */
#define TG_QUEUE_LIVE_TURN 5u /* when both wait, one in five is live: 20 % */
#define TG_QUEUE_LATER_US  UINT64_C(10000000) /* another pack is waited for, before one that may break the order of one held */
#define TG_QUEUE_HELD_US   UINT64_C(600000000) /* and before one that is held, where there is no other */

struct tg_queue_limits {
	uint64_t memory;             /* bytes of the live ring */
	uint64_t commit_interval_us; /* 0: on the disk before it is handed out */
	uint64_t rate;               /* hand-outs a second; 0: no limit */
	bool drop_newest;
};

/* What the disk does at the moment. */
enum tg_queue_disk {
	TG_QUEUE_DISK_OK,
	TG_QUEUE_DISK_BOUND,   /* max-size is reached and may not be made room in: only gap records
				  and deletes */
	TG_QUEUE_DISK_FAILING, /* refuses writes: everything stays in memory */
};

struct tg_queue {
	struct tg_queue_limits limits;
	struct tg_ring live, replay;
	struct tg_rate rate;
	struct tg_suspect suspect;
	struct tg_quarantine quarantine;
	uint64_t later_us; /* since when nothing else could go; 0: something could */
	enum tg_queue_disk disk;
	bool up;
	bool urgent;  /* commit at once: the link went down, or memory is short */
	bool drained; /* no rows behind the cursor */
	bool took; /* a pack of this session was acknowledged */
	unsigned window, in_flight, turn;
	uint64_t cursor;         /* the highest number read back from the disk in this session */
	size_t dirty;            /* live items that are not on the disk */
	uint64_t dirty_since_us; /* not later than the oldest of them came */
	size_t done;             /* items that wait for a delete or a move */
	uint64_t done_since_us;
	uint64_t flush_us;   /* of the last commit */
	size_t gaps;         /* open gap records in `live` */
	size_t replay_fresh; /* read ahead, not handed out */
	uint64_t acknowledged;
	uint64_t dropped; /* since the last successful commit; not yet in the file's own count */
};

/* Never fails. tg_queue_done() gives everything up. */
void tg_queue_init(struct tg_queue *q, const struct tg_queue_limits *limits, uint64_t now_us);
void tg_queue_done(struct tg_queue *q);
void tg_queue_configure(struct tg_queue *q, const struct tg_queue_limits *limits, uint64_t now_us);

/* Takes over one reference on success. 0, -EEXIST (a number must never repeat), -ENOMEM. */
int tg_queue_put(struct tg_queue *q, struct tg_parcel *p, uint64_t put_us) TG_CHECKED;
void tg_queue_link_up(struct tg_queue *q, unsigned window);
/* Everything that was handed out counts as not sent. @blamed: the broker ended the session, or did not answer to packs. */
void tg_queue_link_down(struct tg_queue *q, bool blamed, uint64_t now_us);
/* Of a pack that is in flight; others are ignored. Returns whether there was one. */
bool tg_queue_ack(struct tg_queue *q, uint64_t seq, uint64_t now_us);
bool tg_queue_refuse(struct tg_queue *q, uint64_t seq, uint64_t now_us);

/* --- to the disk ----------------------------------------------------------------------- */

/* When the next transaction is due, TG_US_FOREVER: none; <= @now_us: now. */
uint64_t tg_queue_flush_us(struct tg_queue *q, uint64_t now_us);
/*
 * One transaction's worth: calls @append for packs that are not on the disk, oldest first, @aside
 * for refused ones and @remove for rows that are no longer needed. Stops at the first -errno and
 * returns it. tg_queue_flushed() must follow, with whether the transaction was committed.
 */
struct tg_queue_sink {
	int (*append)(void *user, const struct tg_item *item);
	int (*aside)(void *user, uint64_t seq);
	int (*remove)(void *user, uint64_t seq);
	void *user;
};
int tg_queue_flush(struct tg_queue *q, const struct tg_queue_sink *sink) TG_CHECKED;
void tg_queue_flushed(struct tg_queue *q, bool committed, uint64_t now_us);
/* Bytes that the packs of the next transaction may take in the file. */
uint64_t tg_queue_dirty_bytes(const struct tg_queue *q);
/* What the disk does from now on. */
void tg_queue_set_disk(struct tg_queue *q, enum tg_queue_disk disk);
/* The file was damaged and made anew from what could be read: rows of packs that are still in
 * memory are written again. */
void tg_queue_file_replaced(struct tg_queue *q);
/*
 * Keeps `live` within its bytes: what is on the disk leaves, and where the disk does not help,
 * packs are dropped and told by gap records. Call after every flush.
 */
void tg_queue_settle(struct tg_queue *q);
/*
 * The disk's bound is reached and the link is down: drops packs that wait for the disk and are not in flight, oldest first, until @bytes,
 * as tg_queue_dirty_bytes() counts them, are gone. What the gap records take is not counted.
 */
void tg_queue_drop_dirty(struct tg_queue *q, uint64_t bytes);

/* --- from the disk --------------------------------------------------------------------- */

/* Whether rows behind q->cursor should be read now. */
bool tg_queue_wants_page(const struct tg_queue *q);
/* One row, in increasing order. Takes over @p on success; a row that is in memory already is passed
 * over. 0, -ENOMEM. */
int tg_queue_page_row(struct tg_queue *q, struct tg_parcel *p, uint64_t gap,
		      uint64_t gap_first) TG_CHECKED;
/* There was no row behind the last one. */
void tg_queue_page_end(struct tg_queue *q);
/* Whether the row of @seq is accounted for in memory; such rows must not be deleted behind the
 * queue's back. */
bool tg_queue_holds(const struct tg_queue *q, uint64_t seq);
/* A row was written behind the queue's back (a gap record): read it in this session. */
void tg_queue_row_added(struct tg_queue *q, uint64_t seq);

/* --- out ------------------------------------------------------------------------------- */

struct tg_queue_pick {
	enum tg_stream stream;
	struct tg_item
		*item;  /* item->parcel is the queue's: take a reference before tg_queue_handed() */
	bool contested; /* the other stream waits, too */
	uint64_t at_us; /* now */
};
/* What goes next. Returns true and a pick, or false and when to ask again (TG_US_FOREVER: after
 * something has happened). */
bool tg_queue_pick(struct tg_queue *q, uint64_t now_us, struct tg_queue_pick *ret,
		   uint64_t *ret_again_us);
/* The pick has gone. */
void tg_queue_handed(struct tg_queue *q, const struct tg_queue_pick *pick);
