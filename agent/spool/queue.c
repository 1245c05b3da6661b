/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/queue_private.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert(TG_SUSPECT_SEEN >= TG_QUEUE_WINDOW_MAX, "all that is in flight can be suspect");

void tg_queue_init(struct tg_queue *q, const struct tg_queue_limits *limits, uint64_t now_us)
{
	*q = (struct tg_queue){
		.limits = *limits,
		.disk = TG_QUEUE_DISK_OK,
		.drained = true,
		.suspect = TG_SUSPECT_INIT,
	};
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
	tg_quarantine_hurry(&q->quarantine);
	tg_rate_set(&q->rate, limits->rate, now_us);
}

/* What all removals from `live` have in common. */
static void forget_live(struct tg_queue *q, struct tg_item *i)
{
	if (tg_queue_is_dirty(i))
		q->dirty--;
	if (tg_queue_is_open_gap(i))
		q->gaps--;
	if (i->state == TG_ITEM_OUT)
		q->in_flight--;
}

/* Its row stays. */
static void remove_live(struct tg_queue *q, struct tg_item *i)
{
	tg_suspect_replays(&q->suspect, i->seq);
	forget_live(q, i);
	tg_ring_remove(&q->live, i);
}

/* The item is of no more use; if it has, or may have, a row, that goes with the next transaction.
 */
void tg_queue_finish(struct tg_queue *q, struct tg_ring *ring, struct tg_item *i, uint64_t now_us)
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

void tg_queue_leave_to_disk(struct tg_queue *q, struct tg_item *i)
{
	const char *device = tg_parcel_device(i->parcel);

	if (!tg_quarantine_has(&q->quarantine, device) || tg_quarantine_tries(&q->quarantine, device))
		tg_queue_row_added(q, i->seq);
	remove_live(q, i);
}

void tg_queue_link_up(struct tg_queue *q, unsigned window)
{
	if (q->up)
		tg_queue_link_down(q, false, 0);

	q->up = true;
	q->window = window < TG_QUEUE_WINDOW_MAX ? window : TG_QUEUE_WINDOW_MAX;
	q->turn = 0;
	q->took = false;
	for (struct tg_item *i = tg_ring_first(&q->live); i; i = tg_ring_after(&q->live, i))
		if (i->state == TG_ITEM_FRESH && i->on_disk)
			tg_queue_leave_to_disk(q, i);
	q->cursor = 0;
	q->drained = false;
}

static size_t list_out(const struct tg_ring *r, uint64_t *seqs, size_t n)
{
	for (struct tg_item *i = tg_ring_first(r); i && n < TG_QUEUE_WINDOW_MAX; i = tg_ring_after(r, i))
		if (i->state == TG_ITEM_OUT)
			seqs[n++] = i->seq;
	return n;
}

static void blame(struct tg_queue *q, uint64_t now_us)
{
	uint64_t seqs[TG_QUEUE_WINDOW_MAX];
	size_t n = list_out(&q->replay, seqs, list_out(&q->live, seqs, 0));
	const struct tg_suspect_pack *p = tg_suspect_ended(&q->suspect, seqs, n);

	if (p && tg_quarantine_condemned(&q->quarantine, p->device, now_us))
		tg_suspect_refused(&q->suspect, q->quarantine.last);
}

void tg_queue_link_down(struct tg_queue *q, bool blamed, uint64_t now_us)
{
	if (!tg_quarantine_down(&q->quarantine) && blamed)
		blame(q, now_us);
	q->later_us = 0;
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
	tg_queue_finish(q, ring, i, now_us);
	tg_suspect_acked(&q->suspect, seq);
	if (tg_quarantine_acked(&q->quarantine, seq))
		tg_queue_row_added(q, 1);
	q->took = true;
	q->acknowledged++;
	return true;
}

/* Written if it is not, then moved, both in the next transaction. */
static void set_aside(struct tg_queue *q, struct tg_item *i, uint64_t now_us)
{
	i->state = TG_ITEM_ASIDE;
	tg_suspect_gone(&q->suspect, i->seq);
	if (tg_quarantine_gone(&q->quarantine, i->seq))
		tg_queue_row_added(q, 1);
	if (q->done++ == 0)
		q->done_since_us = now_us;
}

bool tg_queue_refuse(struct tg_queue *q, uint64_t seq, uint64_t now_us)
{
	struct tg_ring *ring = NULL;
	struct tg_item *i = find_out(q, seq, &ring);

	if (!i)
		return false;
	q->in_flight--;
	set_aside(q, i, now_us);
	return true;
}

/* --- from the disk --- */

bool tg_queue_wants_page(const struct tg_queue *q)
{
	return q->up && !q->drained && q->done < TG_QUEUE_DONE_MAX &&
	       q->replay_fresh < TG_QUEUE_PAGE / 2;
}

static bool is_passed_over(struct tg_queue *q, const struct tg_parcel *p)
{
	const char *device = tg_parcel_device(p);

	return tg_quarantine_has(&q->quarantine, device) && !tg_quarantine_row(&q->quarantine, device, p->seq);
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

	if (tg_queue_holds(q, seq) || is_passed_over(q, p)) {
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
	/* What the disk has not any more was dropped there. */
	for (size_t i = q->suspect.n_held; i > 0; i--) {
		uint64_t seq = q->suspect.held[i - 1].pack.seq;

		if (!tg_queue_holds(q, seq))
			tg_suspect_gone(&q->suspect, seq);
	}
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

/* A pack that waits to be handed out goes aside. */
static void condemn(struct tg_queue *q, struct tg_ring *r, struct tg_item *i, uint64_t now_us)
{
	if (r == &q->replay)
		q->replay_fresh--;
	else if (tg_queue_is_open_gap(i))
		q->gaps--;
	set_aside(q, i, now_us);
}

/* The first that may go; @most: what is taken at worst. Sets condemned ones aside on the way. */
static struct tg_item *first_fresh(struct tg_queue *q, struct tg_ring *r, enum tg_suspect_view most, uint64_t now_us)
{
	enum tg_stream stream = r == &q->live ? TG_STREAM_LIVE : TG_STREAM_REPLAY;

	for (struct tg_item *i = tg_ring_first(r); i; i = tg_ring_after(r, i)) {
		enum tg_suspect_view view;

		if (i->state != TG_ITEM_FRESH)
			continue;
		if (tg_quarantine_has(&q->quarantine, tg_parcel_device(i->parcel)))
			continue;
		if (q->suspect.n_held == 0)
			return i;
		view = tg_suspect_look(&q->suspect, stream, i->seq, tg_parcel_device(i->parcel));
		if (view <= most)
			return i;
		if (view == TG_SUSPECT_ASIDE)
			condemn(q, r, i, now_us);
	}
	return NULL;
}

/* With commit-interval = 0 the disk comes first, unless it fails: then to publish is the best that can be done. */
static bool is_too_early(const struct tg_queue *q, const struct tg_item *i)
{
	return !i->on_disk && q->limits.commit_interval_us == 0 && q->disk == TG_QUEUE_DISK_OK;
}

static struct tg_item *next_live(struct tg_queue *q, enum tg_suspect_view most, uint64_t now_us)
{
	struct tg_item *i = first_fresh(q, &q->live, most, now_us);

	return i && is_too_early(q, i) ? NULL : i;
}

static struct tg_item *next_replay(struct tg_queue *q, enum tg_suspect_view most, uint64_t now_us)
{
	struct tg_item *i = first_fresh(q, &q->replay, most, now_us), *out;

	if (!i)
		return NULL;
	for (out = tg_ring_first(&q->live); out && out->seq < i->seq;
	     out = tg_ring_after(&q->live, out))
		if (out->state == TG_ITEM_OUT)
			return NULL;
	return i;
}

struct candidates {
	struct tg_item *live, *replay;
};

/* What is taken for want of better, and after how long. */
static const struct {
	enum tg_suspect_view most;
	uint64_t after_us;
} turns[] = { { TG_SUSPECT_GO, 0 }, { TG_SUSPECT_LATER, TG_QUEUE_LATER_US }, { TG_SUSPECT_SKIP, TG_QUEUE_HELD_US } };

static struct candidates look_for_next(struct tg_queue *q, uint64_t now_us, uint64_t *ret_again_us)
{
	struct candidates c = { NULL, NULL };

	for (size_t n = 0; n < TG_ARRAY_SIZE(turns); n++) {
		uint64_t at = n ? tg_us_add(q->later_us, turns[n].after_us) : now_us;

		if (now_us < at) {
			*ret_again_us = at;
			return c;
		}
		c = (struct candidates){ next_live(q, turns[n].most, now_us), next_replay(q, turns[n].most, now_us) };
		if (n == 0 && (c.live || c.replay || q->suspect.n_held == 0)) {
			q->later_us = 0;
			return c;
		}
		if (c.live || c.replay)
			return c;
		if (q->later_us == 0)
			q->later_us = now_us;
	}
	return c;
}

/* The oldest of the refused device that is tried. */
static struct tg_item *first_tried(const struct tg_queue *q, const struct tg_ring *r)
{
	for (struct tg_item *i = tg_ring_first(r); i; i = tg_ring_after(r, i))
		if (i->state == TG_ITEM_FRESH && tg_quarantine_tries(&q->quarantine, tg_parcel_device(i->parcel)))
			return i;
	return NULL;
}

/* What of the refused device that is tried goes; false: it is not there yet, or there is none. */
static bool choose_tried(struct tg_queue *q, struct candidates *ret)
{
	struct candidates c = { first_tried(q, &q->live), first_tried(q, &q->replay) };

	if (!c.live && !c.replay && q->drained)
		tg_quarantine_empty(&q->quarantine);
	if (c.live && (tg_quarantine_newest_first(&q->quarantine) || (!c.replay && q->drained)))
		c.replay = NULL;
	else
		c.live = NULL;
	*ret = c;
	return c.replay || (c.live && !is_too_early(q, c.live));
}

/* Whether a pack of a refused device is tried, or will be as soon as nothing else is in flight: then that, or nothing, goes next. */
static bool look_for_trial(struct tg_queue *q, uint64_t now_us, struct candidates *ret)
{
	*ret = (struct candidates){ NULL, NULL };
	if (q->quarantine.out)
		return true;
	/* Others come first: a session ends for each try. */
	if (!q->suspect.careful && (q->took || q->drained) && tg_quarantine_try(&q->quarantine, now_us))
		tg_queue_row_added(q, 1);
	if (!q->quarantine.trying || !choose_tried(q, ret))
		return false;
	if (q->in_flight > 0)
		*ret = (struct candidates){ NULL, NULL };
	return true;
}

bool tg_queue_pick(struct tg_queue *q, uint64_t now_us, struct tg_queue_pick *ret,
		   uint64_t *ret_again_us)
{
	struct candidates c;
	uint64_t at;

	*ret_again_us = TG_US_FOREVER;
	if (!q->up || q->in_flight >= tg_suspect_window(&q->suspect, q->window))
		return false;
	if (!look_for_trial(q, now_us, &c))
		c = look_for_next(q, now_us, ret_again_us);
	if (!c.live && !c.replay)
		return false;
	at = tg_rate_next_us(&q->rate, now_us);
	if (at > now_us) {
		*ret_again_us = at;
		return false;
	}

	if (c.live && (!c.replay || q->turn == 0))
		*ret = (struct tg_queue_pick){ .stream = TG_STREAM_LIVE, .item = c.live };
	else
		*ret = (struct tg_queue_pick){ .stream = TG_STREAM_REPLAY, .item = c.replay };
	ret->contested = c.live && c.replay;
	ret->at_us = now_us;
	return true;
}

void tg_queue_handed(struct tg_queue *q, const struct tg_queue_pick *pick)
{
	struct tg_item *i = pick->item;

	tg_suspect_handed(&q->suspect, pick->stream, i->seq, tg_parcel_device(i->parcel));
	tg_quarantine_handed(&q->quarantine, i->seq, tg_parcel_device(i->parcel), pick->at_us);
	if (pick->contested)
		q->turn = (q->turn + 1) % TG_QUEUE_LIVE_TURN;
	if (pick->stream == TG_STREAM_REPLAY) {
		/* The row is the copy that counts. */
		tg_ring_release(&q->replay, i);
		q->replay_fresh--;
	} else if (tg_queue_is_open_gap(i)) {
		i->closed = true;
		q->gaps--;
	}
	i->state = TG_ITEM_OUT;
	q->in_flight++;
	tg_rate_spend(&q->rate);
}
