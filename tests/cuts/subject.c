/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/subject.h"

#include "base/clock.h"
#include "base/crc32c.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES    3u
#define DRAIN_LONG 2000u /* turns */

static const char *const devices[DEVICES] = { "boiler", "meter", "pump" };

struct subject_limits subject_limits(void)
{
	return (struct subject_limits){
		.queue = { .memory = 1 << 20, .commit_interval_us = TG_US_PER_S },
		.disk = { .max_size = 8 << 20, .full = true },
	};
}

void subject_init(struct subject *s, const struct subject_limits *limits,
		  struct verdict_ledger *ledger)
{
	*s = (struct subject){ .limits = *limits, .ledger = ledger };
	(void) snprintf(s->dir, sizeof(s->dir), "%s/tidegate-cuts-XXXXXX",
			access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert(mkdtemp(s->dir));
	s->now = tg_clock_boot_us();
	s->seq = ledger->n ? ledger->packs[ledger->n - 1].seq : 0;
}

void subject_done(struct subject *s)
{
	if (s->running)
		subject_kill(s);
	image_wipe(s->dir);
	(void) rmdir(s->dir);
	free(s->arrivals);
}

/* --- the ledger --- */

static size_t earlier(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Which packs of the ledger the spool still has as packs. */
struct presence {
	const struct verdict_ledger *ledger;
	bool *there;
};

static void mark(struct presence *x, uint64_t seq)
{
	const struct verdict_pack *p = verdict_find(x->ledger, seq);

	if (p)
		x->there[p - x->ledger->packs] = true;
}

static int mark_row(void *user, const struct tg_row *row, enum tg_row_state state)
{
	if (state == TG_ROW_GOOD && row->gap == 0)
		mark(user, row->seq);
	return 0;
}

/* Owned: for each pack of the ledger whether the file, or with @memory the queue, has it. */
static bool *look_for(struct subject *s, bool memory)
{
	struct presence x = { .ledger = s->ledger };
	struct tg_db *db = tg_store_db(s->disk.store);

	x.there = calloc(s->ledger->n + 1, sizeof(bool));
	assert(x.there);
	/* Of a damaged file what can be read. */
	if (db)
		(void) !tg_db_read(db, 1, TG_ROW_SEQ_MAX, false, UINT32_MAX, mark_row, &x);
	for (struct tg_item *i = memory ? tg_ring_first(&s->q.live) : NULL; i;
	     i = tg_ring_after(&s->q.live, i))
		if (i->gap == 0)
			mark(&x, i->seq);
	return x.there;
}

/* What was never promised and is not there now is lost as it may be; what was acknowledged and is there comes back. */
static void note_start(struct subject *s)
{
	bool *there = look_for(s, false);

	for (size_t i = 0; i < s->ledger->n; i++) {
		struct verdict_pack *p = s->ledger->packs + i;

		p->gone = !there[i] && p->promised == VERDICT_NEVER;
		p->back = there[i] && (p->acked != VERDICT_NEVER || p->refused != VERDICT_NEVER);
	}
	free(there);
}

/*
 * Packs have been dropped since position @since: those that are neither in memory nor in the file. If that has failed and is
 * closed, any of its packs may be among them: a gap record tells which.
 */
static void note_dropped(struct subject *s, size_t since)
{
	bool *there = look_for(s, true);

	for (size_t i = 0; i < s->ledger->n; i++) {
		struct verdict_pack *p = s->ledger->packs + i;

		if (!there[i] && p->acked == VERDICT_NEVER && p->refused == VERDICT_NEVER)
			p->droppable = earlier(p->droppable, since);
	}
	free(there);
}

static bool is_stored(const struct subject *s, uint64_t seq)
{
	const struct tg_item *i = tg_ring_find(&s->q.live, seq);

	return !i || (i->on_disk && i->gap == 0);
}

/*
 * A transaction that has failed at its sync may be found in the log nevertheless, after a kill. If it was one that drops the
 * oldest, its gap records are there, too, and what they cover was not lost.
 */
static bool may_have_dropped(const struct subject *s)
{
	const struct tg_disk_limits *l = &s->limits.disk;
	bool small = l->max_size < subject_limits().disk.max_size;

	return s->disk.error != 0 && (l->max_age_us != 0 || (small && !l->drop_newest));
}

/* A turn that began at position @since is over: what is promised now, and what is settled? */
static void note(struct subject *s, size_t since)
{
	uint64_t dropped = s->disk.counts.dropped + s->q.dropped;
	bool durable = s->limits.disk.full || !s->disk.log_dirty;
	size_t at = medium_position();

	if (may_have_dropped(s) || dropped != s->dropped_seen) {
		note_dropped(s, since);
		s->dropped_seen = dropped;
	}
	/* What is wrong with the disk is told: nothing new is promised meanwhile. */
	if (s->disk.error != 0 || !durable)
		return;
	for (size_t i = 0; i < s->ledger->n; i++) {
		struct verdict_pack *p = s->ledger->packs + i;

		if (p->promised == VERDICT_NEVER && p->droppable == VERDICT_NEVER &&
		    p->acked == VERDICT_NEVER && !p->gone && is_stored(s, p->seq))
			p->promised = at;
		if (p->back || s->q.done != 0)
			continue;
		if (p->acked != VERDICT_NEVER)
			p->settled = earlier(p->settled, at);
		if (p->refused != VERDICT_NEVER && p->acked == VERDICT_NEVER)
			p->aside = earlier(p->aside, at);
	}
}

/* --- what is done to it --- */

int subject_open(struct subject *s)
{
	int r;

	assert(!s->running);
	s->n_flying = s->n_arrivals = 0;
	tg_queue_init(&s->q, &s->limits.queue, s->now);
	r = tg_disk_init(&s->disk, s->dir, &s->limits.disk, NULL, NULL, &s->q, NULL);
	s->running = r == 0;
	if (r < 0) {
		tg_queue_done(&s->q);
		return r;
	}
	s->dropped_seen = s->disk.counts.dropped;
	note_start(s);
	return 0;
}

void subject_close(struct subject *s)
{
	assert(s->running);
	s->closed_well = tg_disk_finish(&s->disk, s->now) == 0;
	s->running = false;
	tg_disk_done(&s->disk);
	for (size_t i = 0; s->closed_well && i < s->ledger->n; i++) {
		struct verdict_pack *p = s->ledger->packs + i;

		/* The ring may drop nothing at the end, so all that is not acknowledged is in the file. */
		if (p->acked == VERDICT_NEVER && p->droppable == VERDICT_NEVER && !p->gone)
			p->promised = earlier(p->promised, medium_position());
	}
	tg_queue_done(&s->q);
}

void subject_kill(struct subject *s)
{
	s->running = false;
	/* What a dead process leaves is the same as what one leaves that never closes; here the file is let go without a write. */
	tg_store_abandon(s->disk.store);
	tg_disk_done(&s->disk);
	tg_queue_done(&s->q);
}

struct tg_parcel *subject_parcel(uint64_t seq, size_t points)
{
	struct tg_sample samples[TG_PACK_SAMPLES];
	char names[TG_PACK_SAMPLES][16];
	struct tg_parcel *p = NULL;
	const struct tg_pack pack = {
		.seq = seq,
		.device = devices[seq % DEVICES],
		.wall_offset_us = INT64_C(1790000000000000),
		.clock = TG_CLOCK_SYNCHRONISED,
		.n_samples = points,
		.samples = samples,
	};

	assert(points <= TG_PACK_SAMPLES);
	for (size_t i = 0; i < points; i++) {
		(void) snprintf(names[i], sizeof(names[i]), "p%zu", i);
		samples[i] = (struct tg_sample){
			.point = names[i],
			.unit = "Cel",
			.reason = "",
			.value = { .type = TG_VALUE_REAL,
				   .real = (double) (seq * 1000 + i) * 1.6180339887498949 },
			.boot_us = 1000 + seq,
		};
	}
	assert(tg_parcel_new(&pack, &p) == 0);
	return p;
}

static unsigned device_of(const struct tg_parcel *p)
{
	for (unsigned i = 0; i < DEVICES; i++)
		if (strcmp(tg_parcel_device(p), devices[i]) == 0)
			return i;
	return DEVICES;
}

void subject_put_parcel(struct subject *s, struct tg_parcel *p)
{
	(void) verdict_put(s->ledger, p->seq, device_of(p), tg_crc32c(0, p->bytes, p->len),
			   medium_position());
	tg_disk_latest(&s->disk, p);
	assert(tg_queue_put(&s->q, p, s->now) == 0);
}

void subject_put(struct subject *s, unsigned n, size_t points)
{
	for (unsigned i = 0; i < n; i++)
		subject_put_parcel(s, subject_parcel(++s->seq, points));
}

void subject_turn(struct subject *s)
{
	size_t since = medium_position();

	s->now += TG_US_PER_S;
	tg_disk_turn(&s->disk, s->now);
	note(s, since);
}

void subject_turns(struct subject *s, unsigned n)
{
	while (n-- > 0)
		subject_turn(s);
}

void subject_up(struct subject *s, unsigned window)
{
	assert(window <= SUBJECT_FLYING);
	tg_queue_link_up(&s->q, window);
	s->n_flying = s->n_arrivals = 0;
}

void subject_down(struct subject *s)
{
	tg_queue_link_down(&s->q, false, 0);
	s->n_flying = 0;
}

static void arrive(struct subject *s, const struct tg_item *i)
{
	struct tg_unpacked u;
	struct verdict_arrival *a;

	if (s->n_arrivals == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		s->arrivals = reallocarray(s->arrivals, s->room, sizeof(*s->arrivals));
		assert(s->arrivals);
	}
	a = s->arrivals + s->n_arrivals++;
	*a = (struct verdict_arrival){
		.seq = i->seq,
		.crc = tg_crc32c(0, i->parcel->bytes, i->parcel->len),
		.device = device_of(i->parcel),
	};
	/* As a receiver sees it, not as the queue believes it to be. */
	assert(tg_parcel_unpack(i->parcel, &u) == 0);
	if (u.pack.seq != i->seq)
		a->crc = ~a->crc;
	if (u.pack.n_samples == 3 && strcmp(u.samples[0].point, "_gap") == 0) {
		a->gap = u.samples[0].value.u;
		a->gap_first = u.samples[1].value.u;
		if (u.samples[2].value.u != i->seq)
			a->gap = UINT64_MAX;
	}
	tg_unpacked_done(&u);
}

size_t subject_take(struct subject *s)
{
	struct tg_queue_pick pick;
	uint64_t again;
	size_t n = 0;

	while (tg_queue_pick(&s->q, s->now, &pick, &again)) {
		assert(s->n_flying < SUBJECT_FLYING);
		s->flying[s->n_flying++] = pick.item->seq;
		arrive(s, pick.item);
		tg_queue_handed(&s->q, &pick);
		n++;
	}
	return n;
}

static uint64_t land(struct subject *s)
{
	uint64_t seq = s->flying[0];

	memmove(s->flying, s->flying + 1, --s->n_flying * sizeof(s->flying[0]));
	return seq;
}

static const struct verdict_arrival *arrival_of(const struct subject *s, uint64_t seq)
{
	for (size_t i = 0; i < s->n_arrivals; i++)
		if (s->arrivals[i].seq == seq)
			return s->arrivals + i;
	return NULL;
}

/* What a gap record has told of is no more owed than what was acknowledged. */
static void acknowledged(struct subject *s, const struct verdict_arrival *a)
{
	for (size_t i = 0; i < s->ledger->n; i++) {
		struct verdict_pack *p = s->ledger->packs + i;
		bool told = a->gap && p->device == a->device && p->droppable != VERDICT_NEVER &&
			    p->seq >= a->gap_first && p->seq <= a->seq;

		if (told || (!a->gap && p->seq == a->seq)) {
			p->acked = earlier(p->acked, medium_position());
			p->back = false;
		}
	}
}

void subject_ack(struct subject *s, size_t n)
{
	while (n-- > 0 && s->n_flying > 0) {
		uint64_t seq = land(s);

		acknowledged(s, arrival_of(s, seq));
		assert(tg_queue_ack(&s->q, seq, s->now));
	}
}

void subject_refuse(struct subject *s, size_t n)
{
	while (n-- > 0 && s->n_flying > 0) {
		uint64_t seq = land(s);
		struct verdict_pack *p = verdict_find(s->ledger, seq);

		assert(p);
		p->refused = earlier(p->refused, medium_position());
		p->back = false;
		assert(tg_queue_refuse(&s->q, seq, s->now));
	}
}

static bool is_empty(const struct subject *s)
{
	return s->q.drained && s->q.live.count == 0 && s->q.replay.count == 0 && s->disk.error == 0;
}

bool subject_drain(struct subject *s, unsigned window)
{
	subject_up(s, window);
	for (unsigned i = 0; i < DRAIN_LONG; i++) {
		subject_turn(s);
		subject_take(s);
		subject_ack(s, s->n_flying);
		if (is_empty(s))
			return true;
	}
	return false;
}

bool subject_has_told(const struct subject *s)
{
	DIR *d = opendir(s->dir);
	struct dirent *e;
	bool told = s->disk.repaired_us != 0;

	assert(d);
	while ((e = readdir(d)))
		told = told || strncmp(e->d_name, "spool.bad-", 10) == 0;
	(void) closedir(d);
	return told;
}
