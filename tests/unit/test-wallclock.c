/* SPDX-License-Identifier: Apache-2.0 */
#include "wallclock/wallclock.h"

#include "base/clock.h"
#include "tests/unit/test.h"
#include "wallclock/look.h"

#include <string.h>

#define US      ((int64_t) TG_US_PER_S)
#define DAY     INT64_C(86400)
#define YEAR    (365 * DAY)
#define RELEASE INT64_C(1795219200)

/* @wall_s on the clock, @boot_s since the boot. */
static struct tg_instant at(int64_t wall_s, int64_t boot_s)
{
	return (struct tg_instant){ wall_s * US, (uint64_t) (boot_s * US) };
}

static struct tg_wallclock released(int64_t boot_s)
{
	struct tg_wallclock w;

	tg_wallclock_init(&w, RELEASE, at(0, boot_s));
	return w;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* With a time_t of 32 bits they end in 2038, and do not begin again in 1901. */
static void dates_beyond_2038_are_never_taken_for_the_past(void **state)
{
	static const int64_t dates[] = { 0, INT32_MAX, INT64_C(1) << 31, INT64_C(253402300799) };

	(void) state;
	for (size_t i = 1; i < TG_ARRAY_SIZE(dates); i++)
		assert_true(tg_clock_time_t(dates[i]) >= tg_clock_time_t(dates[i - 1]));
	assert_true(tg_clock_time_t(INT64_MIN) < 0);
	if (sizeof(time_t) == sizeof(int64_t))
		assert_int_equal(tg_clock_time_t(dates[3]), dates[3]);
}

static void a_clock_behind_the_release_is_suspect(void **state)
{
	static const int64_t behind[] = { 0, DAY, RELEASE - 2 * YEAR, RELEASE - DAY,
					  RELEASE - 301 };
	struct tg_wallclock w = released(5);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(behind); i++) {
		assert_int_equal(tg_wallclock_judge(&w, at(behind[i], 5)), TG_CLOCK_SUSPECT);
		assert_int_equal(tg_wallclock_believed_s(&w, at(behind[i], 5)), RELEASE);
	}
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE, 5)), TG_CLOCK_UNCONFIRMED);
	assert_int_equal(tg_wallclock_believed_s(&w, at(RELEASE + 7, 5)), RELEASE + 7);
}

static void a_clock_decades_ahead_is_suspect(void **state)
{
	struct tg_wallclock w = released(5);
	struct tg_instant now = at(RELEASE + 40 * YEAR, 6);

	(void) state;
	assert_int_equal(tg_wallclock_judge(&w, now), TG_CLOCK_SUSPECT);
	assert_int_equal(tg_wallclock_believed_s(&w, now), RELEASE + 1);
	tg_wallclock_synchronise(&w, true, now);
	assert_int_equal(tg_wallclock_judge(&w, now), TG_CLOCK_SUSPECT);
	/* Ten years on a shelf are none of its business. */
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE + 10 * YEAR, 6)), TG_CLOCK_SYNCHRONISED);
}

static void a_floor_moves_on_with_the_time_since_boot(void **state)
{
	struct tg_wallclock w = released(100);

	(void) state;
	assert_int_equal(tg_wallclock_floor_s(&w, (100 + 3 * DAY) * US), RELEASE + 3 * DAY);
	/* A clock that was right when it was learnt and stands still falls behind it. */
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE, 100)), TG_CLOCK_UNCONFIRMED);
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE, 100 + DAY)), TG_CLOCK_SUSPECT);
	/* What is learnt again later says less, not more. */
	assert_false(tg_wallclock_raise(&w, TG_FLOOR_CERTIFICATE, RELEASE, 200 * US));
	assert_int_equal(tg_wallclock_floor_source(&w), TG_FLOOR_RELEASE);
	assert_true(tg_wallclock_raise(&w, TG_FLOOR_PEER, RELEASE + DAY, 200 * US));
	assert_int_equal(tg_wallclock_floor_source(&w), TG_FLOOR_PEER);
	assert_int_equal(tg_wallclock_floor_s(&w, 260 * US), RELEASE + DAY + 60);
}

static void what_no_clock_shows_is_no_floor(void **state)
{
	static const int64_t no[] = { INT64_MIN,          -1, 0, INT64_MAX, INT64_MAX / US,
				      RELEASE + 26 * YEAR };
	struct tg_wallclock w = released(0);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(no); i++)
		assert_false(tg_wallclock_raise(&w, TG_FLOOR_SAVED, no[i], 0));
	assert_false(tg_wallclock_raise(&w, TG_FLOOR_PEER, INT64_MAX, 0));
	assert_int_equal(tg_wallclock_floor_s(&w, 0), RELEASE);
}

static void a_synchronised_clock_corrects_hearsay(void **state)
{
	struct tg_wallclock w = released(0);

	(void) state;
	assert_true(tg_wallclock_raise(&w, TG_FLOOR_SAVED, RELEASE + 5 * YEAR, 0));
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE + DAY, 1)), TG_CLOCK_SUSPECT);
	tg_wallclock_synchronise(&w, true, at(RELEASE + DAY, 1));
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE + DAY, 1)), TG_CLOCK_SYNCHRONISED);
	assert_int_equal(tg_wallclock_floor_s(&w, 1 * US), RELEASE + DAY);
	assert_int_equal(tg_wallclock_floor_source(&w), TG_FLOOR_CLOCK);
	/* The service is gone: its time is not forgotten. */
	tg_wallclock_synchronise(&w, false, at(RELEASE + DAY + 1, 2));
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE + DAY + 1, 2)), TG_CLOCK_UNCONFIRMED);
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE, 2)), TG_CLOCK_SUSPECT);
}

static void a_synchronised_clock_does_not_correct_a_proof(void **state)
{
	struct tg_wallclock w = released(0);

	(void) state;
	assert_true(tg_wallclock_raise(&w, TG_FLOOR_PEER, RELEASE + 3600, 0));
	tg_wallclock_synchronise(&w, true, at(RELEASE, 1));
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE, 1)), TG_CLOCK_SUSPECT);
	assert_int_equal(tg_wallclock_believed_s(&w, at(RELEASE, 1)), RELEASE + 3601);
	/* An authority that is an hour ahead is no reason to doubt the clock once the hour is over. */
	tg_wallclock_synchronise(&w, true, at(RELEASE + 3600, 3601));
	assert_int_equal(tg_wallclock_judge(&w, at(RELEASE + 3600, 3601)), TG_CLOCK_SYNCHRONISED);
	assert_int_equal(tg_wallclock_believed_s(&w, at(RELEASE + 3600, 3601)), RELEASE + 3600);
}

static void a_clock_that_is_slewed_is_not_suspect(void **state)
{
	struct tg_wallclock w = released(0);
	int64_t wall_us = (RELEASE + DAY) * US;
	struct tg_instant before = { wall_us, 0 }, now;

	(void) state;
	tg_wallclock_synchronise(&w, true, before);
	tg_wallclock_synchronise(&w, false, before);
	/* 500 ppm, the most that a kernel slews, backwards for a week. */
	for (int64_t s = 1; s < 7 * DAY; s += 60) {
		now = (struct tg_instant){ wall_us + s * (US - 500), (uint64_t) (s * US) };
		assert_int_equal(tg_instant_jump_us(before, now), 0);
		if (s < 6 * DAY)
			assert_int_equal(tg_wallclock_judge(&w, now), TG_CLOCK_UNCONFIRMED);
		before = now;
	}
}

static void a_clock_that_is_set_has_jumped(void **state)
{
	static const int64_t by[] = { 1, -1, 3600, -2 * YEAR, 2 * YEAR, 40 * YEAR };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(by); i++)
		assert_true(tg_instant_jump_us(at(RELEASE, 10), at(RELEASE + 1 + by[i], 11)) ==
			    by[i] * US);
	assert_int_equal(tg_instant_jump_us(at(RELEASE, 10), at(RELEASE + DAY, 10 + DAY)), 0);
}

static void a_clock_that_nobody_confirms_is_waited_for_but_not_for_ever(void **state)
{
	struct tg_wallclock w = released(100);

	(void) state;
	assert_true(tg_wallclock_waits(&w, at(RELEASE + DAY, 100)));
	assert_true(tg_wallclock_waits(&w, at(RELEASE + DAY, 699)));
	assert_false(tg_wallclock_waits(&w, at(RELEASE + DAY, 700)));
	/* Suspect is not waited for, nor is one that is synchronised. */
	assert_false(tg_wallclock_waits(&w, at(0, 100)));
	tg_wallclock_synchronise(&w, true, at(RELEASE + DAY, 200));
	assert_false(tg_wallclock_waits(&w, at(RELEASE + DAY, 200)));
}

static void a_clock_that_is_set_to_another_time_is_waited_for_anew(void **state)
{
	struct tg_wallclock w = released(100);
	struct tg_instant later = at(RELEASE + DAY + 2 * YEAR, 5000);

	(void) state;
	tg_wallclock_synchronise(&w, true, at(RELEASE + DAY, 4999));
	tg_wallclock_was_set(&w, 2 * YEAR * US, later);
	assert_int_equal(tg_wallclock_judge(&w, later), TG_CLOCK_UNCONFIRMED);
	assert_true(tg_wallclock_waits(&w, later));
	/* Meanwhile plans go by what was certain. */
	assert_int_equal(tg_wallclock_floor_s(&w, later.boot_us), RELEASE + DAY + 1);
	/* A host that steps its guest by a second each minute keeps nothing from happening. */
	for (int64_t s = 5000; s < 10000; s += 60)
		tg_wallclock_was_set(&w, US, at(RELEASE + DAY + 2 * YEAR, s));
	assert_false(tg_wallclock_waits(&w, at(RELEASE + DAY + 2 * YEAR, 5600)));
}

/* The real time goes on; the clock is set anywhere, proofs are true, hearsay is not. */
static void whatever_happens_the_believed_time_is_a_lower_bound(void **state)
{
	uint64_t rnd = 88172645463325252;

	(void) state;
	for (int run = 0; run < 2000; run++) {
		int64_t real = RELEASE + (int64_t) (next_random(&rnd) % (5 * YEAR)), boot = 3,
			clock;
		int64_t off = (int64_t) (next_random(&rnd) % (50 * YEAR)) - 10 * YEAR, last;
		struct tg_wallclock w = released(boot);

		clock = real + off;
		last = tg_wallclock_floor_s(&w, (uint64_t) boot * TG_US_PER_S);
		for (int step = 0; step < 20; step++) {
			int64_t pass = (int64_t) (next_random(&rnd) % (30 * DAY)), floor, believed;

			real += pass;
			boot += pass;
			clock += pass;
			if (next_random(&rnd) % 3 == 0)
				clock = real + (int64_t) (next_random(&rnd) % (4 * YEAR)) -
					2 * YEAR;
			if (next_random(&rnd) % 3 == 0)
				(void) tg_wallclock_raise(
					&w, TG_FLOOR_PEER,
					real - (int64_t) (next_random(&rnd) % YEAR),
					(uint64_t) boot * TG_US_PER_S);
			floor = tg_wallclock_floor_s(&w, (uint64_t) boot * TG_US_PER_S);
			believed = tg_wallclock_believed_s(&w, at(clock, boot));
			assert_true(floor >= last + pass);
			assert_true(floor <= real);
			assert_true(believed >= floor);
			if (tg_wallclock_judge(&w, at(clock, boot)) == TG_CLOCK_SUSPECT)
				assert_true(believed <= real);
			last = floor;
		}
	}
}

static void a_synchronised_clock_that_is_right_is_believed_whatever_was_saved(void **state)
{
	uint64_t rnd = 1181783497276652981;

	(void) state;
	for (int run = 0; run < 20000; run++) {
		int64_t real = RELEASE + (int64_t) (next_random(&rnd) % (20 * YEAR)), boot = 100;
		struct tg_wallclock w = released(1);

		(void) tg_wallclock_raise(&w, TG_FLOOR_SAVED,
					  RELEASE + (int64_t) (next_random(&rnd) % (60 * YEAR)), 0);
		(void) tg_wallclock_raise(&w, TG_FLOOR_PEER,
					  real - (int64_t) (next_random(&rnd) % DAY), 50 * US);
		tg_wallclock_synchronise(&w, true, at(real, boot));
		assert_int_equal(tg_wallclock_judge(&w, at(real, boot)), TG_CLOCK_SYNCHRONISED);
		assert_int_equal(tg_wallclock_believed_s(&w, at(real, boot)), real);
	}
}

static void both_clocks_are_read_at_one_instant(void **state)
{
	struct tg_instant a = tg_wallclock_instant(), b = tg_wallclock_instant();

	(void) state;
	assert_true(b.boot_us >= a.boot_us);
	assert_int_equal(tg_instant_jump_us(a, b), 0);
}

static void every_source_has_a_name(void **state)
{
	(void) state;
	for (int s = TG_FLOOR_RELEASE; s <= TG_FLOOR_CLOCK; s++)
		assert_true(strlen(tg_floor_source_name((enum tg_floor_source) s)) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_beyond_2038_are_never_taken_for_the_past),
		cmocka_unit_test(a_clock_behind_the_release_is_suspect),
		cmocka_unit_test(a_clock_decades_ahead_is_suspect),
		cmocka_unit_test(a_floor_moves_on_with_the_time_since_boot),
		cmocka_unit_test(what_no_clock_shows_is_no_floor),
		cmocka_unit_test(a_synchronised_clock_corrects_hearsay),
		cmocka_unit_test(a_synchronised_clock_does_not_correct_a_proof),
		cmocka_unit_test(a_clock_that_is_slewed_is_not_suspect),
		cmocka_unit_test(a_clock_that_is_set_has_jumped),
		cmocka_unit_test(a_clock_that_nobody_confirms_is_waited_for_but_not_for_ever),
		cmocka_unit_test(a_clock_that_is_set_to_another_time_is_waited_for_anew),
		cmocka_unit_test(whatever_happens_the_believed_time_is_a_lower_bound),
		cmocka_unit_test(a_synchronised_clock_that_is_right_is_believed_whatever_was_saved),
		cmocka_unit_test(both_clocks_are_read_at_one_instant),
		cmocka_unit_test(every_source_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
