/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk.h"
#include "base/clock.h"

#include "tests/unit/alloc-fail.h"
#include "tests/unit/spool-bench.h"

#include <errno.h>

/*
 * The spool short of memory at each allocation, those of SQLite among them: a pack that was taken comes out again, whatever
 * failed on its way to the disk and back. Without the thread, and time passes when the test says so.
 */
#define SECOND TG_US_PER_S
#define PACKS  12u
#define TRIES  5000ul /* more allocations than one run makes */

struct bench {
	char dir[64];
	struct tg_queue q;
	struct tg_disk disk;
	uint64_t now, last;
	bool open;
	bool taken[PACKS + 1], come[PACKS + 1]; /* by number */
	bool wrong;
};

/* How durable it is, is for other tests. */
int fsync(int fd)
{
	return fd < 0 ? -1 : 0;
}

int fdatasync(int fd)
{
	return fd < 0 ? -1 : 0;
}

static int start(struct bench *b)
{
	const struct tg_queue_limits limits = { .memory = 1 << 20, .commit_interval_us = SECOND };
	const struct tg_disk_limits disk = { .max_size = 8 << 20, .full = true };
	int r;

	tg_queue_init(&b->q, &limits, b->now);
	r = tg_disk_init(&b->disk, b->dir, &disk, NULL, NULL, &b->q, NULL);
	b->open = r == 0;
	if (r < 0)
		tg_queue_done(&b->q);
	return r;
}

static void end(struct bench *b)
{
	if (b->open) {
		tg_disk_done(&b->disk);
		tg_queue_done(&b->q);
	}
	b->open = false;
}

static void turn(struct bench *b)
{
	b->now += SECOND;
	tg_disk_turn(&b->disk, b->now);
}

static void put(struct bench *b, struct tg_parcel *const *parcels, unsigned from, unsigned until)
{
	for (unsigned i = from; i <= until; i++) {
		struct tg_parcel *p = tg_parcel_ref(parcels[i]);

		b->taken[i] = tg_queue_put(&b->q, p, b->now) == 0;
		if (!b->taken[i])
			(void) tg_parcel_unref(p);
	}
}

static void receive(struct bench *b, struct tg_parcel *const *parcels, const struct tg_parcel *p)
{
	if (p->seq < 1 || p->seq > PACKS || p->seq <= b->last || p->len != parcels[p->seq]->len ||
	    memcmp(p->bytes, parcels[p->seq]->bytes, p->len) != 0 || !b->taken[p->seq]) {
		b->wrong = true;
		return;
	}
	b->last = p->seq;
	b->come[p->seq] = true;
}

/* A session that lasts for so many packs, each acknowledged. */
static void session(struct bench *b, struct tg_parcel *const *parcels, unsigned packs)
{
	struct tg_queue_pick pick;
	uint64_t again;

	tg_queue_link_up(&b->q, 4);
	for (unsigned turns = 0; turns < 40 && packs; turns++) {
		turn(b);
		while (packs && tg_queue_pick(&b->q, b->now, &pick, &again)) {
			uint64_t seq = pick.item->seq;

			receive(b, parcels, pick.item->parcel);
			tg_queue_handed(&b->q, &pick);
			(void) tg_queue_ack(&b->q, seq, b->now);
			packs--;
		}
	}
	tg_queue_link_down(&b->q, false, 0);
}

/* Everything a spool does on a day; with the failure in it. */
static void day(struct bench *b, struct tg_parcel *const *parcels)
{
	if (start(b) < 0)
		return;
	put(b, parcels, 1, 6);
	turn(b);
	turn(b);
	session(b, parcels, 3);
	put(b, parcels, 7, PACKS);
	turn(b);
	turn(b);
}

/* Returns how many allocations failed; 0: the day had fewer. */
static unsigned long one_day(struct tg_parcel *const *parcels, unsigned long nth,
			     enum alloc_fail_mode mode)
{
	struct bench b = { .now = tg_clock_boot_us() };
	struct alloc_fail_count count;

	spool_bench_dir(b.dir);
	alloc_fail_arm(nth, mode);
	day(&b, parcels);
	count = alloc_fail_disarm();
	if (b.open) {
		/* Memory is back: the medium is tried again within a minute. */
		for (unsigned i = 0; i < 70 && (b.q.dirty || b.disk.error); i++)
			turn(&b);
		if (b.disk.error)
			fail_msg("allocation %lu (%d) failed, and the spool says %d (%s) for ever",
				 nth, mode, b.disk.error, b.disk.error_text);
		assert_int_equal(tg_disk_finish(&b.disk, b.now), 0);
	}
	end(&b);
	b.last = 0;
	assert_int_equal(start(&b), 0);
	session(&b, parcels, PACKS);
	assert_int_equal(b.disk.counts.dropped, 0);
	end(&b);
	spool_bench_remove(b.dir);
	if (b.wrong)
		fail_msg("allocation %lu failed, and a pack came that was none", nth);
	for (unsigned i = 1; i <= PACKS; i++)
		if (b.taken[i] && !b.come[i])
			fail_msg("allocation %lu failed, and pack %u is lost", nth, i);
	return count.failed;
}

static void a_pack_that_was_taken_comes_whatever_fails(void **state)
{
	static const enum alloc_fail_mode modes[] = { ALLOC_FAIL_ONCE, ALLOC_FAIL_ON };
	struct tg_parcel *parcels[PACKS + 1] = { NULL };
	unsigned long days = 0;

	(void) state;
	tg_log_set_level(-1);
	for (unsigned i = 1; i <= PACKS; i++)
		parcels[i] = spool_bench_parcel("boiler", i, 40);
	for (size_t m = 0; m < 2; m++) {
		unsigned long nth = 1;

		for (; nth < TRIES && one_day(parcels, nth, modes[m]) > 0; nth += m ? 31 : 1)
			days++;
		assert_true(nth < TRIES);
	}
	assert_true(days > 100);
	for (unsigned i = 1; i <= PACKS; i++)
		(void) tg_parcel_unref(parcels[i]);
	printf("FAULT F23: %lu failed allocations in the spool and SQLite: every pack that was "
	       "taken came out, unaltered and in "
	       "order\n",
	       days);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pack_that_was_taken_comes_whatever_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
