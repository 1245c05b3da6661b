/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/queue.h"

#include "agent/spool/gap.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define DELETE_DELAY_US TG_US_PER_S /* few acknowledged rows wait this long for company */
#define GAP_SEARCH      2048u       /* items looked through for a gap record to merge with */

void tg_queue_init(struct tg_queue *q, const struct tg_queue_limits *limits, uint64_t now_us)
{
	*q = (struct tg_queue){ .limits = *limits, .disk = TG_QUEUE_DISK_OK, .drained = true };
	tg_rate_set(&q->rate, limits->rate, now_us);
}

void tg_queue_done(struct tg_queue *q)
{
	tg_ring_done(&q->live);
	tg_ring_done(&q->replay);
}

void tg_queue_configure(struct tg_queue *q, const struct tg_queue_limits *limits, uint64_t now_us)
{
	q->limits = *limits;
	tg_rate_set(&q->rate, limits->rate, now_us);
}

/* Whether the item still has to be written. */
static bool is_dirty(const struct tg_item *i)
{
	return !i->on_disk && i->parcel &&
	       (i->state == TG_ITEM_FRESH || i->state == TG_ITEM_OUT || i->state == TG_ITEM_ASIDE);
}

static bool is_open_gap(const struct tg_item *i)
{
	return i->gap != 0 && !i->closed && i->state == TG_ITEM_FRESH;
}

/* What all removals from `live` have in common. */
static void forget_live(struct tg_queue *q, struct tg_item *i)
{
	if (is_dirty(i))
		q->dirty--;
	if (is_open_gap(i))
		q->gaps--;
	if (i->state == TG_ITEM_OUT)
		q->in_flight--;
}

static void remove_live(struct tg_queue *q, struct tg_item *i)
{
	forget_live(q, i);
	tg_ring_remove(&q->live, i);
}

/* The item is of no more use; if it has, or may have, a row, that goes with the next transaction.
 */
static void finish(struct tg_queue *q, struct tg_ring *ring, struct tg_item *i, uint64_t now_us)
{
	if (ring == &q->live)
		forget_live(q, i);
	else if (i->state == TG_ITEM_OUT)
		q->in_flight--;

	if (!i->on_disk && !i->tried) {
		tg_ring_remove(ring, i);
		return;
	}
	i->state = TG_ITEM_DONE;
	tg_ring_release(ring, i);
	if (q->done++ == 0)
		q->done_since_us = now_us;
}

/* A pack of this device has come between: what is lost later is another gap. */
static void close_gaps(struct tg_queue *q, const char *device)
{
	for (struct tg_item *i = tg_ring_first(&q->live); i && q->gaps > 0;
	     i = tg_ring_after(&q->live, i)) {
		if (!is_open_gap(i) || strcmp(tg_parcel_device(i->parcel), device) != 0)
			continue;
		i->closed = true;
		q->gaps--;
	}
}

int tg_queue_put(struct tg_queue *q, struct tg_parcel *p, uint64_t put_us)
{
	const struct tg_item item = {
		.seq = p->seq, .put_us = put_us, .parcel = p, .state = TG_ITEM_FRESH
	};
	int r;

	if (tg_queue_holds(q, p->seq))
		return -EEXIST;
	r = tg_ring_insert(&q->live, &item);
	if (r < 0)
		return r;
	if (q->dirty++ == 0)
		q->dirty_since_us = put_us;
	if (q->live.bytes > q->limits.memory)
		q->urgent = true;
	return 0;
}

/* The pack is on the disk only from now on, and will be read back from there. */
static void leave_to_disk(struct tg_queue *q, struct tg_item *i)
{
	tg_queue_row_added(q, i->seq);
	remove_live(q, i);
}

void tg_queue_link_up(struct tg_queue *q, unsigned window)
{
	if (q->up)
		tg_queue_link_down(q);

	q->up = true;
	q->window = window < TG_QUEUE_WINDOW_MAX ? window : TG_QUEUE_WINDOW_MAX;
	q->turn = 0;
	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i))
		if (i->state == TG_ITEM_FRESH && i->on_disk)
			leave_to_disk(q, i);
	q->cursor = 0;
	q->drained = false;
}

void tg_queue_link_down(struct tg_queue *q)
{
	q->up = false;
	q->in_flight = 0;
	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i)) {
		if (i->state != TG_ITEM_OUT)
			continue;
		i->state = TG_ITEM_FRESH;
		if (i->on_disk)
			remove_live(q, i);
	}
	for (struct tg_item *i = tg_ring_first(&q->replay); i; i = tg_ring_after(&q->replay, i))
		if (i->state == TG_ITEM_FRESH || i->state == TG_ITEM_OUT)
			tg_ring_remove(&q->replay, i);
	q->replay_fresh = 0;
	if (q->dirty > 0)
		q->urgent = true;
}

static struct tg_item *find_out(struct tg_queue *q, uint64_t seq, struct tg_ring **ret_ring)
{
	struct tg_ring *rings[] = { &q->live, &q->replay };

	for (size_t n = 0; n < TG_ARRAY_SIZE(rings); n++) {
		struct tg_item *i = tg_ring_find(rings[n], seq);

		if (i && i->state == TG_ITEM_OUT) {
			*ret_ring = rings[n];
			return i;
		}
	}
	return NULL;
}

bool tg_queue_ack(struct tg_queue *q, uint64_t seq, uint64_t now_us)
{
	struct tg_ring *ring = NULL;
	struct tg_item *i = find_out(q, seq, &ring);

	if (!i)
		return false;
	finish(q, ring, i, now_us);
	q->acknowledged++;
	return true;
}

bool tg_queue_refuse(struct tg_queue *q, uint64_t seq, uint64_t now_us)
{
	struct tg_ring *ring = NULL;
	struct tg_item *i = find_out(q, seq, &ring);

	if (!i)
		return false;
	/* Written if it is not, then moved, both in the next transaction. */
	i->state = TG_ITEM_ASIDE;
	q->in_flight--;
	if (q->done++ == 0)
		q->done_since_us = now_us;
	return true;
}

/* --- to the disk --- */

/* When the oldest pack that is not on the disk came; the stored value is only a lower bound, as
 * acks pass unseen. */
static uint64_t oldest_dirty_us(const struct tg_queue *q)
{
	uint64_t oldest = TG_US_FOREVER;

	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i))
		if (is_dirty(i) && i->put_us < oldest)
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
		if (is_dirty(i))
			r = flush_item(q, i, sink);
	if (r >= 0 && q->done > 0)
		r = flush_removals(&q->live, sink);
	if (r >= 0 && q->done > 0)
		r = flush_removals(&q->replay, sink);
	return r;
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
			if (i->state == TG_ITEM_ASIDE && i->tried && is_dirty(i)) {
				i->on_disk = true;
				q->dirty--;
			}
		drop_removed(&q->live);
		drop_removed(&q->replay);
		q->done = 0;
	}
	for (struct tg_item *i = tg_ring_first(&q->live); i && q->dirty > 0;
	     i = tg_ring_after(&q->live, i)) {
		if (!i->tried || !is_dirty(i))
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

uint64_t tg_queue_dirty_bytes(const struct tg_queue *q)
{
	uint64_t bytes = 0;

	if (q->dirty == 0)
		return 0;
	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i))
		if (is_dirty(i))
			bytes += i->parcel->len;
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
		if (is_dirty(i))
			q->dirty++;
	}
	q->urgent = q->dirty > 0;
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
			return is_open_gap(b) ? b : NULL;
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
		finish(q, &q->live, i, i->put_us);
		return;
	}
	if (before)
		finish(q, &q->live, before, i->put_us);
	if (after)
		finish(q, &q->live, i, i->put_us);
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
		if (i->state == TG_ITEM_FRESH && (q->up || !is_open_gap(i)))
			leave_to_disk(q, i);
		else if (i->state == TG_ITEM_OUT && i->parcel)
			tg_ring_release(&q->live, i);
	}
}

void tg_queue_settle(struct tg_queue *q)
{
	struct tg_item *i;

	if (!q->up)
		evict(q, 0);
	if (q->dirty == 0)
		q->urgent = false;
	if (q->live.bytes <= q->limits.memory)
		return;

	/* Some slack, or the next pack would do it all again. */
	evict(q, q->limits.memory - q->limits.memory / 4);
	if (q->disk == TG_QUEUE_DISK_OK)
		return;
	while (q->live.bytes > q->limits.memory && (i = victim(q)))
		drop(q, i);
}

void tg_queue_drop_dirty(struct tg_queue *q)
{
	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i))
		if (is_droppable(i))
			drop(q, i);
}

/* --- from the disk --- */

bool tg_queue_wants_page(const struct tg_queue *q)
{
	return q->up && !q->drained && q->done < TG_QUEUE_DONE_MAX &&
	       q->replay_fresh < TG_QUEUE_PAGE / 2;
}

int tg_queue_page_row(struct tg_queue *q, struct tg_parcel *p, uint64_t gap, uint64_t gap_first)
{
	const struct tg_item item = {
		.seq = p->seq,
		.parcel = p,
		.gap = gap,
		.gap_first = gap_first,
		.state = TG_ITEM_FRESH,
		.on_disk = true,
	};
	uint64_t seq = p->seq;
	int r;

	if (tg_queue_holds(q, seq)) {
		tg_parcel_unref(p);
	} else {
		r = tg_ring_insert(&q->replay, &item);
		if (r < 0)
			return r;
		q->replay_fresh++;
	}
	if (seq > q->cursor)
		q->cursor = seq;
	return 0;
}

void tg_queue_page_end(struct tg_queue *q)
{
	q->drained = true;
}

bool tg_queue_holds(const struct tg_queue *q, uint64_t seq)
{
	return tg_ring_find(&q->live, seq) || tg_ring_find(&q->replay, seq);
}

void tg_queue_row_added(struct tg_queue *q, uint64_t seq)
{
	q->drained = false;
	if (q->cursor >= seq)
		q->cursor = seq - 1;
}

/* --- out --- */

static struct tg_item *first_fresh(const struct tg_ring *r)
{
	struct tg_item *i = tg_ring_first(r);

	while (i && i->state != TG_ITEM_FRESH)
		i = tg_ring_after(r, i);
	return i;
}

static struct tg_item *next_live(const struct tg_queue *q)
{
	struct tg_item *i = first_fresh(&q->live);

	/* With commit-interval = 0 the disk comes first, unless it fails: then to publish is the
	 * best that can be done. */
	if (i && !i->on_disk && q->limits.commit_interval_us == 0 && q->disk == TG_QUEUE_DISK_OK)
		return NULL;
	return i;
}

static struct tg_item *next_replay(const struct tg_queue *q)
{
	struct tg_item *i = first_fresh(&q->replay), *out;

	if (!i)
		return NULL;
	for (out = tg_ring_first(&q->live); out && out->seq < i->seq;
	     out = tg_ring_after(&q->live, out))
		if (out->state == TG_ITEM_OUT)
			return NULL;
	return i;
}

bool tg_queue_pick(struct tg_queue *q, uint64_t now_us, struct tg_queue_pick *ret,
		   uint64_t *ret_again_us)
{
	struct tg_item *live, *replay;
	uint64_t at;

	*ret_again_us = TG_US_FOREVER;
	if (!q->up || q->in_flight >= q->window)
		return false;
	live = next_live(q);
	replay = next_replay(q);
	if (!live && !replay)
		return false;
	at = tg_rate_next_us(&q->rate, now_us);
	if (at > now_us) {
		*ret_again_us = at;
		return false;
	}

	if (live && (!replay || q->turn == 0))
		*ret = (struct tg_queue_pick){ .stream = TG_STREAM_LIVE, .item = live };
	else
		*ret = (struct tg_queue_pick){ .stream = TG_STREAM_REPLAY, .item = replay };
	ret->contested = live && replay;
	return true;
}

void tg_queue_handed(struct tg_queue *q, const struct tg_queue_pick *pick)
{
	struct tg_item *i = pick->item;

	if (pick->contested)
		q->turn = (q->turn + 1) % TG_QUEUE_LIVE_TURN;
	if (pick->stream == TG_STREAM_REPLAY) {
		/* The row is the copy that counts. */
		tg_ring_release(&q->replay, i);
		q->replay_fresh--;
	} else if (is_open_gap(i)) {
		i->closed = true;
		q->gaps--;
	}
	i->state = TG_ITEM_OUT;
	q->in_flight++;
	tg_rate_spend(&q->rate);
}
