/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/spool.h"
#include "base/clock.h"
#include "spool-bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * The whole spool with its thread and a real file; the link is played by the test.
 */
struct bench {
	char dir[64];
	struct tg_config cfg;
	struct tg_spool *spool;
	struct tg_mailbox *out;
	pthread_mutex_t lock;
	struct tg_spool_state state;
	unsigned reports;
	uint64_t seq;
};

#define WAIT_US (20 * TG_US_PER_S) /* for what takes milliseconds, unless the machine is busy */

static void drop_out(void *message)
{
	const struct tg_spool_out *o = message;

	tg_parcel_unref(o->parcel);
}

static void on_state(void *user, const struct tg_spool_state *st)
{
	struct bench *b = user;

	pthread_mutex_lock(&b->lock);
	b->state = *st;
	b->reports++;
	pthread_mutex_unlock(&b->lock);
}

static struct tg_spool_state state_of(struct bench *b)
{
	struct tg_spool_state st;

	pthread_mutex_lock(&b->lock);
	st = b->state;
	pthread_mutex_unlock(&b->lock);
	return st;
}

/* A state that was reported after this call. */
static struct tg_spool_state next_state(struct bench *b)
{
	unsigned seen, before;

	pthread_mutex_lock(&b->lock);
	before = b->reports;
	pthread_mutex_unlock(&b->lock);
	do {
		usleep(5000);
		pthread_mutex_lock(&b->lock);
		seen = b->reports;
		pthread_mutex_unlock(&b->lock);
	} while (seen == before);
	return state_of(b);
}

static void start(struct bench *b)
{
	struct tg_fault fault = { 0 };

	assert_int_equal(tg_spool_new(b->dir, &b->cfg, on_state, b, &b->spool, &fault), 0);
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
	assert_int_equal(tg_mailbox_new(64, sizeof(struct tg_spool_out), drop_out, &b->out), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_spool_free(b->spool);
	tg_mailbox_free(b->out);
	spool_bench_remove(b->dir);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return 0;
}

static void put(struct bench *b)
{
	assert_int_equal(tg_spool_put(b->spool, spool_bench_parcel("boiler", ++b->seq, 1)), 0);
}

/* Takes the next hand-out and checks it. */
static void expect(struct bench *b, unsigned session, enum tg_stream stream, uint64_t seq)
{
	struct tg_spool_out o;

	assert_int_equal(tg_mailbox_wait(b->out, tg_clock_boot_us() + WAIT_US), 1);
	assert_int_equal(tg_mailbox_take(b->out, &o), 1);
	assert_int_equal(o.session, session);
	assert_int_equal(o.stream, stream);
	assert_int_equal(o.parcel->seq, seq);
	assert_string_equal(tg_parcel_device(o.parcel), "boiler");
	tg_parcel_unref(o.parcel);
}

static void ack(struct bench *b, unsigned session, uint64_t seq)
{
	assert_int_equal(tg_spool_ack(b->spool, session, seq), 0);
}

static void writes_nothing_while_the_broker_acknowledges(void **state)
{
	struct bench *b = *state;
	struct spool_bench_print before, after;

	start(b);
	assert_int_equal(tg_spool_link_up(b->spool, 1, 8, b->out), 0);
	(void) next_state(b);
	before = spool_bench_print(b->dir);
	for (int i = 0; i < 50; i++) {
		put(b);
		expect(b, 1, TG_STREAM_LIVE, b->seq);
		ack(b, 1, b->seq);
	}
	assert_int_equal(next_state(b).acknowledged, 50);
	assert_int_equal(next_state(b).memory_packs, 0);
	after = spool_bench_print(b->dir);
	assert_memory_equal(&before, &after, sizeof(before));
	stop(b);
}

static void commits_at_once_while_the_link_is_down(void **state)
{
	struct bench *b = *state;

	start(b);
	put(b);
	while (next_state(b).disk_packs != 1)
		;
	assert_int_equal(state_of(b).memory_packs, 0);
	assert_true(state_of(b).oldest_wall_us > 0);
	stop(b);
}

static void replays_after_a_restart_in_order_and_deletes_what_is_acknowledged(void **state)
{
	struct bench *b = *state;

	start(b);
	for (int i = 0; i < 20; i++)
		put(b);
	stop(b);

	start(b);
	assert_int_equal(next_state(b).disk_packs, 20);
	assert_int_equal(tg_spool_link_up(b->spool, 7, 4, b->out), 0);
	for (uint64_t seq = 1; seq <= 20; seq++) {
		expect(b, 7, TG_STREAM_REPLAY, seq);
		ack(b, 7, seq);
	}
	while (next_state(b).disk_packs != 0)
		;
	stop(b);
}

static void knows_the_highest_number_of_a_file_that_it_finds(void **state)
{
	struct bench *b = *state;

	start(b);
	assert_int_equal(tg_spool_last_seq(b->spool), 0);
	b->seq = UINT64_C(7) << 32;
	for (int i = 0; i < 3; i++)
		put(b);
	stop(b);

	start(b);
	assert_int_equal(tg_spool_last_seq(b->spool), (UINT64_C(7) << 32) + 3);
	stop(b);
}

static void restarts_a_lost_session_at_its_oldest_unacknowledged_pack(void **state)
{
	struct bench *b = *state;

	start(b);
	assert_int_equal(tg_spool_link_up(b->spool, 1, 8, b->out), 0);
	for (uint64_t seq = 1; seq <= 5; seq++) {
		put(b);
		expect(b, 1, TG_STREAM_LIVE, seq);
	}
	ack(b, 1, 1);
	ack(b, 1, 3);
	assert_int_equal(tg_spool_link_down(b->spool, 1, false), 0);
	/* Of a session that is over: ignored. */
	ack(b, 1, 2);
	while (next_state(b).memory_packs != 0)
		;
	assert_int_equal(tg_spool_link_up(b->spool, 2, 8, b->out), 0);
	expect(b, 2, TG_STREAM_REPLAY, 2);
	expect(b, 2, TG_STREAM_REPLAY, 4);
	expect(b, 2, TG_STREAM_REPLAY, 5);
	stop(b);
}

static void hands_out_no_more_than_the_window(void **state)
{
	struct bench *b = *state;

	start(b);
	assert_int_equal(tg_spool_link_up(b->spool, 1, 3, b->out), 0);
	for (int i = 0; i < 10; i++)
		put(b);
	while (next_state(b).memory_packs != 10)
		;
	assert_int_equal(state_of(b).in_flight, 3);
	assert_int_equal(tg_mailbox_count(b->out), 3);
	stop(b);
}

static void keeps_packs_when_the_links_mailbox_is_full(void **state)
{
	struct bench *b = *state;

	start(b);
	b->out = tg_mailbox_free(b->out);
	assert_int_equal(tg_mailbox_new(2, sizeof(struct tg_spool_out), drop_out, &b->out), 0);
	assert_int_equal(tg_spool_link_up(b->spool, 1, 100, b->out), 0);
	for (int i = 0; i < 10; i++)
		put(b);
	while (next_state(b).memory_packs != 10)
		;
	for (uint64_t seq = 1; seq <= 10; seq++) {
		expect(b, 1, TG_STREAM_LIVE, seq);
		ack(b, 1, seq);
	}
	stop(b);
}

static void sets_a_refused_pack_aside_and_goes_on(void **state)
{
	struct bench *b = *state;

	start(b);
	assert_int_equal(tg_spool_link_up(b->spool, 1, 8, b->out), 0);
	put(b);
	put(b);
	expect(b, 1, TG_STREAM_LIVE, 1);
	expect(b, 1, TG_STREAM_LIVE, 2);
	assert_int_equal(tg_spool_refuse(b->spool, 1, 1), 0);
	ack(b, 1, 2);
	while (next_state(b).set_aside != 1)
		;
	stop(b);
	start(b);
	assert_int_equal(next_state(b).disk_packs, 0);
	assert_int_equal(state_of(b).set_aside, 1);
	stop(b);
}

static void starts_with_a_garbage_file_and_says_nothing_is_wrong_afterwards(void **state)
{
	struct bench *b = *state;

	spool_bench_write(b->dir, "spool.db", "this is not a database, not at all; it is a letter",
			  50);
	start(b);
	put(b);
	while (next_state(b).disk_packs != 1)
		;
	assert_int_equal(state_of(b).error, 0);
	assert_int_equal(spool_bench_count(b->dir, "spool.bad-"), 1);
	stop(b);
}

static void refuses_a_file_of_a_newer_version(void **state)
{
	struct bench *b = *state;
	struct tg_fault fault = { 0 };
	uint8_t *before, *after;
	size_t len, len_after;

	start(b);
	put(b);
	stop(b);
	spool_bench_make_newer(b->dir);
	before = spool_bench_read(b->dir, "spool.db", &len);
	assert_int_equal(tg_spool_new(b->dir, &b->cfg, on_state, b, &b->spool, &fault),
			 -EPROTONOSUPPORT);
	assert_non_null(strstr(fault.text, "newer"));
	assert_non_null(strstr(fault.text, "install the newer version again"));
	after = spool_bench_read(b->dir, "spool.db", &len_after);
	assert_int_equal(len, len_after);
	assert_memory_equal(before, after, len);
	printf("FAULT F43: a spool of a newer version is refused with a message, and not a byte of it changed\n");
	free(before);
	free(after);
}

static void takes_no_more_than_its_mailbox_holds(void **state)
{
	struct bench *b = *state;
	int r = 0;

	/* The thread can be slower than this loop, never the other way round for long. */
	start(b);
	for (int i = 0; i < 20000 && r == 0; i++) {
		struct tg_parcel *p = spool_bench_parcel("boiler", ++b->seq, 40);

		r = tg_spool_put(b->spool, p);
		if (r < 0) {
			tg_parcel_unref(p);
			b->seq--;
		}
	}
	assert_true(r == 0 || r == -EAGAIN);
	stop(b);
	start(b);
	assert_int_equal(next_state(b).disk_packs + state_of(b).dropped > 0, 1);
	stop(b);
}

static void commits_before_it_hands_out_when_the_interval_is_zero(void **state)
{
	struct bench *b = *state;

	b->cfg.spool.commit_interval_us = 0;
	start(b);
	assert_int_equal(tg_spool_link_up(b->spool, 1, 8, b->out), 0);
	put(b);
	expect(b, 1, TG_STREAM_LIVE, 1);
	/* Not acknowledged and not told: what a kill would find. */
	assert_int_equal(spool_bench_rows(b->dir), 1);
	stop(b);
}

static void takes_new_limits(void **state)
{
	struct bench *b = *state;

	start(b);
	assert_int_equal(tg_spool_link_up(b->spool, 1, 8, b->out), 0);
	put(b);
	expect(b, 1, TG_STREAM_LIVE, 1);
	b->cfg.spool.commit_interval_us = 1000;
	b->cfg.spool.durability = TG_DURABILITY_NORMAL;
	assert_int_equal(tg_spool_configure(b->spool, &b->cfg), 0);
	while (next_state(b).disk_packs != 1)
		;
	stop(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_nothing_while_the_broker_acknowledges, setup,
						teardown),
		cmocka_unit_test_setup_teardown(commits_at_once_while_the_link_is_down, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			replays_after_a_restart_in_order_and_deletes_what_is_acknowledged, setup,
			teardown),
		cmocka_unit_test_setup_teardown(knows_the_highest_number_of_a_file_that_it_finds,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			restarts_a_lost_session_at_its_oldest_unacknowledged_pack, setup, teardown),
		cmocka_unit_test_setup_teardown(hands_out_no_more_than_the_window, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_packs_when_the_links_mailbox_is_full, setup,
						teardown),
		cmocka_unit_test_setup_teardown(sets_a_refused_pack_aside_and_goes_on, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			starts_with_a_garbage_file_and_says_nothing_is_wrong_afterwards, setup,
			teardown),
		cmocka_unit_test_setup_teardown(refuses_a_file_of_a_newer_version, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_no_more_than_its_mailbox_holds, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			commits_before_it_hands_out_when_the_interval_is_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_new_limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
