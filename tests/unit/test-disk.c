/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pack/stored.h"
#include "agent/spool/disk.h"
#include "base/clock.h"
#include "spool-bench.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/*
 * Queue and file together, without the thread and under a clock of the test's
 * own: bounds, failing media, damage while it runs.
 */
#define SECOND TG_US_PER_S

/*
 * SQLite syncs through these, as symbols of the program come before those of
 * the C library: they count, and fail when told to.
 */
static unsigned syncs, fail_sync; /* fail_sync: the how manieth from now fails, once; 0: none */

static int sync_or_fail(int fd, long number)
{
	syncs++;
	if (fail_sync != 0 && --fail_sync == 0) {
		errno = EIO;
		return -1;
	}
	return (int) syscall(number, fd);
}

int fsync(int fd)
{
	return sync_or_fail(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return sync_or_fail(fd, SYS_fdatasync);
}

#define DAY (86400 * SECOND)

struct bench {
	char dir[64];
	struct tg_queue q;
	struct tg_disk disk;
	struct tg_queue_limits queue_limits;
	struct tg_disk_limits disk_limits;
	uint64_t now, seq;
	/* what a receiver has got */
	uint64_t packs, gaps, missing, last;
	struct spool_bench_gap last_gap;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	spool_bench_dir(b->dir);
	b->now = 100 * SECOND;
	b->queue_limits =
		(struct tg_queue_limits){ .memory = 1 << 20, .commit_interval_us = SECOND };
	b->disk_limits = (struct tg_disk_limits){ .max_size = 8 << 20, .full = true };
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_disk_done(&b->disk);
	tg_queue_done(&b->q);
	spool_bench_remove(b->dir);
	free(b);
	return 0;
}

static void start(struct bench *b)
{
	tg_queue_init(&b->q, &b->queue_limits, b->now);
	assert_int_equal(tg_disk_init(&b->disk, b->dir, &b->disk_limits, NULL, NULL, &b->q, NULL),
			 0);
}

static void turn(struct bench *b)
{
	b->now += SECOND;
	tg_disk_turn(&b->disk, b->now);
}

static void put_parcel(struct bench *b, struct tg_parcel *p)
{
	tg_disk_latest(&b->disk, p);
	assert_int_equal(tg_queue_put(&b->q, p, b->now), 0);
}

static void put(struct bench *b, unsigned n, size_t points)
{
	for (unsigned i = 0; i < n; i++)
		put_parcel(b, spool_bench_parcel("boiler", ++b->seq, points));
}

static void restart(struct bench *b)
{
	assert_int_equal(tg_disk_finish(&b->disk, b->now), 0);
	tg_disk_done(&b->disk);
	tg_queue_done(&b->q);
	start(b);
}

static void receive(struct bench *b, const struct tg_parcel *p)
{
	struct spool_bench_gap gap;

	assert_true(p->seq > b->last);
	if (spool_bench_is_gap(p, &gap)) {
		/* It speaks of what has not come, and only of that. */
		assert_int_equal(gap.first, b->last + 1);
		assert_int_equal(gap.count, gap.last - gap.first + 1);
		b->gaps++;
		b->missing += gap.count;
		b->last_gap = gap;
	} else {
		assert_int_equal(p->seq, b->last + 1);
		b->packs++;
	}
	b->last = p->seq;
}

/* Link up, everything acknowledged, until nothing is left. */
static void drain(struct bench *b)
{
	struct tg_queue_pick pick;
	uint64_t again;

	tg_queue_link_up(&b->q, 32);
	for (int i = 0; i < 20000 && (i < 3 || b->disk.counts.rows > 0 || b->q.live.count > 0);
	     i++) {
		turn(b);
		while (tg_queue_pick(&b->q, b->now, &pick, &again)) {
			uint64_t seq = pick.item->seq;

			receive(b, pick.item->parcel);
			tg_queue_handed(&b->q, &pick);
			assert_true(tg_queue_ack(&b->q, seq, b->now));
		}
	}
	tg_queue_link_down(&b->q, false, 0);
	assert_int_equal(b->disk.counts.rows, 0);
}

static void everything_has_come(const struct bench *b)
{
	assert_int_equal(b->last, b->seq);
	assert_int_equal(b->packs + b->missing, b->seq);
}

static void stays_within_max_size_by_dropping_the_oldest(void **state)
{
	struct bench *b = *state;
	uint64_t dropped;

	b->disk_limits.max_size = 1 << 20;
	start(b);
	for (int i = 0; i < 100; i++) {
		struct spool_bench_print print;

		put(b, 50, 20);
		turn(b);
		assert_int_equal(b->disk.error, 0);
		assert_int_equal(b->q.dirty, 0);
		print = spool_bench_print(b->dir);
		assert_true(print.size[0] <= 1 << 20);
		assert_true(print.size[0] + print.size[1] <= 5 << 20);
	}
	dropped = b->disk.counts.dropped;
	assert_true(dropped > 1000);
	restart(b);
	assert_int_equal(b->disk.counts.dropped, dropped);
	drain(b);
	everything_has_come(b);
	/* One record for all that was dropped, as it was all of one device. */
	assert_int_equal(b->gaps, 1);
	assert_int_equal(b->missing, dropped);
	assert_true(b->packs > 500);
}

static void stays_within_max_size_by_dropping_the_newest(void **state)
{
	struct bench *b = *state;

	b->disk_limits.max_size = 1 << 20;
	b->disk_limits.drop_newest = b->queue_limits.drop_newest = true;
	start(b);
	for (int i = 0; i < 100; i++) {
		put(b, 50, 20);
		turn(b);
		assert_int_equal(b->disk.error, 0);
		assert_true(spool_bench_print(b->dir).size[0] <= 1 << 20);
	}
	restart(b);
	assert_true(b->disk.counts.dropped > 1000);
	drain(b);
	everything_has_come(b);
	assert_int_equal(b->gaps, 1);
	assert_int_equal(b->last_gap.last, b->seq);
	assert_true(b->packs > 500);
}

static void keeps_packs_in_memory_while_the_disk_is_full(void **state)
{
	struct bench *b = *state;

	start(b);
	put(b, 10, 20);
	turn(b);
	assert_int_equal(b->disk.counts.rows, 10);
	/* The file may not grow by a page: what a full disk looks like to SQLite. */
	tg_db_set_max_bytes(tg_store_db(b->disk.store), 0);
	for (int i = 0; i < 5; i++) {
		put(b, 100, 20);
		turn(b);
	}
	assert_int_equal(b->disk.error, -ENOSPC);
	assert_true(strlen(b->disk.error_text) > 0);
	assert_int_equal(b->disk.counts.rows, 10);
	assert_int_equal(b->q.live.count, 500);
	assert_true(tg_disk_due_us(&b->disk) != TG_US_FOREVER);

	tg_db_set_max_bytes(tg_store_db(b->disk.store), 8 << 20);
	b->now += 60 * SECOND;
	turn(b);
	assert_int_equal(b->disk.error, 0);
	assert_int_equal(b->disk.counts.rows, 510);
	drain(b);
	everything_has_come(b);
	assert_int_equal(b->missing, 0);
}

static void drops_with_a_gap_record_when_memory_is_full_too(void **state)
{
	struct bench *b = *state;

	b->queue_limits.memory = 100000;
	start(b);
	tg_db_set_max_bytes(tg_store_db(b->disk.store), 0);
	for (int i = 0; i < 20; i++) {
		put(b, 100, 20);
		turn(b);
		assert_true(b->q.live.bytes <= 100000);
	}
	assert_true(b->q.dropped > 1000);
	tg_db_set_max_bytes(tg_store_db(b->disk.store), 8 << 20);
	b->now += 60 * SECOND;
	turn(b);
	assert_int_equal(b->disk.error, 0);
	drain(b);
	everything_has_come(b);
	assert_int_equal(b->gaps, 1);
	assert_int_equal(b->disk.counts.dropped, b->missing);
}

/* Writes that fail with EFBIG are SQLite's SQLITE_IOERR_WRITE: a medium that breaks. */
static void set_file_limit(rlim_t bytes)
{
	struct rlimit lim;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &lim), 0);
	lim.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

/* More has come while the disk failed than it may ever hold, and the link stays down. */
static void fits_what_has_waited_into_max_size(void **state)
{
	struct bench *b = *state;
	uint64_t kept;

	b->queue_limits.memory = 4 << 20;
	b->disk_limits.max_size = 1 << 18;
	start(b);
	(void) signal(SIGXFSZ, SIG_IGN);
	set_file_limit(0);
	for (int i = 0; i < 10; i++) {
		put(b, 100, 20);
		turn(b);
	}
	set_file_limit(RLIM_INFINITY);
	assert_int_equal(b->disk.error, -EIO);
	assert_int_equal(b->q.dirty, 1000);

	b->now += 60 * SECOND;
	turn(b);
	assert_int_equal(b->disk.error, 0);
	assert_int_equal(b->q.dirty, 0);
	assert_int_equal(b->q.disk, TG_QUEUE_DISK_OK);
	kept = spool_bench_rows(b->dir) - 1;
	assert_true(kept > 200);
	assert_int_equal(b->disk.counts.dropped, 1000 - kept);
	assert_true(spool_bench_print(b->dir).size[0] <= 1 << 18);
	restart(b);
	drain(b);
	everything_has_come(b);
	assert_int_equal(b->packs, kept);
	assert_int_equal(b->gaps, 1);
	assert_int_equal(b->last_gap.first, 1);
}

static void does_not_trust_a_file_that_has_failed_until_it_is_verified(void **state)
{
	struct bench *b = *state;

	(void) signal(SIGXFSZ, SIG_IGN);
	start(b);
	put(b, 10, 20);
	turn(b);
	set_file_limit(4096);
	put(b, 100, 20);
	turn(b);
	assert_int_equal(b->disk.error, -EIO);
	assert_null(tg_store_db(b->disk.store));
	assert_true(b->disk.verify);
	for (int i = 0; i < 10; i++) {
		put(b, 10, 20);
		turn(b);
	}
	assert_int_equal(b->q.live.count, 200);
	set_file_limit(RLIM_INFINITY);
	b->now += 60 * SECOND;
	turn(b);
	assert_int_equal(b->disk.error, 0);
	assert_false(b->disk.verify);
	assert_int_equal(b->disk.counts.rows, 210);
	drain(b);
	everything_has_come(b);
	assert_int_equal(b->missing, 0);
	assert_int_equal(spool_bench_count(b->dir, "spool.bad-"), 0);
}

static void finds_damage_when_a_failed_file_is_verified(void **state)
{
	struct bench *b = *state;
	uint8_t *data;
	size_t len;

	(void) signal(SIGXFSZ, SIG_IGN);
	start(b);
	put(b, 500, 20);
	turn(b);
	assert_int_equal(tg_db_checkpoint(tg_store_db(b->disk.store), true), 0);
	set_file_limit(4096);
	put(b, 100, 20);
	turn(b);
	assert_int_equal(b->disk.error, -EIO);
	set_file_limit(RLIM_INFINITY);
	data = spool_bench_read(b->dir, "spool.db", &len);
	memset(data + len / 8192 * 4096, 0x5a, 4096);
	spool_bench_write(b->dir, "spool.db", data, len);
	free(data);
	b->now += 60 * SECOND;
	turn(b);
	turn(b);
	assert_int_equal(b->disk.error, 0);
	assert_int_equal(spool_bench_count(b->dir, "spool.bad-"), 1);
	assert_in_range(b->disk.counts.rows, 580, 599);
	assert_int_equal(b->disk.counts.rows + b->disk.counts.dropped, 600);
}

static void works_from_memory_without_a_directory(void **state)
{
	struct bench *b = *state;
	struct tg_queue_pick pick;
	uint64_t again;

	tg_queue_init(&b->q, &b->queue_limits, b->now);
	assert_int_equal(tg_disk_init(&b->disk, "/nonexistent/tidegate", &b->disk_limits, NULL,
				      NULL, &b->q, NULL),
			 0);
	assert_int_equal(b->disk.error, -ENOENT);
	tg_queue_link_up(&b->q, 8);
	put(b, 3, 1);
	turn(b);
	for (uint64_t seq = 1; seq <= 3; seq++) {
		assert_true(tg_queue_pick(&b->q, b->now, &pick, &again));
		assert_int_equal(pick.item->seq, seq);
		assert_int_equal(pick.stream, TG_STREAM_LIVE);
		tg_queue_handed(&b->q, &pick);
	}
	assert_int_equal(tg_disk_finish(&b->disk, b->now), -ENOENT);
}

static void backs_off_from_a_disk_that_keeps_failing(void **state)
{
	struct bench *b = *state;
	unsigned tries = 0;

	tg_queue_init(&b->q, &b->queue_limits, b->now);
	assert_int_equal(tg_disk_init(&b->disk, "/nonexistent/tidegate", &b->disk_limits, NULL,
				      NULL, &b->q, NULL),
			 0);
	b->now = tg_clock_boot_us();
	for (int i = 0; i < 3600; i++) {
		uint64_t before = b->disk.retry_us;

		turn(b);
		tries += b->disk.retry_us != before;
	}
	/* 1, 2, 4 ... 60 seconds: an hour has some 65. */
	assert_in_range(tries, 55, 75);
}

/* Changes the last byte of every @mark in the closed file: there are old copies in unused places, too. */
static void damage(struct bench *b, const void *mark, size_t len)
{
	size_t size;
	uint8_t *data = spool_bench_read(b->dir, "spool.db", &size), *at;
	unsigned found = 0;

	assert_non_null(data);
	for (at = data; (at = memmem(at, size - (size_t) (at - data), mark, len)); found++)
		at[len - 1] ^= 0x40;
	assert_true(found > 0);
	spool_bench_write(b->dir, "spool.db", data, size);
	free(data);
}

static void tells_a_row_with_bad_bytes_as_a_gap(void **state)
{
	struct bench *b = *state;
	struct tg_parcel *p = spool_bench_parcel("boiler", 5, 20);
	tg_cleanup(tg_buffer_done) struct tg_buffer stored = TG_BUFFER_INIT(TG_STORED_MAX);

	start(b);
	put(b, 10, 20);
	assert_int_equal(tg_disk_finish(&b->disk, b->now), 0);
	assert_int_equal(tg_stored_write(&stored, p), 0);
	damage(b, stored.data, stored.len);
	tg_parcel_unref(p);
	tg_disk_done(&b->disk);
	tg_queue_done(&b->q);
	start(b);
	drain(b);
	everything_has_come(b);
	assert_int_equal(b->packs, 9);
	assert_int_equal(b->last_gap.first, 5);
	assert_int_equal(b->last_gap.last, 5);
	assert_int_equal(b->disk.counts.dropped, 1);
}

static void repairs_a_file_that_is_damaged_while_it_runs(void **state)
{
	struct bench *b = *state;
	char path[512];
	uint8_t junk[4096];
	FILE *f;

	start(b);
	for (int i = 0; i < 10; i++) {
		put(b, 200, 20);
		turn(b);
	}
	assert_int_equal(tg_db_checkpoint(tg_store_db(b->disk.store), true), 0);
	assert_int_equal(b->disk.counts.rows, 2000);
	/* Of some 140 pages, a few in the middle. */
	memset(junk, 0x5a, sizeof(junk));
	spool_bench_path(path, b->dir, "spool.db");
	f = fopen(path, "r+e");
	assert_non_null(f);
	for (int page = 60; page < 65; page++) {
		assert_int_equal(fseek(f, page * 4096L, SEEK_SET), 0);
		assert_int_equal(fwrite(junk, 1, sizeof(junk), f), sizeof(junk));
	}
	assert_int_equal(fclose(f), 0);

	tg_queue_link_up(&b->q, 32);
	for (int i = 0; i < 5000 && b->disk.counts.rows > 0; i++) {
		struct tg_queue_pick pick;
		uint64_t again;

		turn(b);
		while (tg_queue_pick(&b->q, b->now, &pick, &again)) {
			uint64_t seq = pick.item->seq;

			b->packs++;
			tg_queue_handed(&b->q, &pick);
			assert_true(tg_queue_ack(&b->q, seq, b->now));
		}
	}
	assert_int_equal(b->disk.counts.rows, 0);
	assert_int_equal(b->disk.error, 0);
	assert_in_range(b->packs, 1800, 1999);
	assert_int_equal(b->disk.counts.dropped, 2000 - b->packs);
	assert_int_equal(spool_bench_count(b->dir, "spool.bad-"), 1);
}

static void writes_packs_again_that_a_damaged_file_has_lost(void **state)
{
	struct bench *b = *state;
	char path[512];

	start(b);
	tg_queue_link_up(&b->q, 8);
	put(b, 5, 20);
	turn(b);
	assert_int_equal(b->disk.counts.rows, 5);
	assert_int_equal(b->q.live.count, 5);
	/* Gone altogether, log and all: only an open that fails will notice. */
	tg_store_abandon(b->disk.store);
	spool_bench_path(path, b->dir, "spool.db-wal");
	(void) unlink(path);
	spool_bench_write(b->dir, "spool.db", "rubbish", 7);
	tg_queue_set_disk(&b->q, TG_QUEUE_DISK_FAILING);
	b->disk.retry_us = 0;
	turn(b);
	turn(b);
	assert_int_equal(b->disk.error, 0);
	assert_int_equal(b->disk.counts.rows, 5);
	assert_int_equal(spool_bench_rows(b->dir), 5);
}

static void drops_nothing_that_is_in_flight(void **state)
{
	struct bench *b = *state;
	struct tg_queue_pick pick;
	uint64_t again, sent[8];
	size_t n = 0;

	b->disk_limits.max_size = 1 << 20;
	start(b);
	put(b, 100, 20);
	turn(b);
	tg_queue_link_up(&b->q, 8);
	turn(b);
	while (tg_queue_pick(&b->q, b->now, &pick, &again)) {
		sent[n++] = pick.item->seq;
		tg_queue_handed(&b->q, &pick);
	}
	assert_int_equal(n, 8);
	for (int i = 0; i < 100; i++) {
		put(b, 50, 20);
		turn(b);
	}
	assert_int_equal(b->disk.error, 0);
	assert_true(b->disk.counts.dropped > 500);
	/* Refused, they must still be there to be set aside. */
	for (size_t i = 0; i < n; i++)
		assert_true(tg_queue_refuse(&b->q, sent[i], b->now));
	turn(b);
	turn(b);
	assert_int_equal(b->disk.counts.set_aside, 8);
	for (size_t i = 0; i < n; i++)
		assert_false(tg_queue_holds(&b->q, sent[i]));
}

/* A pack that is made now, with a clock that is @ahead_us ahead of this machine's, in boot @boot. */
static struct tg_parcel *parcel_with(uint64_t seq, enum tg_clock_trust trust, int64_t ahead_us, uint8_t boot)
{
	struct tg_parcel *like = spool_bench_parcel("boiler", seq, 1), *p = NULL;
	struct tg_unpacked u;

	assert_int_equal(tg_parcel_unpack(like, &u), 0);
	u.pack.clock = trust;
	u.pack.wall_offset_us = tg_clock_wall_us() - (int64_t) tg_clock_boot_us() + ahead_us;
	memset(u.pack.boot_id, boot, sizeof(u.pack.boot_id));
	assert_int_equal(tg_parcel_new(&u.pack, &p), 0);
	tg_unpacked_done(&u);
	tg_parcel_unref(like);
	return p;
}

static struct tg_parcel *parcel_with_clock(uint64_t seq, enum tg_clock_trust trust)
{
	return parcel_with(seq, trust, 0, 1);
}

static void a_clock_that_was_set_throws_nothing_away(void **state)
{
	struct bench *b = *state;

	b->disk_limits.max_age_us = 30 * DAY;
	b->now = DAY;
	start(b);
	/* The clock has come forward by years in this boot, and is right now: a pack is as old as the time since. */
	for (int i = 0; i < 5; i++)
		put_parcel(b, parcel_with(++b->seq, TG_CLOCK_SYNCHRONISED, -800 * (int64_t) DAY, 1));
	put_parcel(b, parcel_with_clock(++b->seq, TG_CLOCK_SYNCHRONISED));
	b->now += 60 * SECOND;
	turn(b);
	b->now += 60 * SECOND;
	turn(b);
	/* Packs of an earlier boot, and since the latest one the clock was set: its word does not count. */
	for (int i = 0; i < 5; i++)
		put_parcel(b, parcel_with(++b->seq, TG_CLOCK_SYNCHRONISED, -800 * (int64_t) DAY, 2));
	put_parcel(b, parcel_with(++b->seq, TG_CLOCK_SYNCHRONISED, 800 * (int64_t) DAY, 1));
	b->now += 60 * SECOND;
	turn(b);
	b->now += 60 * SECOND;
	turn(b);
	assert_int_equal(b->disk.counts.dropped, 0);
	assert_int_equal(b->disk.counts.rows, 12);
}

static void drops_what_an_earlier_boot_dated_when_it_is_old(void **state)
{
	struct bench *b = *state;

	b->disk_limits.max_age_us = 30 * DAY;
	b->now = DAY;
	start(b);
	for (int i = 0; i < 5; i++)
		put_parcel(b, parcel_with(++b->seq, TG_CLOCK_SYNCHRONISED, -31 * (int64_t) DAY, 2));
	for (int i = 0; i < 5; i++)
		put_parcel(b, parcel_with(++b->seq, TG_CLOCK_SYNCHRONISED, -20 * (int64_t) DAY, 2));
	put_parcel(b, parcel_with_clock(++b->seq, TG_CLOCK_SYNCHRONISED));
	b->now += 60 * SECOND;
	turn(b);
	b->now += 60 * SECOND;
	turn(b);
	assert_int_equal(b->disk.counts.dropped, 5);
}

static void drops_by_age_only_where_both_clocks_can_be_trusted(void **state)
{
	struct bench *b = *state;

	/* The packs were made right after boot, so that they are as old as the clock of this test. */
	b->disk_limits.max_age_us = 30 * DAY;
	b->now = 40 * DAY;
	start(b);
	for (int i = 0; i < 5; i++)
		put_parcel(b, parcel_with_clock(++b->seq, TG_CLOCK_SYNCHRONISED));
	for (int i = 0; i < 5; i++)
		put_parcel(b, parcel_with_clock(++b->seq, TG_CLOCK_UNCONFIRMED));
	b->now += 60 * SECOND;
	turn(b);
	assert_int_equal(b->disk.counts.rows, 10);
	assert_int_equal(b->disk.counts.dropped, 0);

	put_parcel(b, parcel_with_clock(++b->seq, TG_CLOCK_SYNCHRONISED));
	b->now += 60 * SECOND;
	turn(b);
	b->now += 60 * SECOND;
	turn(b);
	/* Five became one gap record; behind the first that cannot be judged nothing is dropped. */
	assert_int_equal(b->disk.counts.dropped, 5);
	assert_int_equal(b->disk.counts.rows, 7);
	drain(b);
	everything_has_come(b);
	assert_int_equal(b->missing, 5);
}

static void folds_its_log_now_and_then_when_durability_is_normal(void **state)
{
	struct bench *b = *state;
	struct spool_bench_print before, after;

	b->disk_limits.full = false;
	start(b);
	put(b, 10, 20);
	turn(b);
	before = spool_bench_print(b->dir);
	put(b, 10, 20);
	for (int i = 0; i < 12; i++)
		turn(b);
	after = spool_bench_print(b->dir);
	/* The file itself was written, not the log alone. */
	assert_true(after.seconds[0] != before.seconds[0] ||
		    after.nanoseconds[0] != before.nanoseconds[0]);
	assert_int_equal(spool_bench_rows(b->dir), 20);
}

static void syncs_each_commit_when_durability_is_full(void **state)
{
	struct bench *b = *state;
	unsigned before;

	start(b);
	put(b, 1, 20);
	turn(b);
	for (int i = 0; i < 20; i++) {
		before = syncs;
		put(b, 1, 20);
		turn(b);
		assert_int_equal(b->q.dirty, 0);
		assert_true(syncs > before);
	}
}

static void survives_a_failed_sync_at_any_place(void **state)
{
	struct bench *b = *state;
	unsigned failures = 0;

	start(b);
	for (unsigned n = 1; n <= 12; n++) {
		put(b, 3, 20);
		fail_sync = n;
		for (int i = 0; i < 8; i++) {
			put(b, 2, 20);
			turn(b);
			/* What counts as being on the disk is there, and what is not is still here. */
			failures += b->disk.error != 0;
			assert_int_equal(b->disk.counts.rows + b->q.dirty >= b->seq, 1);
		}
		fail_sync = 0;
		b->now += 61 * SECOND;
		turn(b);
		assert_int_equal(b->disk.error, 0);
		assert_int_equal(b->q.dirty, 0);
		assert_int_equal(b->disk.counts.rows, b->seq);
		assert_int_equal(spool_bench_rows(b->dir), b->seq);
	}
	assert_true(failures > 5);
	drain(b);
	everything_has_come(b);
	assert_int_equal(b->missing, 0);
}

/* Whoever had the sync of the log fail may be dead, and the kernel calls the next one a success. */
static void writes_a_log_anew_that_another_process_has_left(void **state)
{
	struct bench *b = *state;
	struct stat before, after;
	char path[128];
	unsigned synced;

	start(b);
	put(b, 3, 20);
	turn(b);
	tg_store_abandon(b->disk.store);
	tg_disk_done(&b->disk);
	tg_queue_done(&b->q);

	(void) snprintf(path, sizeof(path), "%s/spool.db-wal", b->dir);
	assert_int_equal(stat(path, &before), 0);
	assert_true(before.st_size > 0);
	(void) usleep(20000);
	synced = syncs;
	start(b);
	assert_int_equal(b->disk.counts.rows, 3);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_memory_not_equal(&after.st_mtim, &before.st_mtim, sizeof(after.st_mtim));
	/* The log, and the directory with its name. */
	assert_true(syncs >= synced + 2);
	drain(b);
	everything_has_come(b);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(stays_within_max_size_by_dropping_the_oldest),
		TEST(stays_within_max_size_by_dropping_the_newest),
		TEST(keeps_packs_in_memory_while_the_disk_is_full),
		TEST(drops_with_a_gap_record_when_memory_is_full_too),
		TEST(fits_what_has_waited_into_max_size),
		TEST(does_not_trust_a_file_that_has_failed_until_it_is_verified),
		TEST(finds_damage_when_a_failed_file_is_verified),
		TEST(works_from_memory_without_a_directory),
		TEST(backs_off_from_a_disk_that_keeps_failing),
		TEST(tells_a_row_with_bad_bytes_as_a_gap),
		TEST(repairs_a_file_that_is_damaged_while_it_runs),
		TEST(writes_packs_again_that_a_damaged_file_has_lost),
		TEST(drops_nothing_that_is_in_flight),
		TEST(drops_by_age_only_where_both_clocks_can_be_trusted),
		TEST(a_clock_that_was_set_throws_nothing_away),
		TEST(drops_what_an_earlier_boot_dated_when_it_is_old),
		TEST(syncs_each_commit_when_durability_is_full),
		TEST(survives_a_failed_sync_at_any_place),
		TEST(writes_a_log_anew_that_another_process_has_left),
		TEST(folds_its_log_now_and_then_when_durability_is_normal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
