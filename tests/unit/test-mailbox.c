/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mailbox.h"

#include "base/clock.h"
#include "base/parse.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POSTERS 4
#define EACH 5000

static bool readable(struct tg_mailbox *m)
{
	struct pollfd p = { .fd = tg_mailbox_fd(m), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void messages_come_out_in_order_and_the_fd_follows(void **state)
{
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *m = NULL;
	int out = 0;

	(void) state;
	assert_int_equal(tg_mailbox_new(3, sizeof(int), NULL, &m), 0);
	assert_false(readable(m));
	assert_int_equal(tg_mailbox_take(m, &out), 0);
	for (int turn = 0; turn < 5; turn++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(tg_mailbox_post(m, &(int) { 10 * turn + i }), 0);
		assert_int_equal(tg_mailbox_count(m), 3);
		for (int i = 0; i < 3; i++) {
			assert_true(readable(m));
			assert_int_equal(tg_mailbox_take(m, &out), 1);
			assert_int_equal(out, 10 * turn + i);
		}
		assert_false(readable(m));
	}
}

static void a_full_ring_refuses_and_keeps_what_it_has(void **state)
{
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *m = NULL;
	int out = 0;

	(void) state;
	assert_int_equal(tg_mailbox_new(1, sizeof(int), NULL, &m), 0);
	assert_int_equal(tg_mailbox_post(m, &(int) { 1 }), 0);
	assert_int_equal(tg_mailbox_post(m, &(int) { 2 }), -EAGAIN);
	assert_int_equal(tg_mailbox_take(m, &out), 1);
	assert_int_equal(out, 1);
}

/* Pages of this process that are in memory: the second number of statm. */
static uint64_t resident(void)
{
	tg_cleanup(fclosep) FILE *f = fopen("/proc/self/statm", "re");
	char text[128] = "", *second, *end;
	uint64_t pages;

	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	second = strchr(text, ' ') + 1;
	end = strchr(second, ' ');
	assert_non_null(end);
	*end = '\0';
	assert_int_equal(tg_parse_u64(second, &pages), 0);
	return pages;
}

static void a_large_ring_that_holds_little_needs_little_memory(void **state)
{
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *m = NULL;
	static unsigned char msg[16384];
	const size_t slots = 4096;
	uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE), before;

	(void) state;
	assert_int_equal(tg_mailbox_new(slots, sizeof(msg), NULL, &m), 0);
	before = resident();
	for (size_t i = 0; i < slots; i++) {
		assert_int_equal(tg_mailbox_post(m, msg), 0);
		assert_int_equal(tg_mailbox_post(m, msg), 0);
		assert_int_equal(tg_mailbox_take(m, msg), 1);
		assert_int_equal(tg_mailbox_take(m, msg), 1);
	}
	/* 64 MiB if it went round. */
	assert_true(resident() * page < before * page + 16u * 1024 * 1024);
}

static unsigned dropped;

static void count_drop(void *msg)
{
	dropped += *(unsigned *) msg;
}

static void what_nobody_took_is_dropped_with_the_box(void **state)
{
	struct tg_mailbox *m = NULL;
	unsigned out;

	(void) state;
	dropped = 0;
	assert_int_equal(tg_mailbox_new(4, sizeof(unsigned), count_drop, &m), 0);
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(tg_mailbox_post(m, &i), 0);
	assert_int_equal(tg_mailbox_take(m, &out), 1);
	tg_mailbox_free(m);
	assert_int_equal(dropped, 2 + 3 + 4);
}

static void sizes_that_overflow_are_refused(void **state)
{
	struct tg_mailbox *m = NULL;

	(void) state;
	assert_int_equal(tg_mailbox_new(SIZE_MAX / 2, 16, NULL, &m), -ENOMEM);
	assert_null(m);
}

static void waiting_ends_at_the_deadline_and_with_a_message(void **state)
{
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *m = NULL;
	uint64_t begin = tg_clock_boot_us();

	(void) state;
	assert_int_equal(tg_mailbox_new(1, 1, NULL, &m), 0);
	assert_int_equal(tg_mailbox_wait(m, begin + 20 * TG_US_PER_MS), 0);
	assert_true(tg_clock_boot_us() >= begin + 20 * TG_US_PER_MS);
	assert_int_equal(tg_mailbox_post(m, "x"), 0);
	assert_int_equal(tg_mailbox_wait(m, TG_US_FOREVER), 1);
}

struct poster {
	struct tg_mailbox *box;
	unsigned id;
};

static void *post_all(void *arg)
{
	const struct poster *p = arg;

	for (unsigned i = 0; i < EACH; i++) {
		unsigned msg = p->id * EACH + i;

		while (tg_mailbox_post(p->box, &msg) < 0)
			(void) poll(NULL, 0, 1);
	}
	return NULL;
}

static void many_posters_lose_nothing_and_keep_their_own_order(void **state)
{
	tg_cleanup(tg_mailbox_freep) struct tg_mailbox *m = NULL;
	unsigned next[POSTERS] = { 0 }, msg, taken = 0;
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];

	(void) state;
	assert_int_equal(tg_mailbox_new(16, sizeof(unsigned), NULL, &m), 0);
	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster) { m, i };
		assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
	}
	while (taken < POSTERS * EACH) {
		/* A lost wake-up would end in this time-out. */
		assert_int_equal(tg_mailbox_wait(m, tg_clock_boot_us() + 30 * TG_US_PER_S), 1);
		while (tg_mailbox_take(m, &msg)) {
			assert_int_equal(msg % EACH, next[msg / EACH]++);
			taken++;
		}
	}
	for (unsigned i = 0; i < POSTERS; i++)
		(void) pthread_join(threads[i], NULL);
	assert_int_equal(tg_mailbox_count(m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_out_in_order_and_the_fd_follows),
		cmocka_unit_test(a_full_ring_refuses_and_keeps_what_it_has),
		cmocka_unit_test(a_large_ring_that_holds_little_needs_little_memory),
		cmocka_unit_test(what_nobody_took_is_dropped_with_the_box),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(waiting_ends_at_the_deadline_and_with_a_message),
		cmocka_unit_test(many_posters_lose_nothing_and_keep_their_own_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
