/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/queue.h"
#include "base/clock.h"
#include "packs.h"
#include "spool-bench.h"

#include <errno.h>

/*
 * The queue against a disk, a link and a broker that are a few arrays: long
 * random histories, in which everything that the spool promises is checked
 * at every step.
 */
#define DEVICES  3
#define PACKS    4000
#define SECOND   TG_US_PER_S
#define INTERVAL (SECOND / 2)

static const char *const devices[DEVICES] = { "boiler", "meter", "pump" };

struct row {
	uint64_t seq, gap, gap_first;
	struct tg_parcel *parcel;
};

enum fate { UNUSED, PUT, DELIVERED, IN_GAP, ASIDE, LOST };

struct world {
	struct pack_source random;
	struct tg_queue q;
	uint64_t now, seq;
	bool disk_fails, may_crash;
	uint64_t bad_every, bad_run; /* packs for which the broker ends the session; 0: none */
	bool takes_none;	     /* it does so for every pack */
	const char *refused_device;  /* and for every pack of this one */
	bool killed;		     /* it has */
	unsigned kills;
	size_t bound; /* rows that the disk takes; 0: all */

	struct row disk[PACKS]; /* sorted by seq */
	size_t rows;
	struct row staged[PACKS * 2]; /* a transaction, in order; without a parcel: a delete */
	size_t n_staged;

	struct sent {
		uint64_t seq;
		enum tg_stream stream;
	} sent[TG_QUEUE_WINDOW_MAX];
	size_t n_sent, n_arrived; /* in this session: handed out, of those received by the broker */
	uint64_t first[DEVICES][2]; /* the highest number first delivered */
	uint64_t hand_outs[PACKS * 8];
	size_t n_hand_outs, live_hand_outs;

	enum fate fate[PACKS];
	uint8_t device[PACKS];
	bool arrived[PACKS], gap_arrived[PACKS], refused[PACKS];
	uint64_t dropped, told_dropped; /* packs that gap records speak of */
	uint64_t given_up;		/* of those that were set aside, and found no disk: no gap, as they could not be sent */
	unsigned commits, n_aside;
};

static uint64_t pick(struct world *w, uint64_t n)
{
	return pack_random(&w->random) % n;
}

/* --- the disk --- */

static size_t find_row(const struct world *w, uint64_t seq)
{
	size_t i = 0;

	while (i < w->rows && w->disk[i].seq < seq)
		i++;
	return i;
}

static bool has_row(const struct world *w, uint64_t seq)
{
	size_t at = find_row(w, seq);

	return at < w->rows && w->disk[at].seq == seq;
}

static void write_row(struct world *w, struct row row)
{
	size_t at = find_row(w, row.seq);

	if (at < w->rows && w->disk[at].seq == row.seq) {
		tg_parcel_unref(row.parcel);
		return;
	}
	memmove(w->disk + at + 1, w->disk + at, (w->rows - at) * sizeof(row));
	w->disk[at] = row;
	w->rows++;
}

static void remove_row(struct world *w, uint64_t seq)
{
	size_t at = find_row(w, seq);

	if (at == w->rows || w->disk[at].seq != seq)
		return;
	tg_parcel_unref(w->disk[at].parcel);
	w->rows--;
	memmove(w->disk + at, w->disk + at + 1, (w->rows - at) * sizeof(w->disk[0]));
}

static int on_append(void *user, const struct tg_item *i)
{
	struct world *w = user;

	assert_true(w->n_staged < PACKS * 2);
	assert_non_null(i->parcel);
	w->staged[w->n_staged++] =
		(struct row){ i->seq, i->gap, i->gap_first, tg_parcel_ref(i->parcel) };
	return w->disk_fails && pick(w, 4) == 0 ? -EIO : 0;
}

static int on_remove(void *user, uint64_t seq)
{
	struct world *w = user;

	assert_true(w->n_staged < PACKS * 2);
	w->staged[w->n_staged++] = (struct row){ .seq = seq };
	return 0;
}

static bool is_bad(const struct world *w, uint64_t seq)
{
	return w->bad_every && seq % w->bad_every < w->bad_run;
}

/* What a gap record tells goes aside with it. */
static void tell_aside(struct world *w, const struct tg_item *i)
{
	if (!i || i->gap == 0)
		return;
	if (!w->gap_arrived[i->seq])
		w->told_dropped += i->gap;
	w->gap_arrived[i->seq] = true;
	for (uint64_t s = i->gap_first; s <= i->seq; s++)
		if (w->device[s] == w->device[i->seq] && w->fate[s] == PUT)
			w->fate[s] = ASIDE;
}

static int on_aside(void *user, uint64_t seq)
{
	struct world *w = user;

	/* No innocent one. */
	assert_true(w->refused[seq] || is_bad(w, seq) || (w->refused_device && w->device[seq] == 0));
	w->n_aside++;
	tell_aside(w, tg_ring_find(&w->q.live, seq));
	tell_aside(w, tg_ring_find(&w->q.replay, seq));
	w->fate[seq] = ASIDE;
	return on_remove(user, seq);
}

static void flush(struct world *w)
{
	const struct tg_queue_sink sink = { on_append, on_aside, on_remove, w };
	uint64_t dropped = w->q.dropped;
	bool ok, visible;

	w->n_staged = 0;
	ok = tg_queue_flush(&w->q, &sink) == 0 && !w->disk_fails;
	/* A commit that fails may have reached the disk all the same. */
	visible = ok || pick(w, 2) == 0;
	for (size_t i = 0; i < w->n_staged; i++)
		if (!visible)
			tg_parcel_unref(w->staged[i].parcel);
		else if (w->staged[i].parcel)
			write_row(w, w->staged[i]);
		else
			remove_row(w, w->staged[i].seq);
	tg_queue_flushed(&w->q, ok, w->now);
	w->commits++;
	if (ok)
		w->dropped += dropped;
	else
		tg_queue_set_disk(&w->q, TG_QUEUE_DISK_FAILING);
}

static void read_page(struct world *w)
{
	size_t at = find_row(w, w->q.cursor + 1), n = 0;

	for (; at < w->rows && n < TG_QUEUE_PAGE; at++, n++) {
		const struct row *row = w->disk + at;

		assert_int_equal(tg_queue_page_row(&w->q, tg_parcel_ref(row->parcel), row->gap,
						   row->gap_first),
				 0);
	}
	if (at == w->rows)
		tg_queue_page_end(&w->q);
}

/* --- the broker --- */

static size_t device_of(const struct tg_parcel *p)
{
	for (size_t d = 0; d < DEVICES; d++)
		if (strcmp(tg_parcel_device(p), devices[d]) == 0)
			return d;
	fail();
	return 0;
}

static void arrive(struct world *w, const struct sent *s, const struct tg_parcel *p)
{
	size_t d = w->device[s->seq];
	struct spool_bench_gap gap;

	/*
	 * First deliveries rise within device and stream. What is sent again may be older, and so
	 * may a pack whose refusal a crash has made forgotten.
	 */
	if (!w->arrived[s->seq] && w->fate[s->seq] != ASIDE)
		assert_true(s->seq > w->first[d][s->stream]);
	if (s->seq > w->first[d][s->stream])
		w->first[d][s->stream] = s->seq;
	if (p && spool_bench_is_gap(p, &gap)) {
		/* The pack itself may have arrived before it was dropped. */
		if (!w->gap_arrived[s->seq])
			w->told_dropped += gap.count;
		w->gap_arrived[s->seq] = true;
		assert_int_equal(device_of(p), d);
		for (uint64_t i = gap.first; i <= gap.last; i++)
			if (w->device[i] == d && w->fate[i] == PUT)
				w->fate[i] = IN_GAP;
	} else {
		w->fate[s->seq] = DELIVERED;
	}
	w->arrived[s->seq] = true;
}

static void hand_out(struct world *w)
{
	struct tg_queue_pick p;
	uint64_t again;

	while (tg_queue_pick(&w->q, w->now, &p, &again)) {
		struct sent s = { p.item->seq, p.stream };
		tg_cleanup(tg_parcel_unrefp) struct tg_parcel *parcel =
			tg_parcel_ref(p.item->parcel);
		size_t limit = w->q.limits.rate;

		tg_queue_handed(&w->q, &p);
		assert_true(w->q.in_flight <= w->q.window);
		w->hand_outs[w->n_hand_outs++] = w->now;
		w->live_hand_outs += s.stream == TG_STREAM_LIVE;
		if (limit && w->n_hand_outs > limit)
			assert_true(w->now - w->hand_outs[w->n_hand_outs - limit - 1] >= SECOND);
		assert_true(w->n_hand_outs < PACKS * 8);
		/* What the broker will have received of it when the session ends is decided by
		 * arrive(). */
		w->sent[w->n_sent++] = s;
		if (w->takes_none || (is_bad(w, s.seq) && !p.item->gap) ||
		    (w->refused_device && strcmp(devices[w->device[s.seq]], w->refused_device) == 0)) {
			w->killed = true;
			return;
		}
		if (w->n_arrived == w->n_sent - 1 && pick(w, 8) != 0) {
			arrive(w, &s, parcel);
			w->n_arrived++;
		}
	}
	assert_true(again > w->now);
}

/* --- the history --- */

static void check_promise(const struct world *w)
{
	size_t dirty = 0, out = 0, gaps = 0;

	for (struct tg_item *i = tg_ring_first(&w->q.live); i; i = tg_ring_after(&w->q.live, i)) {
		bool is_dirty = !i->on_disk && i->state != TG_ITEM_DONE;

		dirty += is_dirty;
		out += i->state == TG_ITEM_OUT;
		gaps += i->gap && !i->closed && i->state == TG_ITEM_FRESH;
		if (is_dirty && w->q.disk == TG_QUEUE_DISK_OK)
			assert_true(w->now - i->put_us <= INTERVAL);
		if (i->on_disk && (i->state == TG_ITEM_FRESH || i->state == TG_ITEM_OUT))
			assert_true(has_row(w, i->seq));
	}
	for (struct tg_item *i = tg_ring_first(&w->q.replay); i; i = tg_ring_after(&w->q.replay, i))
		out += i->state == TG_ITEM_OUT;
	assert_int_equal(dirty, w->q.dirty);
	assert_int_equal(gaps, w->q.gaps);
	assert_int_equal(out, w->q.in_flight);
}

/* A disk that has its fill takes gap records only, until enough has been dropped. */
static void bound(struct world *w)
{
	if (w->bound == 0 || w->q.disk == TG_QUEUE_DISK_FAILING)
		return;
	if (w->rows < w->bound) {
		tg_queue_set_disk(&w->q, TG_QUEUE_DISK_OK);
		return;
	}
	tg_queue_set_disk(&w->q, TG_QUEUE_DISK_BOUND);
	if (!w->q.up)
		tg_queue_drop_dirty(&w->q, pick(w, 2) ? UINT64_MAX : 1 + pick(w, 2000));
}

static void link_down(struct world *w)
{
	tg_queue_link_down(&w->q, w->killed, w->now);
	w->killed = false;
	w->n_sent = w->n_arrived = 0;
}

static size_t aside_in_memory(const struct world *w)
{
	size_t n = 0;

	for (struct tg_item *i = tg_ring_first(&w->q.live); i; i = tg_ring_after(&w->q.live, i))
		n += i->state == TG_ITEM_ASIDE && !i->on_disk;
	return n;
}

static void settle(struct world *w)
{
	size_t before = aside_in_memory(w), n = 0;
	uint64_t aside[PACKS];

	for (struct tg_item *i = tg_ring_first(&w->q.live); i; i = tg_ring_after(&w->q.live, i))
		if (i->state == TG_ITEM_ASIDE && !i->on_disk) {
			aside[n++] = i->seq;
			tell_aside(w, i);
		}
	tg_queue_settle(&w->q);
	w->given_up += before - aside_in_memory(w);
	while (n-- > 0) {
		const struct tg_item *i = tg_ring_find(&w->q.live, aside[n]);

		/* What the broker ended sessions for; of what was refused it is known already. */
		if ((!i || i->state == TG_ITEM_DONE) && w->fate[aside[n]] == PUT)
			w->fate[aside[n]] = ASIDE;
	}
}

static void turn(struct world *w)
{
	if (w->q.disk == TG_QUEUE_DISK_FAILING && !w->disk_fails)
		tg_queue_set_disk(&w->q, TG_QUEUE_DISK_OK);
	bound(w);
	if (tg_queue_flush_us(&w->q, w->now) <= w->now)
		flush(w);
	settle(w);
	if (tg_queue_wants_page(&w->q))
		read_page(w);
	hand_out(w);
	check_promise(w);
	if (w->killed) {
		w->kills++;
		link_down(w);
	}
}

static void put_one(struct world *w, size_t d, uint64_t seq)
{
	w->fate[seq] = PUT;
	w->device[seq] = (uint8_t) d;
	assert_int_equal(
		tg_queue_put(&w->q, spool_bench_parcel(devices[d], seq, 1 + pick(w, 20)), w->now),
		0);
}

/* Two workers that number at the same time post in any order. */
static void put(struct world *w)
{
	size_t d = pick(w, DEVICES);

	if (w->seq + 3 >= PACKS)
		return;
	if (pick(w, 4) != 0) {
		put_one(w, d, ++w->seq);
		return;
	}
	w->seq += 2;
	put_one(w, d, w->seq);
	put_one(w, (d + 1) % DEVICES, w->seq - 1);
}

static void ack(struct world *w)
{
	size_t i;

	if (w->n_arrived == 0)
		return;
	i = pick(w, 3) ? 0 : pick(w, w->n_arrived);
	assert_true(tg_queue_ack(&w->q, w->sent[i].seq, w->now));
	w->n_sent--;
	w->n_arrived--;
	memmove(w->sent + i, w->sent + i + 1, (w->n_sent - i) * sizeof(w->sent[0]));
}

static void refuse(struct world *w)
{
	const struct tg_item *item;
	size_t i;

	/* One that the broker has not got, and no gap record: what that tells would be set aside
	 * with it. */
	if (w->n_sent == w->n_arrived)
		return;
	i = w->n_sent - 1;
	item = tg_ring_find(w->sent[i].stream == TG_STREAM_LIVE ? &w->q.live : &w->q.replay,
			    w->sent[i].seq);
	if (item->gap)
		return;
	assert_true(tg_queue_refuse(&w->q, w->sent[i].seq, w->now));
	w->refused[w->sent[i].seq] = true;
	if (w->fate[w->sent[i].seq] == PUT)
		w->fate[w->sent[i].seq] = ASIDE;
	w->n_sent--;
}

static void link_up(struct world *w)
{
	if (w->q.up)
		link_down(w);
	tg_queue_link_up(&w->q, 1 + (unsigned) pick(w, 12));
}

/* The process dies: only what is on the disk is left. */
static void crash(struct world *w)
{
	const struct tg_queue_limits limits = w->q.limits;

	for (struct tg_item *i = tg_ring_first(&w->q.live); i; i = tg_ring_after(&w->q.live, i)) {
		if (has_row(w, i->seq))
			continue;
		if (i->gap) {
			for (uint64_t s = i->gap_first; s <= i->seq; s++)
				if (w->device[s] == w->device[i->seq] && w->fate[s] == PUT)
					w->fate[s] = LOST;
		} else if (w->fate[i->seq] == PUT) {
			w->fate[i->seq] = LOST;
		}
	}
	tg_queue_done(&w->q);
	tg_queue_init(&w->q, &limits, w->now);
	w->n_sent = w->n_arrived = 0;
}

static void step(struct world *w)
{
	switch (pick(w, 24)) {
	case 0:
		link_up(w);
		break;
	case 1:
		if (pick(w, 4) == 0)
			link_down(w);
		break;
	case 2:
		w->disk_fails = pick(w, 3) == 0;
		break;
	case 3:
		if (w->may_crash && pick(w, 8) == 0)
			crash(w);
		break;
	case 4:
		if (pick(w, 8) == 0)
			refuse(w);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
	case 9:
	case 10:
	case 11:
		put(w);
		break;
	case 12:
		w->now += pick(w, SECOND);
		break;
	default:
		ack(w);
		break;
	}
	w->now += pick(w, 5000);
	turn(w);
}

/* A broker and a disk that work: everything must come out. */
static void drain(struct world *w)
{
	w->disk_fails = false;
	link_up(w);
	for (int i = 0; i < 60000 && (w->rows > 0 || w->q.live.count > 0 || w->q.replay.count > 0);
	     i++) {
		w->now += 20000;
		/* One that several bad packs in a row have made look refused goes on reading, and is tried again. */
		if (i % 500 == 499 && w->q.quarantine.refused > 0) {
			w->now += TG_SUSPECT_DEVICE_AGAIN_US;
			for (size_t d = 0; d < DEVICES && w->seq + 1 < PACKS; d++)
				put_one(w, d, ++w->seq);
		}
		turn(w);
		while (w->n_arrived > 0)
			ack(w);
		/* The broker received the rest after all, but its answer never came: the session
		 * ends. */
		if (w->n_sent > 0 || !w->q.up)
			link_up(w);
	}
	assert_int_equal(w->rows, 0);
	assert_int_equal(w->q.live.count, 0);
	assert_int_equal(w->q.replay.count, 0);
	assert_int_equal(w->q.dirty, 0);
	assert_int_equal(w->q.gaps, 0);
}

static struct world *begin_history(uint64_t seed, const struct tg_queue_limits *limits)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->random.state = seed;
	w->now = 100 * SECOND;
	w->bound = limits->drop_newest ? 40 : 0;
	tg_queue_init(&w->q, limits, w->now);
	return w;
}

static void end_history(struct world *w, uint64_t seed)
{
	size_t wrong = 0;

	drain(w);
	for (uint64_t s = 1; s <= w->seq; s++) {
		/* A pack that was delivered, unknown to us, and then dropped, is told twice: that
		 * is allowed. */
		if (w->fate[s] == PUT && !w->arrived[s]) {
			print_error("seed %llu: pack %llu of %s has vanished\n",
				    (unsigned long long) seed, (unsigned long long) s,
				    devices[w->device[s]]);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
	if (!w->may_crash)
		assert_int_equal(w->told_dropped, w->dropped + w->q.dropped - w->given_up);
	tg_queue_done(&w->q);
	free(w);
}

static void run_history(uint64_t seed, const struct tg_queue_limits *limits, bool may_crash)
{
	struct world *w = begin_history(seed, limits);

	w->may_crash = may_crash;
	for (int i = 0; i < 3000; i++)
		step(w);
	end_history(w, seed);
}

static void keeps_every_promise_in_random_histories(void **state)
{
	(void) state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		const struct tg_queue_limits limits = {
			.memory = seed % 3 ? 1 << 20 : 6000,
			.commit_interval_us = INTERVAL,
			.rate = seed % 2 ? 0 : 40,
			.drop_newest = seed % 4 == 0,
		};

		run_history(seed, &limits, false);
	}
}

static void keeps_what_is_on_the_disk_through_crashes(void **state)
{
	(void) state;
	for (uint64_t seed = 1001; seed <= 1030; seed++) {
		const struct tg_queue_limits limits = {
			.memory = seed % 3 ? 1 << 20 : 6000,
			.commit_interval_us = INTERVAL,
			.rate = 0,
			.drop_newest = seed % 4 == 0,
		};

		run_history(seed, &limits, true);
	}
}

/* Single packs and runs for which the broker ends each session: those, and no others, are set aside. */
static void sets_aside_what_kills_the_session_and_nothing_else(void **state)
{
	(void) state;
	for (uint64_t seed = 2001; seed <= 2030; seed++) {
		const struct tg_queue_limits limits = {
			.memory = seed % 3 ? 1 << 20 : 6000,
			.commit_interval_us = seed % 5 ? INTERVAL : 0,
			.rate = 0,
			.drop_newest = seed % 4 == 0,
		};
		struct world *w = begin_history(seed, &limits);

		w->bad_every = 150 + 50 * (seed % 4);
		w->bad_run = 1 + seed % 5;
		w->may_crash = seed % 2;
		for (int i = 0; i < 3000; i++)
			step(w);
		end_history(w, seed);
	}
}

/* A broker that ends the session for every pack, for a while: it costs none. */
static void loses_nothing_to_a_broker_that_takes_nothing(void **state)
{
	(void) state;
	for (uint64_t seed = 3001; seed <= 3030; seed++) {
		const struct tg_queue_limits limits = {
			.memory = 1 << 20,
			.commit_interval_us = INTERVAL,
			.rate = 0,
		};
		struct world *w = begin_history(seed, &limits);

		for (int i = 0; i < 3000; i++) {
			/* Any time, in any state that this leads to. */
			w->takes_none = i > 300 && i < 310 + (int) (seed - 3000) * 80;
			step(w);
		}
		assert_true(w->kills > 0);
		end_history(w, seed);
	}
}

/* In a history with chance, until the broker takes it again: whatever happens to it meanwhile, nothing but the first two is set aside. */
static void loses_nothing_of_a_device_that_is_refused_for_a_while(void **state)
{
	unsigned quarantines = 0;

	(void) state;
	for (uint64_t seed = 4001; seed <= 4030; seed++) {
		const struct tg_queue_limits limits = {
			.memory = seed % 3 ? 1 << 20 : 6000,
			.commit_interval_us = seed % 5 ? INTERVAL : 0,
			.rate = 0,
			.drop_newest = seed % 4 == 0,
		};
		struct world *w = begin_history(seed, &limits);

		w->may_crash = seed % 2;
		for (int i = 0; i < 3000; i++) {
			if (i == 100)
				w->refused_device = devices[0];
			if (i == 2700)
				w->refused_device = NULL;
			/* Hours pass now and then. */
			if (i % 700 == 699)
				w->now += TG_SUSPECT_DEVICE_AGAIN_US;
			step(w);
			quarantines += w->q.quarantine.refused > 0;
		}
		w->now += TG_SUSPECT_DEVICE_AGAIN_US;
		w->refused_device = NULL;
		end_history(w, seed);
	}
	assert_true(quarantines > 1000);
}

/* A world without chance. */
static struct world *calm(uint64_t memory, uint64_t rate, bool drop_newest)
{
	const struct tg_queue_limits limits = { .memory = memory,
						.commit_interval_us = INTERVAL,
						.rate = rate,
						.drop_newest = drop_newest };
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->now = 100 * SECOND;
	tg_queue_init(&w->q, &limits, w->now);
	return w;
}

static void end(struct world *w)
{
	while (w->rows > 0)
		remove_row(w, w->disk[0].seq);
	tg_queue_done(&w->q);
	free(w);
}

static void put_next(struct world *w)
{
	w->seq++;
	w->fate[w->seq] = PUT;
	assert_int_equal(tg_queue_put(&w->q, spool_bench_parcel("boiler", w->seq, 8), w->now), 0);
}

static void a_bad_pack_costs_few_sessions(void **state)
{
	struct world *w = calm(1 << 20, 0, false);

	(void) state;
	w->bad_every = 60;
	w->bad_run = 1;
	for (int i = 0; i < 100; i++)
		put_next(w);
	turn(w);
	for (int i = 0; i < 5000 && w->rows > 0; i++) {
		if (!w->q.up)
			tg_queue_link_up(&w->q, 32);
		w->now += SECOND / 20;
		turn(w);
		for (; w->n_sent > 0; w->n_sent--)
			assert_true(tg_queue_ack(&w->q, w->sent[w->n_sent - 1].seq, w->now));
		w->n_arrived = 0;
	}
	assert_int_equal(w->rows, 0);
	assert_int_equal(w->fate[60], ASIDE);
	/* No other device, and nothing live: a later pack of its own stream is what shows that it is the pack. */
	assert_int_equal(w->kills, TG_SUSPECT_ENDS + TG_SUSPECT_ALONE);
	print_message("one bad pack among 100: %u sessions ended, 99 delivered\n", w->kills);
	end(w);
}

/* Nothing else is ever read, so no other pack can show that the broker takes packs again. */
static void a_lone_pack_that_was_held_is_tried_again(void **state)
{
	struct world *w = calm(1 << 20, 0, false);
	unsigned held = 0;

	(void) state;
	put_next(w);
	turn(w);
	w->takes_none = true;
	for (int i = 0; i < 4 * 3600; i++) {
		if (!w->q.up)
			tg_queue_link_up(&w->q, 32);
		w->now += SECOND;
		turn(w);
		held += w->q.suspect.n_held > 0;
	}
	/* It is not set aside for that, and costs few sessions. */
	assert_int_equal(w->rows, 1);
	assert_true(held > 0);
	assert_in_range(w->kills, 20, 4 * 6 + TG_SUSPECT_ENDS + TG_SUSPECT_ALONE);
	w->takes_none = false;
	for (int i = 0; i < 601 && w->n_sent == 0; i++) {
		w->now += SECOND;
		if (!w->q.up)
			tg_queue_link_up(&w->q, 32);
		turn(w);
	}
	assert_int_equal(w->n_sent, 1);
	assert_true(tg_queue_ack(&w->q, w->sent[0].seq, w->now));
	assert_int_equal(tg_suspect_window(&w->q.suspect, 32), 32);
	end(w);
}

/* As max-age does: nothing waits for it any longer, and packs go out many at a time again. */
static void a_held_pack_that_the_disk_has_dropped_is_forgotten(void **state)
{
	struct world *w = calm(1 << 20, 0, false);

	(void) state;
	put_next(w);
	turn(w);
	w->takes_none = true;
	for (int i = 0; i < 100 && w->q.suspect.n_held == 0; i++) {
		if (!w->q.up)
			tg_queue_link_up(&w->q, 32);
		w->now += SECOND;
		turn(w);
	}
	assert_int_equal(w->q.suspect.n_held, 1);
	w->takes_none = false;
	remove_row(w, w->seq);
	tg_queue_link_up(&w->q, 32);
	turn(w);
	assert_int_equal(w->q.suspect.n_held, 0);
	assert_int_equal(tg_suspect_window(&w->q.suspect, 32), 32);
	end(w);
}

/* A disk that fails takes nothing aside, and the broker still takes the rest. */
static void what_is_set_aside_does_not_crowd_out_what_can_be_sent(void **state)
{
	struct world *w = calm(8000, 0, false);
	struct tg_queue_pick p;
	unsigned sent = 0;
	uint64_t again;

	(void) state;
	w->disk_fails = true;
	tg_queue_set_disk(&w->q, TG_QUEUE_DISK_FAILING);
	tg_queue_link_up(&w->q, 32);
	tg_queue_page_end(&w->q);
	for (unsigned i = 0; i < 200; i++) {
		put_next(w);
		tg_queue_settle(&w->q);
		while (tg_queue_pick(&w->q, w->now, &p, &again)) {
			uint64_t seq = p.item->seq;
			bool gap = p.item->gap;

			tg_queue_handed(&w->q, &p);
			if (seq % 2 || gap)
				assert_true(tg_queue_ack(&w->q, seq, w->now));
			else
				assert_true(tg_queue_refuse(&w->q, seq, w->now));
			sent += seq % 2 && !gap;
		}
		assert_true(w->q.live.bytes <= 10000);
	}
	assert_int_equal(sent, 100);
	assert_true(w->q.dropped > 0);
	check_promise(w);
	end(w);
}

static void put_of(struct world *w, size_t d)
{
	w->seq++;
	w->fate[w->seq] = PUT;
	w->device[w->seq] = (uint8_t) d;
	assert_int_equal(tg_queue_put(&w->q, spool_bench_parcel(devices[d], w->seq, 8), w->now), 0);
}

/* One step of a broker that answers at once. */
static void answer(struct world *w)
{
	if (!w->q.up)
		tg_queue_link_up(&w->q, 32);
	w->now += SECOND / 20;
	turn(w);
	assert_true(w->q.replay.count <= 2 * TG_QUEUE_PAGE + TG_QUEUE_DONE_FLUSH);
	for (size_t i = 0; i < w->n_sent; i++) {
		w->fate[w->sent[i].seq] = DELIVERED;
		assert_true(tg_queue_ack(&w->q, w->sent[i].seq, w->now));
	}
	w->n_sent = w->n_arrived = 0;
}

static size_t waiting_of(const struct world *w, size_t d)
{
	size_t n = 0;

	for (uint64_t s = 1; s <= w->seq; s++)
		n += w->device[s] == d && w->fate[s] == PUT;
	return n;
}

/* Far more of it than a page on the disk, all before those of the others, and more to come. */
static void a_refused_device_costs_few_sessions_and_nothing_of_the_others(void **state)
{
	const unsigned sessions = TG_SUSPECT_DEVICE * (TG_SUSPECT_ENDS + TG_SUSPECT_ALONE + 1);
	struct world *w = calm(1 << 20, 0, false);

	(void) state;
	w->refused_device = devices[0];
	for (int i = 0; i < 1000; i++)
		put_of(w, 0);
	for (int i = 0; i < 300; i++)
		put_of(w, 1 + i % 2);
	turn(w);
	for (int i = 0; i < 2000; i++) {
		if (i % 4 == 0)
			put_of(w, i % 8 ? 0 : 1);
		answer(w);
	}
	assert_int_equal(w->q.quarantine.refused, 1);
	assert_in_range(waiting_of(w, 1) + waiting_of(w, 2), 0, 1);
	assert_int_equal(waiting_of(w, 0), 1250 - w->n_aside);
	assert_int_equal(w->n_aside, TG_SUSPECT_DEVICE - 1);
	assert_in_range(w->kills, 1, sessions);
	assert_in_range(w->q.live.count, 0, 20);
	print_message("a refused device: %u sessions ended, %u packs set aside, %zu kept\n", w->kills, w->n_aside,
		      waiting_of(w, 0));

	/* An hour later one of it is tried, and costs one session. */
	w->kills = 0;
	w->now += TG_SUSPECT_DEVICE_AGAIN_US;
	for (int i = 0; i < 200; i++)
		answer(w);
	assert_int_equal(w->kills, 1);
	w->refused_device = NULL;
	for (int i = 0; i < 200; i++)
		answer(w);
	assert_int_equal(waiting_of(w, 0), 1250 - w->n_aside);
	tg_queue_configure(&w->q, &w->q.limits, w->now);
	for (int i = 0; i < 400; i++)
		answer(w);
	assert_int_equal(waiting_of(w, 0), 0);
	assert_int_equal(w->q.quarantine.refused, 0);
	assert_int_equal(w->rows, 0);
	assert_int_equal(w->kills, 1);
	end(w);
}

static void gives_live_packs_a_fifth_of_the_rate_while_both_wait(void **state)
{
	struct world *w = calm(1 << 20, 100, false);
	size_t before;

	(void) state;
	for (int i = 0; i < 1000; i++)
		put_next(w);
	turn(w);
	assert_int_equal(w->rows, 1000);
	tg_queue_link_up(&w->q, 50);
	w->now += SECOND;
	turn(w);
	before = w->n_hand_outs;
	w->live_hand_outs = 0;
	for (int i = 0; i < 500; i++) {
		put_next(w);
		w->now += SECOND / 100;
		turn(w);
		while (w->n_sent > 0)
			assert_true(tg_queue_ack(&w->q, w->sent[--w->n_sent].seq, w->now));
		w->n_arrived = 0;
	}
	assert_in_range(w->n_hand_outs - before, 470, 500);
	assert_in_range(w->live_hand_outs, 93, 101);
	end(w);
}

static void writes_nothing_while_acknowledgements_come_in_time(void **state)
{
	struct world *w = calm(1 << 20, 0, false);

	(void) state;
	tg_queue_link_up(&w->q, 8);
	for (int i = 0; i < 1000; i++) {
		put_next(w);
		w->now += SECOND / 10;
		turn(w);
		assert_true(tg_queue_ack(&w->q, w->seq, w->now));
		w->n_sent = w->n_arrived = 0;
		w->now += SECOND / 10;
		turn(w);
	}
	assert_int_equal(w->commits, 0);
	end(w);
}

static void commits_once_an_interval_while_the_link_is_down(void **state)
{
	struct world *w = calm(1 << 20, 0, false);

	(void) state;
	for (int i = 0; i < 100; i++) {
		put_next(w);
		w->now += SECOND / 10;
		turn(w);
	}
	/* Ten seconds, two commits a second. */
	assert_in_range(w->commits, 18, 21);
	end(w);
}

static void commits_at_once_when_the_link_goes_down(void **state)
{
	struct world *w = calm(1 << 20, 0, false);

	(void) state;
	tg_queue_link_up(&w->q, 8);
	w->now += SECOND;
	put_next(w);
	turn(w);
	assert_int_equal(w->rows, 0);
	link_down(w);
	turn(w);
	assert_int_equal(w->rows, 1);
	end(w);
}

static void commits_at_once_when_memory_is_full_and_reads_back_later(void **state)
{
	struct world *w = calm(4000, 0, false);

	(void) state;
	tg_queue_link_up(&w->q, 1);
	for (int i = 0; i < 100; i++) {
		put_next(w);
		turn(w);
	}
	assert_true(w->rows > 50);
	assert_true(w->q.live.bytes <= 4000);
	for (int i = 0; i < 1000 && w->n_sent > 0; i++) {
		w->fate[w->sent[0].seq] = DELIVERED;
		assert_true(tg_queue_ack(&w->q, w->sent[0].seq, w->now));
		w->n_sent = w->n_arrived = 0;
		w->now += 1000;
		turn(w);
	}
	for (uint64_t i = 1; i <= w->seq; i++)
		assert_int_equal(w->fate[i], DELIVERED);
	end(w);
}

/* Or a session that is lost now would have to replay the older one after the newer. */
static void holds_a_replay_back_while_an_older_live_pack_is_in_flight(void **state)
{
	struct world *w = calm(2000, 0, false);

	(void) state;
	tg_queue_link_up(&w->q, 1);
	put_next(w);
	turn(w);
	assert_int_equal(w->n_sent, 1);
	/* Memory is short: what follows goes to the disk and is read back. */
	for (int i = 0; i < 30; i++) {
		put_next(w);
		turn(w);
	}
	w->q.window = 8;
	turn(w);
	assert_true(w->q.replay_fresh > 0);
	for (size_t i = 0; i < w->n_sent; i++)
		assert_int_equal(w->sent[i].stream, TG_STREAM_LIVE);
	while (w->n_sent > 0)
		assert_true(tg_queue_ack(&w->q, w->sent[--w->n_sent].seq, w->now));
	w->n_arrived = 0;
	turn(w);
	assert_int_equal(w->sent[w->n_sent - 1].stream, TG_STREAM_REPLAY);
	end(w);
}

static void merges_what_is_dropped_into_one_gap_record(bool drop_newest)
{
	struct world *w = calm(4000, 0, drop_newest);
	size_t packs = 0, gaps = 0;

	tg_queue_set_disk(&w->q, TG_QUEUE_DISK_FAILING);
	w->disk_fails = true;
	for (int i = 0; i < 200; i++) {
		put_next(w);
		turn(w);
		assert_true(w->q.live.bytes <= 4000);
	}
	for (struct tg_item *i = tg_ring_first(&w->q.live); i; i = tg_ring_after(&w->q.live, i)) {
		packs += i->gap == 0;
		gaps += i->gap != 0;
		if (i->gap) {
			assert_int_equal(i->gap, w->q.dropped);
			assert_int_equal(i->gap_first, drop_newest ? packs + 1 : 1);
			assert_int_equal(i->seq, i->gap_first + i->gap - 1);
		}
	}
	assert_int_equal(gaps, 1);
	assert_true(packs > 5);
	assert_int_equal(packs + w->q.dropped, 200);
	end(w);
}

static void drops_the_oldest_when_told_so(void **state)
{
	(void) state;
	merges_what_is_dropped_into_one_gap_record(false);
}

static void drops_the_newest_when_told_so(void **state)
{
	(void) state;
	merges_what_is_dropped_into_one_gap_record(true);
}

static void refuses_a_number_that_repeats(void **state)
{
	struct world *w = calm(4000, 0, false);
	struct tg_parcel *p = spool_bench_parcel("boiler", 1, 1);

	(void) state;
	put_next(w);
	assert_int_equal(tg_queue_put(&w->q, p, w->now), -EEXIST);
	tg_parcel_unref(p);
	end(w);
}

static void hands_out_nothing_uncommitted_when_the_interval_is_zero(void **state)
{
	struct world *w = calm(1 << 20, 0, false);
	struct tg_queue_pick pick;
	uint64_t again;

	(void) state;
	w->q.limits.commit_interval_us = 0;
	tg_queue_link_up(&w->q, 8);
	put_next(w);
	assert_false(tg_queue_pick(&w->q, w->now, &pick, &again));
	turn(w);
	assert_int_equal(w->n_hand_outs, 1);
	assert_int_equal(w->rows, 1);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_every_promise_in_random_histories),
		cmocka_unit_test(keeps_what_is_on_the_disk_through_crashes),
		cmocka_unit_test(sets_aside_what_kills_the_session_and_nothing_else),
		cmocka_unit_test(loses_nothing_to_a_broker_that_takes_nothing),
		cmocka_unit_test(loses_nothing_of_a_device_that_is_refused_for_a_while),
		cmocka_unit_test(a_bad_pack_costs_few_sessions),
		cmocka_unit_test(a_lone_pack_that_was_held_is_tried_again),
		cmocka_unit_test(a_held_pack_that_the_disk_has_dropped_is_forgotten),
		cmocka_unit_test(what_is_set_aside_does_not_crowd_out_what_can_be_sent),
		cmocka_unit_test(a_refused_device_costs_few_sessions_and_nothing_of_the_others),
		cmocka_unit_test(gives_live_packs_a_fifth_of_the_rate_while_both_wait),
		cmocka_unit_test(writes_nothing_while_acknowledgements_come_in_time),
		cmocka_unit_test(commits_once_an_interval_while_the_link_is_down),
		cmocka_unit_test(commits_at_once_when_the_link_goes_down),
		cmocka_unit_test(commits_at_once_when_memory_is_full_and_reads_back_later),
		cmocka_unit_test(holds_a_replay_back_while_an_older_live_pack_is_in_flight),
		cmocka_unit_test(drops_the_oldest_when_told_so),
		cmocka_unit_test(drops_the_newest_when_told_so),
		cmocka_unit_test(refuses_a_number_that_repeats),
		cmocka_unit_test(hands_out_nothing_uncommitted_when_the_interval_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
