/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk.h"
#include "agent/spool/spool.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "spool-bench.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>

/*
 * A spool's file in which a stranger has written, and strangers who keep the spool busy.
 */
#define EPOCH   (UINT64_C(1) << 32)
#define ROWS    20u
#define WAIT_US (20 * TG_US_PER_S) /* for what takes milliseconds, unless the machine is busy */

struct bench {
	char dir[64];
	struct tg_queue q;
	struct tg_disk disk;
	uint64_t now;
	unsigned arrived;
};

static void start(struct bench *b)
{
	const struct tg_queue_limits queue = { .memory = 1 << 20,
					       .commit_interval_us = TG_US_PER_S };
	const struct tg_disk_limits disk = { .max_size = 8 << 20, .full = true };

	b->now = tg_clock_boot_us();
	tg_queue_init(&b->q, &queue, b->now);
	assert_int_equal(tg_disk_init(&b->disk, b->dir, &disk, NULL, NULL, &b->q, NULL), 0);
}

static void stop(struct bench *b)
{
	tg_disk_done(&b->disk);
	tg_queue_done(&b->q);
}

/* Even numbers, so that there is room between them. */
static void make(struct bench *b)
{
	spool_bench_dir(b->dir);
	start(b);
	for (uint64_t i = 1; i <= ROWS; i++)
		assert_int_equal(
			tg_queue_put(&b->q, spool_bench_parcel("boiler", EPOCH + 2 * i, 8), b->now),
			0);
	assert_int_equal(tg_disk_finish(&b->disk, b->now), 0);
	stop(b);
}

static void write_sql(const struct bench *b, const char *sql, const void *blob, int len,
		      uint32_t crc)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *h = NULL;
	char path[512];

	spool_bench_path(path, b->dir, "spool.db");
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &st, NULL), SQLITE_OK);
	if (blob) {
		assert_int_equal(sqlite3_bind_int64(st, 1, crc), SQLITE_OK);
		assert_int_equal(sqlite3_bind_blob(st, 2, blob, len, SQLITE_STATIC), SQLITE_OK);
	}
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	(void) sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

static void drain(struct bench *b)
{
	tg_queue_link_up(&b->q, 100);
	for (int i = 0; i < 300; i++) {
		struct tg_queue_pick pick;
		uint64_t again;

		b->now += TG_US_PER_S;
		tg_disk_turn(&b->disk, b->now);
		while (tg_queue_pick(&b->q, b->now, &pick, &again)) {
			uint64_t seq = pick.item->seq;

			b->arrived += pick.item->gap == 0;
			tg_queue_handed(&b->q, &pick);
			assert_true(tg_queue_ack(&b->q, seq, b->now));
		}
	}
}

static void drains_past(const char *sql)
{
	struct bench b = { .arrived = 0 };

	make(&b);
	write_sql(&b, sql, NULL, 0, 0);
	start(&b);
	drain(&b);
	assert_int_equal(b.arrived, ROWS);
	assert_int_equal(b.disk.error, 0);
	assert_int_equal(b.disk.counts.rows, 0);
	stop(&b);
	spool_bench_remove(b.dir);
}

static void rows_behind_one_that_is_too_large_arrive(void **state)
{
	(void) state;
	drains_past("INSERT INTO pack VALUES (4294967301, 99, 'boiler', 0, 0, 0, 0, 0, "
		    "zeroblob(2000000))");
}

static void rows_behind_a_name_that_is_too_large_arrive(void **state)
{
	(void) state;
	drains_past("INSERT INTO pack VALUES (4294967301, 99, hex(zeroblob(1000000)), 0, 0, 0, 0, "
		    "0, x'00')");
}

static void rows_behind_one_of_wrong_types_arrive(void **state)
{
	(void) state;
	drains_past("INSERT INTO pack VALUES (4294967301, 'x', x'626f696c6572', 'made', -5, "
		    "1.5e300, 'a', 'b', 'text')");
}

static void rows_behind_an_event_that_is_too_large_arrive(void **state)
{
	(void) state;
	drains_past("INSERT INTO event VALUES (4294967301, 0, zeroblob(2000000))");
}

/* The next start would find no sequence numbers left above such an event. */
static void an_event_whose_number_none_can_have_is_not_believed(void **state)
{
	static const int64_t numbers[] = { -1, 0, INT64_MAX, (INT64_C(1) << 53) };
	static const char text[] = "{\"event\":\"x\"}";

	(void) state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct bench b = { .arrived = 0 };
		char sql[96];
		uint8_t le[8];

		make(&b);
		for (size_t n = 0; n < sizeof(le); n++)
			le[n] = (uint8_t) ((uint64_t) numbers[i] >> 8 * n);
		(void) snprintf(sql, sizeof(sql), "INSERT INTO event VALUES (%lld, ?1, ?2)",
				(long long) numbers[i]);
		write_sql(&b, sql, text, sizeof(text) - 1,
			  tg_crc32c(tg_crc32c(0, le, sizeof(le)), text, sizeof(text) - 1));
		start(&b);
		assert_int_equal(tg_store_last_seq(b.disk.store), EPOCH + 2 * ROWS);
		assert_int_equal(tg_shelf_waiting(&b.disk.shelf), 0);
		tg_disk_turn(&b.disk, b.now);
		assert_int_equal(b.disk.error, 0);
		/* It is gone for good, and counted. */
		assert_int_equal(b.disk.counts.events_lost, 1);
		assert_false(tg_shelf_is_dirty(&b.disk.shelf));
		stop(&b);
		spool_bench_remove(b.dir);
	}
}

/* --- the whole spool ------------------------------------------------------------------------------------------------ */

struct stalled {
	pthread_mutex_t disk; /* what the thread waits for */
	bool waits;           /* atomic */
};

static void on_state(void *user, const struct tg_spool_state *st)
{
	struct stalled *x = user;

	(void) st;
	__atomic_store_n(&x->waits, true, __ATOMIC_RELEASE);
	(void) pthread_mutex_lock(&x->disk);
	(void) pthread_mutex_unlock(&x->disk);
}

static void on_aside(void *user, uint64_t client, struct tg_spool_aside *list)
{
	(void) user;
	(void) client;
	free(list);
}

static bool put(struct tg_spool *spool, uint64_t seq)
{
	struct tg_parcel *p = spool_bench_parcel("boiler", seq, 1);

	if (tg_spool_put(spool, p) == 0)
		return true;
	tg_parcel_unref(p);
	return false;
}

static void acknowledgements_find_room_whatever_is_read_or_asked(void **state)
{
	static const struct tg_config cfg = {
		.spool = { .memory = 1 << 20,
			   .max_size = 8 << 20,
			   .commit_interval_us = 60 * TG_US_PER_S },
	};
	struct stalled x = { .disk = PTHREAD_MUTEX_INITIALIZER };
	struct tg_spool *spool = NULL;
	uint64_t until = tg_clock_boot_us() + WAIT_US;
	unsigned asked = 0, read = 0;
	char dir[64];

	(void) state;
	spool_bench_dir(dir);
	(void) pthread_mutex_lock(&x.disk);
	assert_int_equal(tg_spool_new(dir, &cfg, on_state, &x, &spool, NULL), 0);
	while (!__atomic_load_n(&x.waits, __ATOMIC_ACQUIRE) && tg_clock_boot_us() < until)
		usleep(1000);
	assert_true(x.waits);
	while (asked < 100 && tg_spool_list_aside(spool, asked, on_aside) == 0)
		asked++;
	assert_int_equal(asked, 100);
	while (read < 100000 && put(spool, EPOCH + 1 + read))
		read++;
	assert_in_range(read, 1, 99999);
	while (asked < 100000 && tg_spool_list_aside(spool, asked, on_aside) == 0)
		asked++;
	assert_in_range(asked, 100, 99999);
	for (uint64_t seq = 1; seq <= TG_QUEUE_WINDOW_MAX; seq++)
		assert_int_equal(tg_spool_ack(spool, 1, seq), 0);
	assert_int_equal(tg_spool_link_down(spool, 1, false), 0);
	(void) pthread_mutex_unlock(&x.disk);
	assert_int_equal(tg_spool_stop(spool, WAIT_US), 0);
	tg_spool_free(spool);
	spool_bench_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_behind_one_that_is_too_large_arrive),
		cmocka_unit_test(rows_behind_a_name_that_is_too_large_arrive),
		cmocka_unit_test(rows_behind_one_of_wrong_types_arrive),
		cmocka_unit_test(rows_behind_an_event_that_is_too_large_arrive),
		cmocka_unit_test(an_event_whose_number_none_can_have_is_not_believed),
		cmocka_unit_test(acknowledgements_find_room_whatever_is_read_or_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
