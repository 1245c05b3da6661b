/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/gap.h"
#include "agent/spool/queue_private.h"
#include "base/clock.h"

#include <string.h>

/*
 * The queue's way to the disk: what is due when, what leaves memory, what is
 * dropped where nothing else helps.
 */
#define DELETE_DELAY_US TG_US_PER_S    /* few acknowledged rows wait this long for company */
#define ROW_PAGE        UINT64_C(4096) /* of the file */
#define ROW_SMALL       (ROW_PAGE / 2) /* of larger rows no two may fit into a page */
#define ROW_KEY         100u           /* of a row, besides its bytes */
#define GAP_SEARCH      2048u          /* items looked through for a gap record to merge with */

/* When the oldest pack that is not on the disk came; the stored value is only a lower bound, as
 * acks pass unseen. */
static uint64_t oldest_dirty_us(const struct tg_queue *q)
{
	uint64_t oldest = TG_US_FOREVER;

	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i))
		if (tg_queue_is_dirty(i) && i->put_us < oldest)
			oldest = i->put_us;
	return oldest;
}

static uint64_t dirty_due_us(struct tg_queue *q, uint64_t now_us)
{
	uint64_t due;

	if (q->dirty == 0 || q->disk == TG_QUEUE_DISK_FAILING)
		return TG_US_FOREVER;
	if (q->disk == TG_QUEUE_DISK_BOUND && q->up)
		return TG_US_FOREVER;
	if (q->urgent || q->limits.commit_interval_us == 0)
		return now_us;
	if (!q->up)
		/* At once, but one group commit an interval. */
		return tg_us_add(q->flush_us, q->limits.commit_interval_us);

	due = tg_us_add(q->dirty_since_us, q->limits.commit_interval_us);
	if (due <= now_us) {
		q->dirty_since_us = oldest_dirty_us(q);
		due = tg_us_add(q->dirty_since_us, q->limits.commit_interval_us);
	}
	return due;
}

static uint64_t done_due_us(const struct tg_queue *q, uint64_t now_us)
{
	if (q->done == 0 || q->disk == TG_QUEUE_DISK_FAILING)
		return TG_US_FOREVER;
	if (q->done >= TG_QUEUE_DONE_FLUSH)
		return now_us;
	return tg_us_add(q->done_since_us, DELETE_DELAY_US);
}

uint64_t tg_queue_flush_us(struct tg_queue *q, uint64_t now_us)
{
	uint64_t dirty = dirty_due_us(q, now_us), done = done_due_us(q, now_us);

	return dirty < done ? dirty : done;
}

static int flush_removals(struct tg_ring *ring, const struct tg_queue_sink *sink)
{
	int r = 0;

	for (struct tg_item *i = tg_ring_first(ring); i && r >= 0; i = tg_ring_after(ring, i)) {
		if (i->state == TG_ITEM_DONE)
			r = sink->remove(sink->user, i->seq);
		else if (i->state == TG_ITEM_ASIDE && (i->on_disk || i->tried))
			r = sink->aside(sink->user, i->seq);
	}
	return r;
}

static int flush_item(struct tg_queue *q, struct tg_item *i, const struct tg_queue_sink *sink)
{
	int r = 0;

	if (q->disk == TG_QUEUE_DISK_BOUND && i->gap == 0 && i->state != TG_ITEM_ASIDE)
		return 0;
	/* A commit that failed may have left the pack there that has become a gap record since. */
	if (i->gap != 0 && i->tried)
		r = sink->remove(sink->user, i->seq);
	i->tried = true;
	return r < 0 ? r : sink->append(sink->user, i);
}

int tg_queue_flush(struct tg_queue *q, const struct tg_queue_sink *sink)
{
	int r = 0;

	for (struct tg_item *i = tg_ring_first(&q->live); i && r >= 0 && q->dirty > 0;
	     i = tg_ring_after(&q->live, i))
		if (tg_queue_is_dirty(i))
			r = flush_item(q, i, sink);
	if (r >= 0 && q->done > 0)
		r = flush_removals(&q->live, sink);
	if (r >= 0 && q->done > 0)
		r = flush_removals(&q->replay, sink);
	return r;
}

/* A pack of this device has come between: what is lost later is another gap. */
static void close_gaps(struct tg_queue *q, const char *device)
{
	for (struct tg_item *i = tg_ring_first(&q->live); i && q->gaps > 0;
	     i = tg_ring_after(&q->live, i)) {
		if (!tg_queue_is_open_gap(i) || strcmp(tg_parcel_device(i->parcel), device) != 0)
			continue;
		i->closed = true;
		q->gaps--;
	}
}

static void drop_removed(struct tg_ring *ring)
{
	for (struct tg_item *i = tg_ring_first(ring); i; i = tg_ring_after(ring, i))
		if (i->state == TG_ITEM_DONE ||
		    (i->state == TG_ITEM_ASIDE && (i->on_disk || i->tried)))
			tg_ring_remove(ring, i);
}

void tg_queue_flushed(struct tg_queue *q, bool committed, uint64_t now_us)
{
	if (!committed)
		return;

	if (q->done > 0) {
		for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i))
			if (i->state == TG_ITEM_ASIDE && i->tried && tg_queue_is_dirty(i)) {
				i->on_disk = true;
				q->dirty--;
			}
		drop_removed(&q->live);
		drop_removed(&q->replay);
		q->done = 0;
	}
	for (struct tg_item *i = tg_ring_first(&q->live); i && q->dirty > 0;
	     i = tg_ring_after(&q->live, i)) {
		if (!i->tried || !tg_queue_is_dirty(i))
			continue;
		i->on_disk = true;
		q->dirty--;
		if (i->gap == 0 && q->gaps > 0)
			close_gaps(q, tg_parcel_device(i->parcel));
	}
	q->flush_us = now_us;
	q->dropped = 0;
	q->urgent = false;
	q->dirty_since_us = now_us;
}

/* What a row of @len bytes may take in the file: small ones share pages, large ones waste the rest of theirs. */
static uint64_t row_bytes(uint64_t len)
{
	return len < ROW_SMALL ? len + len / 8 + ROW_KEY
			       : (len + ROW_KEY + ROW_PAGE - 1) / ROW_PAGE * ROW_PAGE + ROW_SMALL;
}

uint64_t tg_queue_dirty_bytes(const struct tg_queue *q)
{
	uint64_t bytes = 0;

	if (q->dirty == 0)
		return 0;
	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i))
		if (tg_queue_is_dirty(i))
			bytes += row_bytes(i->parcel->len);
	return bytes;
}

void tg_queue_set_disk(struct tg_queue *q, enum tg_queue_disk disk)
{
	/* What has waited meanwhile goes at once. */
	if (q->disk != disk && disk == TG_QUEUE_DISK_OK && q->dirty > 0)
		q->urgent = true;
	q->disk = disk;
}

void tg_queue_file_replaced(struct tg_queue *q)
{
	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i)) {
		if (!i->on_disk || !i->parcel)
			continue;
		i->on_disk = false;
		i->tried = true;
		if (tg_queue_is_dirty(i))
			q->dirty++;
	}
	q->urgent = q->dirty > 0;
	/* Also rows that the old one had hidden before the cursor. */
	tg_queue_row_added(q, 1);
}

typedef struct tg_item *(*walk_fn)(const struct tg_ring *r, const struct tg_item *i);

/* The next pack of @i's device in one direction, if it is a gap record that @i can be merged with.
 */
static struct tg_item *open_gap_beside(const struct tg_queue *q, const struct tg_item *i,
				       walk_fn walk)
{
	const char *device = tg_parcel_device(i->parcel);
	unsigned looked = 0;

	if (q->gaps == 0)
		return NULL;
	for (struct tg_item *b = walk(&q->live, i); b && looked < GAP_SEARCH;
	     b = walk(&q->live, b), looked++)
		if (b->parcel && strcmp(tg_parcel_device(b->parcel), device) == 0)
			return tg_queue_is_open_gap(b) ? b : NULL;
	return NULL;
}

/* @i becomes a gap record that says @count and @first; the record that it may have been is
 * rewritten. */
static int tell_gap(struct tg_queue *q, struct tg_item *i, uint64_t count, uint64_t first)
{
	struct tg_parcel *gap = NULL;
	int r = tg_gap_new(i->parcel, count, first, &gap);

	if (r < 0)
		return r;
	tg_ring_replace(&q->live, i, gap);
	if (i->gap == 0)
		q->gaps++;
	i->gap = count;
	i->gap_first = first;
	if (i->on_disk) {
		i->on_disk = false;
		i->tried = true;
		q->dirty++;
	}
	return 0;
}

/* The pack goes; a gap record, of its own or of its neighbours, tells. */
static void drop(struct tg_queue *q, struct tg_item *i)
{
	struct tg_item *before = open_gap_beside(q, i, tg_ring_before);
	struct tg_item *after = open_gap_beside(q, i, tg_ring_after);
	uint64_t count = 1 + (before ? before->gap : 0) + (after ? after->gap : 0);
	uint64_t first = before ? before->gap_first : i->seq;

	q->dropped++;
	if (tell_gap(q, after ? after : i, count, first) < 0) {
		/* No memory even for that: the count in the file still tells. */
		tg_queue_finish(q, &q->live, i, i->put_us);
		return;
	}
	if (before)
		tg_queue_finish(q, &q->live, before, i->put_us);
	if (after)
		tg_queue_finish(q, &q->live, i, i->put_us);
}

static bool is_droppable(const struct tg_item *i)
{
	return i->state == TG_ITEM_FRESH && i->gap == 0 && !i->on_disk;
}

static struct tg_item *victim(const struct tg_queue *q)
{
	struct tg_item *i;

	if (q->limits.drop_newest)
		for (i = tg_ring_last(&q->live); i && !is_droppable(i);
		     i = tg_ring_before(&q->live, i))
			;
	else
		for (i = tg_ring_first(&q->live); i && !is_droppable(i);
		     i = tg_ring_after(&q->live, i))
			;
	return i;
}

/* Packs that are on the disk leave, oldest first: all of them, or until @bytes are kept. */
static void evict(struct tg_queue *q, uint64_t bytes)
{
	for (struct tg_item *i = tg_ring_first(&q->live); i && q->live.bytes > bytes;
	     i = tg_ring_after(&q->live, i)) {
		if (!i->on_disk)
			continue;
		if (i->state == TG_ITEM_FRESH && (q->up || !tg_queue_is_open_gap(i)))
			tg_queue_leave_to_disk(q, i);
		else if (i->state == TG_ITEM_OUT && i->parcel)
			tg_ring_release(&q->live, i);
	}
}

/* What is set aside, and finds no disk: of all that is in memory it alone can never be sent. Returns whether there was one. */
static bool give_up_aside(struct tg_queue *q)
{
	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i)) {
		if (i->state != TG_ITEM_ASIDE || i->on_disk)
			continue;
		q->done--;
		q->dropped++;
		tg_queue_finish(q, &q->live, i, i->put_us);
		return true;
	}
	return false;
}

/*
 * What is passed over anyway, and looked at each time something is handed out, does not stay in memory; but for the newest of
 * each device, to be tried.
 */
static void evict_refused(struct tg_queue *q)
{
	unsigned kept = 0;

	for (struct tg_item *i = tg_ring_last(&q->live); i && q->quarantine.refused > 0; i = tg_ring_before(&q->live, i)) {
		int device = i->state == TG_ITEM_FRESH && i->on_disk && !tg_queue_is_open_gap(i)
				     ? tg_quarantine_index(&q->quarantine, tg_parcel_device(i->parcel))
				     : -1;

		if (device >= 0 && (kept & 1u << device))
			tg_queue_leave_to_disk(q, i);
		else if (device >= 0)
			kept |= 1u << device;
	}
}

void tg_queue_settle(struct tg_queue *q)
{
	struct tg_item *i;

	if (!q->up)
		evict(q, 0);
	else
		evict_refused(q);
	if (q->dirty == 0)
		q->urgent = false;
	if (q->live.bytes <= q->limits.memory)
		return;

	/* Some slack, or the next pack would do it all again. */
	evict(q, q->limits.memory - q->limits.memory / 4);
	if (q->disk == TG_QUEUE_DISK_OK)
		return;
	while (q->live.bytes > q->limits.memory && give_up_aside(q))
		;
	while (q->live.bytes > q->limits.memory && (i = victim(q)))
		drop(q, i);
}

void tg_queue_drop_dirty(struct tg_queue *q, uint64_t bytes)
{
	uint64_t gone = 0;

	for (struct tg_item *i = tg_ring_first(&q->live); i && gone < bytes;
	     i = tg_ring_after(&q->live, i)) {
		if (!is_droppable(i))
			continue;
		gone += row_bytes(i->parcel->len);
		drop(q, i);
	}
}
