/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk.h"
#include "agent/spool/spool.h"
#include "base/clock.h"
#include "spool-old.h"

#include <errno.h>
#include <pthread.h>

/*
 * Events for the cloud in the spool's file: over restarts and damage.
 */
#define EPOCH   (UINT64_C(1) << 32)
#define WAIT_US (20 * TG_US_PER_S) /* for what takes milliseconds, unless the machine is busy */

/* --- the shelf, on the disk ----------------------------------------------------------------------------------------- */

static char *text_of(uint64_t number)
{
	char *text = NULL;

	assert_true(asprintf(&text, "{\"event\":\"number-%llu\"}", (unsigned long long) number) > 0);
	return text;
}

struct disk_bench {
	char dir[64];
	struct tg_queue q;
	struct tg_disk disk;
	uint64_t now;
};

static void disk_start(struct disk_bench *b)
{
	const struct tg_queue_limits queue = { .memory = 1 << 20, .commit_interval_us = TG_US_PER_S };
	const struct tg_disk_limits disk = { .max_size = 8 << 20, .full = true };

	b->now = tg_clock_boot_us();
	tg_queue_init(&b->q, &queue, b->now);
	assert_int_equal(tg_disk_init(&b->disk, b->dir, &disk, NULL, NULL, &b->q, NULL), 0);
}

static void disk_stop(struct disk_bench *b)
{
	tg_disk_done(&b->disk);
	tg_queue_done(&b->q);
}

static void disk_put(struct disk_bench *b, uint64_t number)
{
	tg_shelf_put(&b->disk.shelf, number, text_of(number));
}

/* The events that somebody would find who opens the file after a kill: how many, and the first. */
static unsigned stored(const char *dir, uint64_t *ret_first, uint64_t *ret_lost)
{
	struct tg_shelf shelf = { .n = 0 };
	struct tg_store *s = NULL;
	char copy[64];
	unsigned n;

	spool_bench_dir(copy);
	spool_bench_copy(dir, copy);
	assert_int_equal(tg_store_new(copy, &spool_bench_options, &s), 0);
	assert_int_equal(tg_store_open(s, false, NULL), 0);
	assert_int_equal(tg_shelf_load(&shelf, tg_store_db(s)), 0);
	n = (unsigned) tg_shelf_waiting(&shelf);
	*ret_first = n ? tg_shelf_next(&shelf)->number : 0;
	if (ret_lost)
		*ret_lost = tg_db_counts(tg_store_db(s)).events_lost;
	tg_shelf_done(&shelf);
	tg_store_free(s);
	spool_bench_remove(copy);
	return n;
}

static void the_oldest_goes_when_too_many_wait(void **state)
{
	struct disk_bench b;
	uint64_t first, lost;

	(void) state;
	spool_bench_dir(b.dir);
	disk_start(&b);
	for (uint64_t n = 1; n <= TG_SHELF_EVENTS + 6; n++) {
		disk_put(&b, EPOCH + n);
		tg_disk_turn(&b.disk, b.now);
	}
	assert_int_equal(stored(b.dir, &first, &lost), TG_SHELF_EVENTS);
	assert_int_equal(first, EPOCH + 7);
	assert_int_equal(lost, 6);
	assert_int_equal(b.disk.counts.events_lost, 6);
	/* Nobody took one of them, the others were delivered: the file forgets all. */
	for (uint64_t n = 1; n <= TG_SHELF_EVENTS + 6; n++)
		tg_shelf_finish(&b.disk.shelf, EPOCH + n, n != 9);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(stored(b.dir, &first, &lost), 0);
	assert_int_equal(lost, 7);
	assert_int_equal(b.disk.shelf.n, 0);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

static void an_event_without_room_stays_in_memory_and_fails_nothing(void **state)
{
	struct disk_bench b;
	char *long_text = malloc(TG_DB_EVENT_MAX + 1);
	uint64_t first;

	(void) state;
	assert_non_null(long_text);
	memset(long_text, 'x', TG_DB_EVENT_MAX);
	long_text[TG_DB_EVENT_MAX] = '\0';
	spool_bench_dir(b.dir);
	disk_start(&b);
	tg_db_set_max_bytes(tg_store_db(b.disk.store), 0);
	tg_shelf_put(&b.disk.shelf, EPOCH + 1, long_text);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(b.disk.error, 0);
	assert_int_equal(tg_shelf_waiting(&b.disk.shelf), 1);
	assert_int_equal(tg_shelf_stored(&b.disk.shelf), 0);
	assert_true(tg_disk_due_us(&b.disk) > b.now && tg_disk_due_us(&b.disk) <= b.now + 60 * TG_US_PER_S);
	tg_db_set_max_bytes(tg_store_db(b.disk.store), 8 << 20);
	b.now = tg_disk_due_us(&b.disk);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(tg_shelf_stored(&b.disk.shelf), 1);
	assert_int_equal(stored(b.dir, &first, NULL), 1);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

/* Flips a bit in every copy of @mark. */
static void damage(const char *dir, const char *mark)
{
	size_t size, len = strlen(mark);
	uint8_t *data = spool_bench_read(dir, "spool.db", &size), *at;
	unsigned found = 0;

	assert_non_null(data);
	for (at = data; (at = memmem(at, size - (size_t) (at - data), mark, len)); found++)
		at[len - 1] ^= 0x40;
	assert_true(found > 0);
	spool_bench_write(dir, "spool.db", data, size);
	free(data);
}

static void a_damaged_event_is_not_sent_but_counted(void **state)
{
	struct disk_bench b;
	uint64_t first;

	(void) state;
	spool_bench_dir(b.dir);
	disk_start(&b);
	disk_put(&b, EPOCH + 1);
	disk_put(&b, EPOCH + 2);
	assert_int_equal(tg_disk_finish(&b.disk, b.now), 0);
	disk_stop(&b);
	damage(b.dir, "number-4294967297");
	disk_start(&b);
	assert_int_equal(tg_shelf_waiting(&b.disk.shelf), 1);
	assert_int_equal(tg_shelf_next(&b.disk.shelf)->number, EPOCH + 2);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(b.disk.error, 0);
	assert_int_equal(b.disk.counts.events_lost, 1);
	assert_int_equal(stored(b.dir, &first, NULL), 1);
	assert_int_equal(first, EPOCH + 2);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

static void events_are_rescued_from_a_damaged_file(void **state)
{
	struct disk_bench b;
	uint64_t first;
	uint8_t *data;
	size_t len;

	(void) state;
	spool_bench_dir(b.dir);
	disk_start(&b);
	disk_put(&b, EPOCH + 1);
	disk_put(&b, EPOCH + 2);
	for (uint64_t seq = 1; seq <= 500; seq++)
		assert_int_equal(tg_queue_put(&b.q, spool_bench_parcel("boiler", seq, 20), b.now), 0);
	b.now += 2 * TG_US_PER_S;
	tg_disk_turn(&b.disk, b.now);
	tg_shelf_finish(&b.disk.shelf, EPOCH + 1, true);
	assert_int_equal(tg_disk_finish(&b.disk, b.now), 0);
	disk_stop(&b);
	data = spool_bench_read(b.dir, "spool.db", &len);
	assert_non_null(data);
	memset(data + len / 8192 * 4096, 0x5a, 4096);
	spool_bench_write(b.dir, "spool.db", data, len);
	free(data);

	/* Found by what reads it first. */
	disk_start(&b);
	tg_queue_link_up(&b.q, 100);
	for (int i = 0; i < 1000 && b.disk.repairs == 0; i++) {
		struct tg_queue_pick pick;
		uint64_t again;

		b.now += TG_US_PER_S;
		tg_disk_turn(&b.disk, b.now);
		while (tg_queue_pick(&b.q, b.now, &pick, &again)) {
			uint64_t seq = pick.item->seq;

			tg_queue_handed(&b.q, &pick);
			assert_true(tg_queue_ack(&b.q, seq, b.now));
		}
	}
	assert_int_equal(b.disk.repairs, 1);
	assert_true(b.disk.repaired.rescued > 100);
	assert_int_equal(tg_shelf_waiting(&b.disk.shelf), 1);
	assert_int_equal(stored(b.dir, &first, NULL), 1);
	assert_int_equal(first, EPOCH + 2);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

static void an_event_that_only_memory_has_left_is_written_again(void **state)
{
	struct disk_bench b;
	char path[512];
	uint64_t first;

	(void) state;
	spool_bench_dir(b.dir);
	disk_start(&b);
	disk_put(&b, EPOCH + 3);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(tg_shelf_stored(&b.disk.shelf), 1);
	/* The file goes altogether: only the next open notices. */
	tg_store_abandon(b.disk.store);
	spool_bench_path(path, b.dir, "spool.db-wal");
	(void) unlink(path);
	spool_bench_write(b.dir, "spool.db", "rubbish", 7);
	tg_queue_set_disk(&b.q, TG_QUEUE_DISK_FAILING);
	b.disk.retry_us = 0;
	tg_disk_turn(&b.disk, b.now);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(b.disk.error, 0);
	assert_int_equal(stored(b.dir, &first, NULL), 1);
	assert_int_equal(first, EPOCH + 3);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

static void gap_records_that_wait_are_counted(void **state)
{
	struct disk_bench b;

	(void) state;
	spool_bench_dir(b.dir);
	make_old(b.dir, false);
	disk_start(&b);
	assert_int_equal(b.disk.counts.gaps, 3);
	assert_int_equal(tg_db_begin(tg_store_db(b.disk.store)), 0);
	assert_int_equal(tg_db_remove(tg_store_db(b.disk.store), 100), 0);
	assert_int_equal(tg_db_remove(tg_store_db(b.disk.store), 101), 0);
	assert_int_equal(tg_db_commit(tg_store_db(b.disk.store)), 0);
	disk_stop(&b);
	disk_start(&b);
	assert_int_equal(b.disk.counts.gaps, 2);
	assert_int_equal(b.disk.counts.rows, OLD_ROWS - 2);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

/* --- the whole spool ------------------------------------------------------------------------------------------------ */

struct bench {
	char dir[64];
	struct tg_config cfg;
	struct tg_spool *spool;
	struct tg_mailbox *events;
	pthread_mutex_t lock;
	struct tg_spool_state state;
};

static void on_state(void *user, const struct tg_spool_state *st)
{
	struct bench *b = user;

	pthread_mutex_lock(&b->lock);
	b->state = *st;
	pthread_mutex_unlock(&b->lock);
}

static void wait_stored(struct bench *b, uint64_t n)
{
	uint64_t until = tg_clock_boot_us() + WAIT_US, is;

	do {
		usleep(5000);
		pthread_mutex_lock(&b->lock);
		is = b->state.events_stored;
		pthread_mutex_unlock(&b->lock);
	} while (is != n && tg_clock_boot_us() < until);
	assert_int_equal(is, n);
}

static void start(struct bench *b)
{
	assert_int_equal(tg_spool_new(b->dir, &b->cfg, on_state, b, &b->spool, NULL), 0);
}

static void stop(struct bench *b)
{
	assert_int_equal(tg_spool_stop(b->spool, WAIT_US), 0);
	b->spool = tg_spool_free(b->spool);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	spool_bench_dir(b->dir);
	pthread_mutex_init(&b->lock, NULL);
	b->cfg.spool.memory = 1 << 20;
	b->cfg.spool.max_size = 8 << 20;
	b->cfg.spool.commit_interval_us = 60 * TG_US_PER_S;
	assert_int_equal(tg_mailbox_new(TG_SPOOL_EVENTS, sizeof(struct tg_spool_event), tg_spool_drop_event, &b->events), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_spool_free(b->spool);
	tg_mailbox_free(b->events);
	spool_bench_remove(b->dir);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return 0;
}

static void put(struct bench *b, uint64_t number)
{
	char *text = text_of(number);

	assert_int_equal(tg_spool_event_put(b->spool, number, text), 0);
	free(text);
}

static void expect(struct bench *b, uint64_t number)
{
	char *text = text_of(number);
	struct tg_spool_event e;

	assert_int_equal(tg_mailbox_wait(b->events, tg_clock_boot_us() + WAIT_US), 1);
	assert_int_equal(tg_mailbox_take(b->events, &e), 1);
	assert_int_equal(e.number, number);
	assert_string_equal(e.json, text);
	tg_spool_drop_event(&e);
	free(text);
}

static void hands_over_what_an_earlier_run_has_left(void **state)
{
	struct bench *b = *state;
	uint64_t first;

	start(b);
	assert_int_equal(tg_spool_last_seq(b->spool), 0);
	put(b, EPOCH + 1);
	put(b, EPOCH + 2);
	put(b, EPOCH + 3);
	/* At once: no pack, no end of the process is needed. */
	wait_stored(b, 3);
	assert_int_equal(stored(b->dir, &first, NULL), 3);
	assert_int_equal(tg_spool_event_done(b->spool, EPOCH + 2, true), 0);
	wait_stored(b, 2);
	stop(b);

	start(b);
	assert_int_equal(tg_spool_last_seq(b->spool), EPOCH + 3);
	put(b, 2 * EPOCH + 1);
	assert_int_equal(tg_spool_events_to(b->spool, b->events), 0);
	expect(b, EPOCH + 1);
	expect(b, EPOCH + 3);
	/* The newest is known to who has put it. */
	wait_stored(b, 3);
	assert_int_equal(tg_mailbox_count(b->events), 0);
	for (uint64_t n = 1; n <= 3; n += 2)
		assert_int_equal(tg_spool_event_done(b->spool, EPOCH + n, true), 0);
	wait_stored(b, 1);
	stop(b);

	start(b);
	assert_int_equal(tg_spool_events_to(b->spool, b->events), 0);
	expect(b, 2 * EPOCH + 1);
	stop(b);
}

static void keeps_events_in_memory_until_the_disk_is_there(void **state)
{
	struct bench *b = *state;
	uint64_t first;

	assert_int_equal(rmdir(b->dir), 0);
	start(b);
	put(b, EPOCH + 1);
	put(b, EPOCH + 2);
	assert_int_equal(tg_spool_event_done(b->spool, EPOCH + 1, true), 0);
	usleep(50000);
	assert_int_equal(mkdir(b->dir, 0700), 0);
	wait_stored(b, 1);
	assert_int_equal(stored(b->dir, &first, NULL), 1);
	assert_int_equal(first, EPOCH + 2);
	stop(b);
}

static void remembers_how_much_of_what_was_dropped_has_been_told(void **state)
{
	struct bench *b = *state;

	start(b);
	assert_int_equal(tg_spool_dropped_told(b->spool, 12), 0);
	assert_int_equal(tg_spool_dropped_told(b->spool, 9), 0);
	stop(b);
	start(b);
	put(b, EPOCH + 1);
	wait_stored(b, 1);
	assert_int_equal(b->state.dropped_told, 12);
	stop(b);
}

static void refuses_an_event_that_is_too_long(void **state)
{
	struct bench *b = *state;
	char *text = malloc(TG_SPOOL_EVENT_MAX + 2);

	assert_non_null(text);
	memset(text, 'x', TG_SPOOL_EVENT_MAX + 1);
	text[TG_SPOOL_EVENT_MAX + 1] = '\0';
	start(b);
	assert_int_equal(tg_spool_event_put(b->spool, EPOCH + 1, text), -EMSGSIZE);
	text[TG_SPOOL_EVENT_MAX] = '\0';
	assert_int_equal(tg_spool_event_put(b->spool, EPOCH + 1, text), 0);
	wait_stored(b, 1);
	stop(b);
	free(text);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_goes_when_too_many_wait),
		cmocka_unit_test(an_event_without_room_stays_in_memory_and_fails_nothing),
		cmocka_unit_test(a_damaged_event_is_not_sent_but_counted),
		cmocka_unit_test(events_are_rescued_from_a_damaged_file),
		cmocka_unit_test(an_event_that_only_memory_has_left_is_written_again),
		cmocka_unit_test(gap_records_that_wait_are_counted),
		TEST(hands_over_what_an_earlier_run_has_left),
		TEST(keeps_events_in_memory_until_the_disk_is_there),
		TEST(remembers_how_much_of_what_was_dropped_has_been_told),
		TEST(refuses_an_event_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
