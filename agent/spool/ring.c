/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_MIN  64u   /* items of the first allocation */
#define RING_KEEP 1024u /* an empty ring keeps no more than this */

static uint64_t cost(const struct tg_item *i)
{
	return sizeof(*i) + (i->parcel ? sizeof(*i->parcel) + i->parcel->len : 0);
}

void tg_ring_done(struct tg_ring *r)
{
	for (size_t i = r->head; i < r->end; i++)
		tg_parcel_unref(r->v[i].parcel);
	free(r->v);
	*r = (struct tg_ring) TG_RING_NULL;
}

/* The first place whose number is not below @seq. */
static size_t place(const struct tg_ring *r, uint64_t seq)
{
	size_t lo = r->head, hi = r->end;

	/* Nearly always the end. */
	if (hi == lo || r->v[hi - 1].seq < seq)
		return hi;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void compact(struct tg_ring *r)
{
	size_t to = 0;

	for (size_t i = r->head; i < r->end; i++)
		if (r->v[i].state != TG_ITEM_GONE)
			r->v[to++] = r->v[i];
	r->head = 0;
	r->end = to;
}

/* An empty ring: what a long outage needed is given back. */
static void start_again(struct tg_ring *r)
{
	r->head = r->end = 0;
	if (r->cap > RING_KEEP) {
		free(r->v);
		r->v = NULL;
		r->cap = 0;
	}
}

/* Room for one more item at the end. */
static int reserve(struct tg_ring *r)
{
	struct tg_item *v;
	size_t cap;

	if (r->count == 0)
		start_again(r);
	if (r->end < r->cap)
		return 0;
	if (r->count < r->cap - r->cap / 4) {
		compact(r);
		return 0;
	}
	cap = r->cap ? r->cap * 2 : RING_MIN;
	v = reallocarray(r->v, cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	r->v = v;
	r->cap = cap;
	return 0;
}

int tg_ring_insert(struct tg_ring *r, const struct tg_item *item)
{
	size_t at;
	int rc;

	rc = reserve(r);
	if (rc < 0)
		return rc;

	at = place(r, item->seq);
	if (at < r->end && r->v[at].seq == item->seq) {
		if (r->v[at].state != TG_ITEM_GONE)
			return -EEXIST;
	} else {
		memmove(r->v + at + 1, r->v + at, (r->end - at) * sizeof(*r->v));
		r->end++;
	}
	r->v[at] = *item;
	r->count++;
	r->bytes += cost(item);
	return 0;
}

struct tg_item *tg_ring_find(const struct tg_ring *r, uint64_t seq)
{
	size_t at = place(r, seq);

	if (at == r->end || r->v[at].seq != seq || r->v[at].state == TG_ITEM_GONE)
		return NULL;
	return r->v + at;
}

static struct tg_item *up_from(const struct tg_ring *r, size_t at)
{
	for (; at < r->end; at++)
		if (r->v[at].state != TG_ITEM_GONE)
			return r->v + at;
	return NULL;
}

static struct tg_item *down_from(const struct tg_ring *r, size_t at)
{
	while (at > r->head)
		if (r->v[--at].state != TG_ITEM_GONE)
			return r->v + at;
	return NULL;
}

struct tg_item *tg_ring_first(const struct tg_ring *r)
{
	return up_from(r, r->head);
}

struct tg_item *tg_ring_after(const struct tg_ring *r, const struct tg_item *i)
{
	size_t at = (size_t) (i - r->v) + 1;

	return up_from(r, at > r->head ? at : r->head);
}

struct tg_item *tg_ring_last(const struct tg_ring *r)
{
	return down_from(r, r->end);
}

struct tg_item *tg_ring_before(const struct tg_ring *r, const struct tg_item *i)
{
	return down_from(r, (size_t) (i - r->v));
}

void tg_ring_release(struct tg_ring *r, struct tg_item *i)
{
	r->bytes -= cost(i);
	i->parcel = tg_parcel_unref(i->parcel);
	r->bytes += cost(i);
}

void tg_ring_replace(struct tg_ring *r, struct tg_item *i, struct tg_parcel *p)
{
	tg_ring_release(r, i);
	r->bytes -= cost(i);
	i->parcel = p;
	r->bytes += cost(i);
}

void tg_ring_remove(struct tg_ring *r, struct tg_item *i)
{
	r->bytes -= cost(i);
	r->count--;
	i->parcel = tg_parcel_unref(i->parcel);
	i->state = TG_ITEM_GONE;
	while (r->head < r->end && r->v[r->head].state == TG_ITEM_GONE)
		r->head++;
}
