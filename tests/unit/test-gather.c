/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gather.h"

#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#define S       UINT64_C(1000000)
#define MS      UINT64_C(1000)
#define T0      (1000 * S)
#define POINTS  3
#define TEXT(s) ((char *) (uintptr_t) (s))
#define NEVER   UINT64_MAX

static struct tg_config_point points[POINTS] = {
	{ .name = TEXT("a"), .unit = TEXT("Cel"), .scale = 1 },
	{ .name = TEXT("b"), .unit = TEXT(""), .scale = 1 },
	{ .name = TEXT("c"), .unit = TEXT(""), .scale = 1 },
};
static struct tg_config_device device = {
	.name = TEXT("d"),
	.every_us = 5 * S,
	.gather_us = S,
	.stale_after_us = 30 * S,
	.points = points,
	.n_points = POINTS,
};
static struct tg_sample out[POINTS];

static int set_up(void **state)
{
	static struct tg_gather g;

	if (tg_gather_init(&g, &device, true, T0) < 0)
		return -1;
	*state = &g;
	return 0;
}

static int tear_down(void **state)
{
	tg_gather_done(*state);
	return 0;
}

static void say(struct tg_gather *g, size_t i, int64_t v, uint64_t now)
{
	const struct tg_sample s = { .value = { .type = TG_VALUE_INT, .i = v },
				     .quality = TG_GOOD,
				     .reason = "",
				     .boot_us = now };

	tg_gather_hear(g, i, &s, now);
}

static void nothing_is_due_before_something_is_heard(void **state)
{
	struct tg_gather *g = *state;

	assert_int_equal(tg_gather_next_us(g), T0 + 30 * S); /* the first may be stale then */
	assert_int_equal(tg_gather_take(g, T0 + 29 * S, out), 0);
	assert_false(tg_gather_has_heard(g));
	assert_false(tg_gather_is_dead(g));
}

static void a_window_makes_one_pack_with_the_newest_of_each_point(void **state)
{
	struct tg_gather *g = *state;

	say(g, 0, 1, T0 + 100 * MS);
	say(g, 2, 7, T0 + 200 * MS);
	say(g, 0, 2, T0 + 900 * MS);
	assert_int_equal(tg_gather_next_us(g), T0 + 1100 * MS);
	assert_int_equal(tg_gather_take(g, T0 + 1099 * MS, out), 0);
	assert_int_equal(tg_gather_take(g, T0 + 1100 * MS, out), 2);
	assert_string_equal(out[0].point, "a");
	assert_string_equal(out[0].unit, "Cel");
	assert_int_equal(out[0].value.i, 2);
	assert_int_equal(out[0].boot_us, T0 + 900 * MS); /* its own time */
	assert_string_equal(out[1].point, "c");
	/* Taken once. */
	assert_int_equal(tg_gather_take(g, T0 + 1200 * MS, out), 0);
	say(g, 1, 3, T0 + 5 * S);
	assert_int_equal(tg_gather_next_us(g), T0 + 6 * S);
	assert_int_equal(g->heard, 4);
}

static void texts_are_copies_and_times_are_not_in_the_future(void **state)
{
	struct tg_gather *g = *state;
	char text[] = "on", reason[] = "torn";
	struct tg_sample s = { .value = { .type = TG_VALUE_TEXT, .text = text },
			       .quality = TG_GOOD,
			       .reason = "",
			       .boot_us = T0 + 99 * S };

	tg_gather_hear(g, 0, &s, T0 + S);
	s = (struct tg_sample){ .quality = TG_BAD, .reason = reason };
	tg_gather_hear(g, 1, &s, T0 + S);
	memset(text, 'x', 2);
	memset(reason, 'x', 4);
	assert_int_equal(tg_gather_take(g, T0 + 2 * S, out), 2);
	assert_string_equal(out[0].value.text, "on");
	assert_int_equal(out[0].boot_us, T0 + S);
	assert_string_equal(out[1].reason, "torn");
	assert_int_equal(out[1].boot_us, T0 + S);
}

static void a_silent_point_is_told_once_and_then_at_each_tick(void **state)
{
	struct tg_gather *g = *state;
	uint64_t now = T0;
	unsigned told = 0;

	/* a speaks each ten seconds; b and c never do. */
	for (; now < T0 + 60 * S; now += 100 * MS) {
		size_t n;

		if ((now - T0) % (10 * S) == 0)
			say(g, 0, 1, now);
		n = tg_gather_take(g, now, out);
		for (size_t i = 0; i < n; i++) {
			if (strcmp(out[i].point, "a") == 0)
				continue;
			assert_int_equal(out[i].quality, TG_STALE);
			assert_string_equal(out[i].reason, "nothing for 30 s");
			assert_int_equal(out[i].value.type, TG_VALUE_NONE);
			assert_true(now >= T0 + 30 * S);
			told++;
		}
	}
	/* When it happens, and each 5 s after it. */
	assert_in_range(told, 12, 14);
	assert_false(tg_gather_is_dead(g));
	assert_int_equal(tg_gather_ill(g, NULL), 2);
	say(g, 1, 9, now);
	assert_int_equal(tg_gather_ill(g, NULL), 1);
}

static void a_device_of_which_nothing_comes_is_dead_and_back_with_the_first_value(void **state)
{
	struct tg_gather *g = *state;
	const struct tg_gather_point *first;

	assert_int_equal(tg_gather_take(g, T0 + 30 * S, out), POINTS);
	assert_true(tg_gather_is_dead(g));
	assert_int_equal(tg_gather_ill(g, &first), POINTS);
	assert_ptr_equal(first, &g->points[0]);
	say(g, 1, 1, T0 + 40 * S);
	assert_false(tg_gather_is_dead(g));
	assert_true(tg_gather_has_heard(g));
}

static void without_stale_after_silence_is_nothing_special(void **state)
{
	static struct tg_config_device quiet;
	struct tg_gather g;

	(void) state;
	quiet = device;
	quiet.stale_after_us = 0;
	assert_int_equal(tg_gather_init(&g, &quiet, true, T0), 0);
	assert_int_equal(tg_gather_next_us(&g), NEVER);
	assert_int_equal(tg_gather_take(&g, T0 + 86400 * S, out), 0);
	tg_gather_done(&g);
	/* Nor on a device that is polled as well. */
	assert_int_equal(tg_gather_init(&g, &device, false, T0), 0);
	say(&g, 0, 1, T0);
	assert_int_equal(tg_gather_take(&g, T0 + S, out), 1);
	assert_int_equal(tg_gather_next_us(&g), NEVER);
	tg_gather_done(&g);
}

static void a_window_longer_than_stale_after_keeps_nobody_busy(void **state)
{
	static struct tg_config_device slow;
	struct tg_gather g;

	(void) state;
	slow = device;
	slow.gather_us = 40 * S;
	assert_int_equal(tg_gather_init(&g, &slow, true, T0), 0);
	for (size_t i = 0; i < POINTS; i++)
		say(&g, i, 1, T0);
	assert_int_equal(tg_gather_take(&g, T0 + 30 * S, out), 0);
	assert_int_equal(tg_gather_next_us(&g), T0 + 40 * S);
	assert_int_equal(tg_gather_take(&g, T0 + 40 * S, out), POINTS);
	assert_int_equal(out[0].quality, TG_GOOD);
	assert_int_equal(tg_gather_take(&g, T0 + 40 * S, out), POINTS);
	assert_int_equal(out[0].quality, TG_STALE);
	tg_gather_done(&g);
}

static void a_babbler_is_counted_and_its_newest_value_wins(void **state)
{
	struct tg_gather *g = *state;
	uint64_t now = T0;
	unsigned packs = 0;

	for (int64_t i = 0; i < 50000; i++) { /* ten a millisecond, for five seconds */
		now = T0 + (uint64_t) i * MS / 10;
		say(g, 0, i, now);
		if (tg_gather_take(g, now, out) == 0)
			continue;
		assert_int_equal(out[0].value.i, i);
		packs++;
	}
	assert_in_range(packs, 4, 5);
	assert_int_equal(g->heard, 50000);
	assert_int_equal(g->over, 50000 - 5 * TG_GATHER_RATE);
	assert_true(tg_gather_babbles(g, now));
	assert_false(tg_gather_babbles(g, now + 6 * S));
}

static void many_points_at_a_usual_rate_do_not_babble(void **state)
{
	struct tg_gather *g = *state;

	for (uint64_t i = 0; i < 9000; i++)
		say(g, i % POINTS, 1, T0 + i * MS / 3);
	assert_int_equal(g->over, 0);
	assert_false(tg_gather_babbles(g, T0 + 3 * S));
}

static void a_bus_that_is_down_makes_all_points_bad(void **state)
{
	struct tg_gather *g = *state;

	say(g, 0, 5, T0 + S);
	tg_gather_down(g, "unplugged", T0 + 1100 * MS);
	assert_true(tg_gather_is_dead(g));
	/* What was heard comes first, and at once. */
	assert_int_equal(tg_gather_take(g, T0 + 1100 * MS, out), 1);
	assert_int_equal(out[0].value.i, 5);
	assert_int_equal(tg_gather_next_us(g), T0 + 1100 * MS);
	assert_int_equal(tg_gather_take(g, T0 + 1100 * MS, out), POINTS);
	assert_int_equal(out[2].quality, TG_BAD);
	assert_string_equal(out[2].reason, "unplugged");
	/* Offered again at each tick, not in between. */
	tg_gather_down(g, "unplugged", T0 + 2 * S);
	assert_int_equal(tg_gather_take(g, T0 + 2 * S, out), 0);
	assert_int_equal(tg_gather_take(g, T0 + 6100 * MS, out), POINTS);
	tg_gather_up(g, T0 + 10 * S);
	assert_false(tg_gather_is_dead(g));
	assert_false(tg_gather_has_heard(g));
	assert_int_equal(tg_gather_next_us(g), T0 + 40 * S);
	say(g, 1, 1, T0 + 11 * S);
	assert_true(tg_gather_has_heard(g));
}

static void who_looks_sees_all_points_as_they_are(void **state)
{
	struct tg_gather *g = *state;

	say(g, 1, 4, T0 + S);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tg_gather_all(g, T0 + 2 * S, out), POINTS);
		assert_string_equal(out[0].reason, "nothing heard yet");
		assert_int_equal(out[1].value.i, 4);
		assert_int_equal(out[1].boot_us, T0 + S);
	}
	/* It takes nothing away. */
	assert_int_equal(tg_gather_take(g, T0 + 2 * S, out), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_due_before_something_is_heard),
		TEST(a_window_makes_one_pack_with_the_newest_of_each_point),
		TEST(texts_are_copies_and_times_are_not_in_the_future),
		TEST(a_silent_point_is_told_once_and_then_at_each_tick),
		TEST(a_device_of_which_nothing_comes_is_dead_and_back_with_the_first_value),
		TEST(without_stale_after_silence_is_nothing_special),
		TEST(a_window_longer_than_stale_after_keeps_nobody_busy),
		TEST(a_babbler_is_counted_and_its_newest_value_wins),
		TEST(many_points_at_a_usual_rate_do_not_babble),
		TEST(a_bus_that_is_down_makes_all_points_bad),
		TEST(who_looks_sees_all_points_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
