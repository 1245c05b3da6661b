/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/rescue.h"

#include "agent/spool/gap.h"

#include <errno.h>
#include <limits.h>

/*
 * A damaged tree is read from both ends: upwards until it breaks, downwards
 * until it breaks, and what lies between is halved and tried again, until the
 * pieces are single numbers or patience ends.
 */
#define PATIENCE 20000 /* reads of a damaged file */
#define DEPTH    64    /* pieces that wait; halving 2^53 takes 53 */

struct rescue {
	struct tg_db *from, *to;
	uint64_t last; /* the row that was read last; 0: none in this read */
	uint64_t rescued, lost;
	int error; /* of the new file: ends everything */
};

struct range {
	uint64_t lo, hi;
};

static int copy(struct rescue *x, const struct tg_row *row)
{
	int r = tg_db_append(x->to, row);

	if (r < 0)
		x->error = r;
	return r;
}

static int copy_as_gap(struct rescue *x, const struct tg_row *row)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *gap = NULL;
	struct tg_row told = *row;

	told.gap = row->gap ? row->gap : 1;
	told.gap_first = row->gap ? row->gap_first : row->seq;
	if (tg_gap_new_unread(row->device, row->seq, told.gap, told.gap_first, row->made_wall_us,
			      &gap) < 0)
		return 0;
	told.bytes = gap->bytes;
	told.len = gap->len;
	return copy(x, &told);
}

static int on_row(void *user, const struct tg_row *row, enum tg_row_state state)
{
	struct rescue *x = user;

	x->last = row->seq;
	switch (state) {
	case TG_ROW_GOOD:
		x->rescued++;
		return copy(x, row);
	case TG_ROW_BAD_BYTES:
		x->lost += row->gap == 0;
		return copy_as_gap(x, row);
	case TG_ROW_BAD:
		x->lost++;
		return 0;
	}
	return 0;
}

/* Returns whether the whole range could be read; else narrows it to what could not. */
static bool read_range(struct rescue *x, struct range *range)
{
	x->last = 0;
	if (tg_db_read(x->from, range->lo, range->hi, false, UINT_MAX, on_row, x) >= 0 || x->error)
		return true;
	if (x->last)
		range->lo = x->last + 1;

	x->last = 0;
	if (tg_db_read(x->from, range->lo, range->hi, true, UINT_MAX, on_row, x) >= 0 || x->error)
		return true;
	if (x->last)
		range->hi = x->last - 1;
	return range->lo > range->hi;
}

static int on_event(void *user, uint64_t number, const char *text)
{
	struct rescue *x = user;
	int r = text ? tg_db_event_append(x->to, number, text) : tg_db_add_events_lost(x->to, 1);

	if (r < 0)
		x->error = r;
	return r;
}

int tg_rescue(struct tg_db *from, struct tg_db *to, uint64_t *ret_rescued, uint64_t *ret_lost)
{
	struct rescue x = { .from = from, .to = to };
	struct range todo[DEPTH] = { { 1, TG_ROW_SEQ_MAX } };
	uint64_t expected = tg_db_counts(from).rows;
	size_t n = 1;

	for (unsigned tries = 0; n > 0 && tries < PATIENCE && !x.error; tries++) {
		struct range range = todo[--n];
		uint64_t mid;

		if (read_range(&x, &range) || range.lo >= range.hi || n + 2 > DEPTH)
			continue;
		mid = range.lo + (range.hi - range.lo) / 2;
		todo[n++] = (struct range){ mid + 1, range.hi };
		todo[n++] = (struct range){ range.lo, mid };
	}
	/* As far as it goes; an older file has none. */
	if (!x.error)
		(void) !tg_db_event_read(from, on_event, &x);
	if (x.error)
		return x.error;
	if (expected > x.rescued + x.lost && expected <= TG_ROW_SEQ_MAX)
		x.lost = expected - x.rescued;

	*ret_rescued = x.rescued;
	*ret_lost = x.lost;
	return 0;
}
