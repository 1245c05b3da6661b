/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pack/parcel.h"

#include <stdbool.h>

/*
 * The spool's packs in memory, sorted by sequence number.
 *
 * Packs arrive nearly in order (workers number theirs at the same time), so
 * that an insert is an append, give or take a few places. A removed item stays
 * as a tombstone until the head passes it or the vector is compacted.
 *
 * No threads, no I/O, no clock. Embedded by value; TG_RING_NULL is an empty one.
 * Pointers to items are valid until the next insert.
 */
enum tg_item_state {
	TG_ITEM_GONE,  /* tombstone */
	TG_ITEM_FRESH, /* waits to be handed out */
	TG_ITEM_OUT,   /* handed out in this session, not acknowledged */
	TG_ITEM_DONE,  /* acknowledged or replaced; only its row on the disk waits to be deleted */
	TG_ITEM_ASIDE, /* refused; waits to be moved aside on the disk */
};

struct tg_item {
	uint64_t seq;
	uint64_t put_us;          /* when it came, CLOCK_BOOTTIME */
	struct tg_parcel *parcel; /* one reference; NULL once the row on the disk is enough */
	uint64_t gap;             /* 0: a pack; else a gap record for this many packs */
	uint64_t gap_first;       /* of a gap record: the first sequence number that is missing */
	enum tg_item_state state;
	bool on_disk; /* its row is on stable storage */
	bool tried;   /* part of a transaction that has not succeeded (yet): its row may be there */
	bool closed;  /* a gap record that later losses are not merged into */
};

struct tg_ring {
	struct tg_item *v;
	size_t head, end, cap; /* v[head..end) */
	size_t count;          /* without tombstones */
	uint64_t bytes;        /* of items and parcels */
};
#define TG_RING_NULL                                                                               \
	{                                                                                          \
		0                                                                                  \
	}

void tg_ring_done(struct tg_ring *r);
/* Takes over item->parcel on success. Returns 0, -EEXIST when the number is there already, or
 * -ENOMEM. */
int tg_ring_insert(struct tg_ring *r, const struct tg_item *item) TG_CHECKED;
/* NULL when there is none. */
struct tg_item *tg_ring_find(const struct tg_ring *r, uint64_t seq);
/* Oldest first; NULL at the end. */
struct tg_item *tg_ring_first(const struct tg_ring *r);
struct tg_item *tg_ring_after(const struct tg_ring *r, const struct tg_item *i);
struct tg_item *tg_ring_last(const struct tg_ring *r);
struct tg_item *tg_ring_before(const struct tg_ring *r, const struct tg_item *i);
/* Drops the item and its parcel. tg_ring_after() and _before() of @i still work. */
void tg_ring_remove(struct tg_ring *r, struct tg_item *i);
/* Gives up the parcel, keeps the item. */
void tg_ring_release(struct tg_ring *r, struct tg_item *i);
/* Swaps the parcel for @p, whose reference it takes over. */
void tg_ring_replace(struct tg_ring *r, struct tg_item *i, struct tg_parcel *p);
