/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/schedule.h"

#include "tests/unit/test.h"

#include <tidegate/cleanup.h>

#define S UINT64_C(1000000)

static struct tg_schedule schedule(uint64_t every, uint64_t backoff)
{
	struct tg_schedule s;

	tg_schedule_init(&s, 1000 * S, every, backoff, 0, 1);
	return s;
}

static void polls_stay_on_their_grid_however_long_they_take(void **state)
{
	struct tg_schedule s = schedule(5 * S, 60 * S);

	(void) state;
	for (uint64_t k = 0; k < 100; k++) {
		assert_int_equal(s.next_us, 1000 * S + k * 5 * S);
		tg_schedule_done(&s, s.next_us + k * S / 25, true); /* up to 4 s */
	}
	assert_int_equal(s.skipped, 0);
}

static void late_polls_are_skipped_and_counted_not_made_up_for(void **state)
{
	struct tg_schedule s = schedule(1 * S, 60 * S);

	(void) state;
	tg_schedule_done(&s, 1007 * S + 1, true);
	assert_int_equal(s.next_us, 1008 * S);
	assert_int_equal(s.skipped, 7);
	tg_schedule_done(&s, 1008 * S + 1, true);
	assert_int_equal(s.next_us, 1009 * S);
	assert_int_equal(s.skipped, 7);
}

static void devices_of_a_bus_start_spread(void **state)
{
	struct tg_schedule s;

	(void) state;
	for (unsigned i = 0; i < 10; i++) {
		tg_schedule_init(&s, 1000 * S, 1 * S, 60 * S, i, 10);
		assert_int_equal(s.next_us, 1000 * S + i * S / 10);
	}
	/* No one waits an hour for the first reading. */
	tg_schedule_init(&s, 1000 * S, 3600 * S, 60 * S, 9, 10);
	assert_in_range(s.next_us, 1000 * S, 1005 * S);
}

static void a_dead_device_is_asked_at_growing_distances_up_to_the_cap(void **state)
{
	static const uint64_t distances[] = { 5, 10, 20, 40, 60, 60, 60 };
	struct tg_schedule s = schedule(5 * S, 60 * S);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(distances); i++) {
		uint64_t due = s.next_us;

		tg_schedule_done(&s, due + S, false);
		assert_int_equal(s.next_us, due + distances[i] * S);
	}
	assert_int_equal(s.skipped, 0);
	tg_schedule_done(&s, s.next_us + S, true);
	tg_schedule_done(&s, s.next_us + S, false);
	assert_int_equal(s.failures, 1);
}

static void backing_off_never_asks_more_often_than_the_interval(void **state)
{
	struct tg_schedule s = schedule(300 * S, 60 * S);

	(void) state;
	for (unsigned i = 0; i < 5; i++) {
		uint64_t due = s.next_us;

		tg_schedule_done(&s, due + S, false);
		assert_int_equal(s.next_us, due + 300 * S);
	}
}

static void an_answer_out_of_turn_ends_the_back_off(void **state)
{
	struct tg_schedule s = schedule(5 * S, 60 * S);

	(void) state;
	for (unsigned i = 0; i < 5; i++)
		tg_schedule_done(&s, s.next_us + S, false);
	tg_schedule_done_extra(&s, s.next_us - 58 * S, false);
	assert_int_equal(s.failures, 5);
	tg_schedule_done_extra(&s, s.next_us - 58 * S, true);
	assert_int_equal(s.failures, 0);
	assert_int_equal((s.next_us - s.start_us) % (5 * S), 0);
	tg_schedule_done(&s, s.next_us, true);
}

static void a_poll_out_of_turn_leaves_the_grid_alone(void **state)
{
	struct tg_schedule s = schedule(5 * S, 60 * S);

	(void) state;
	tg_schedule_done(&s, 1000 * S, true);
	tg_schedule_done_extra(&s, 1002 * S, true);
	assert_int_equal(s.next_us, 1005 * S);
	tg_schedule_done_extra(&s, 1003 * S, false);
	assert_int_equal(s.next_us, 1005 * S);
	assert_int_equal(s.failures, 0);
}

static void waking_a_device_polls_it_now_and_keeps_the_grid(void **state)
{
	struct tg_schedule s = schedule(5 * S, 60 * S);

	(void) state;
	tg_schedule_wake(&s, 999 * S);
	assert_int_equal(s.next_us, 1000 * S);
	for (unsigned i = 0; i < 5; i++)
		tg_schedule_done(&s, s.next_us + S, false);
	tg_schedule_wake(&s, 1081 * S + 1);
	assert_int_equal(s.next_us, 1081 * S + 1);
	tg_schedule_done(&s, 1081 * S + 2, true);
	assert_int_equal(s.next_us, 1085 * S);
	assert_int_equal(s.skipped, 0);
}

/* Whatever happens, the next poll lies in the future, within the longer of back-off and interval,
 * and (unless woken) on the grid. */
static void the_next_poll_is_always_ahead_and_near(void **state)
{
	uint64_t rnd = 88172645463325252;

	(void) state;
	for (unsigned round = 0; round < 200; round++) {
		struct tg_schedule s;
		uint64_t every = 1 + rnd % (20 * S), backoff = rnd / 7 % (100 * S), now = 1000 * S;

		tg_schedule_init(&s, now, every, backoff, 0, 1);
		for (unsigned i = 0; i < 200; i++) {
			uint64_t most = backoff > every ? backoff : every;

			rnd ^= rnd << 13, rnd ^= rnd >> 7, rnd ^= rnd << 17;
			now = (now > s.next_us ? now : s.next_us) + rnd % (3 * S);
			tg_schedule_done(&s, now, rnd & 64);
			assert_true(s.next_us >= now);
			assert_true(s.next_us - now <= most + every);
			assert_int_equal((s.next_us - s.start_us) % every, 0);
		}
	}
}

/*
 * A day on a busy line, in virtual time: four devices, each poll takes up to 0.4 s, one device is dead for an hour and costs its
 * time-out, somebody reads out of turn. At its end every device is still polled at start + k * every.
 */
static void the_phase_holds_over_a_day(void **state)
{
	static const uint64_t every[] = { 1 * S, 5 * S, 7 * S, 60 * S };
	struct tg_schedule s[4];
	uint64_t rnd = 88172645463325252, start = 1000 * S, now = start, polls[4] = { 0 };

	(void) state;
	for (unsigned i = 0; i < 4; i++)
		tg_schedule_init(&s[i], start, every[i], 60 * S, i, 4);
	while (now < start + 86400 * S) {
		unsigned next = 0;
		bool answers;

		rnd ^= rnd << 13, rnd ^= rnd >> 7, rnd ^= rnd << 17;
		for (unsigned i = 1; i < 4; i++)
			next = s[i].next_us < s[next].next_us ? i : next;
		now = now > s[next].next_us ? now : s[next].next_us;
		answers = next != 1 || now < start + 3600 * S || now > start + 7200 * S;
		/* The poll itself, and the thread that was not woken at once. */
		now += answers ? rnd % (S / 10) : S;
		tg_schedule_done(&s[next], now, answers);
		polls[next]++;
		if (rnd % 100 == 0)
			tg_schedule_done_extra(&s[rnd % 4], now, true);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal((s[i].next_us - s[i].start_us) % every[i], 0);
		if (i == 1)
			continue;
		assert_in_range(polls[i] + s[i].skipped, 86400 * S / every[i] - 2, 86400 * S / every[i] + 2);
		assert_true(s[i].skipped * 20 < polls[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(polls_stay_on_their_grid_however_long_they_take),
		cmocka_unit_test(late_polls_are_skipped_and_counted_not_made_up_for),
		cmocka_unit_test(devices_of_a_bus_start_spread),
		cmocka_unit_test(a_dead_device_is_asked_at_growing_distances_up_to_the_cap),
		cmocka_unit_test(backing_off_never_asks_more_often_than_the_interval),
		cmocka_unit_test(an_answer_out_of_turn_ends_the_back_off),
		cmocka_unit_test(a_poll_out_of_turn_leaves_the_grid_alone),
		cmocka_unit_test(waking_a_device_polls_it_now_and_keeps_the_grid),
		cmocka_unit_test(the_phase_holds_over_a_day),
		cmocka_unit_test(the_next_poll_is_always_ahead_and_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
