/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/renewal.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

#define HOUR  INT64_C(3600)
#define DAY   (24 * HOUR)
#define YEAR  (365 * DAY)
#define US(s) ((uint64_t) (s) *TG_US_PER_S)

#define T0      INT64_C(1800000000) /* a day in 2027 */
#define BOOT    US(100000)          /* the boot clock when a test begins */
#define IN_2049 INT64_C(2524607999) /* the end of AWS IoT's certificates: 2049-12-31T23:59:59Z */
#define IN_9999 INT64_C(253402300799)

static const struct tg_attempts none = TG_ATTEMPTS_NONE;

static struct tg_renewal_policy policy(void)
{
	return (struct tg_renewal_policy){ .possible = true,
					   .renew_at_ppm = 660000,
					   .jitter_ppm = 50000,
					   .max_age_s = 90 * DAY,
					   .probation_s = 120 };
}

/* A certificate made at T0 for @life seconds, looked at @age seconds later under a clock that is right. */
static struct tg_renewal_facts at_age(int64_t life, int64_t age)
{
	return (struct tg_renewal_facts){
		.now_us = BOOT + US(age < 0 ? 0 : age),
		.believed_s = T0 + age,
		.floor_s = T0,
		.has_current = true,
		.not_before = T0,
		.not_after = T0 + life,
		.made = T0,
		.seed = UINT64_C(0x8000000000000000),
	};
}

static uint64_t mixed(uint64_t i)
{
	i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	i = (i ^ i >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return i ^ i >> 27;
}

static int64_t due_of(const struct tg_renewal_policy *p, const struct tg_renewal_facts *f)
{
	enum tg_renewal_reason why;

	return tg_renewal_due(p, f, &why);
}

static const int64_t lives[] = {
	1,         2,         10,       60,       120,      300,      HOUR,        7 * HOUR,   DAY,
	7 * DAY,   30 * DAY,  90 * DAY, 136 * DAY, 137 * DAY, YEAR,   5 * YEAR,    25 * YEAR,  100 * YEAR,
	IN_9999 - T0,
};

/* --- when it is due --------------------------------------------------------------------------- */

static void is_due_within_the_jitter_before_its_share_of_life(void **state)
{
	struct tg_renewal_policy p = policy();

	(void) state;
	p.max_age_s = 1000 * YEAR;
	for (int64_t life = 3 * HOUR; life < 26 * YEAR; life += life / 7) {
		struct tg_renewal_facts f = at_age(life, 0);
		int64_t low = INT64_MAX, high = 0;

		for (uint64_t i = 0; i < 200; i++) {
			int64_t due;

			f.seed = mixed(i);
			due = due_of(&p, &f) - T0;
			low = due < low ? due : low;
			high = due > high ? due : high;
		}
		assert_in_range(low, life * 61 / 100, life * 62 / 100);
		assert_in_range(high, life * 65 / 100, life * 66 / 100);
	}
}

static void max_age_decides_where_the_life_is_absurd(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(IN_2049 - T0, 0);
	enum tg_renewal_reason why;
	int64_t due = tg_renewal_due(&p, &f, &why);

	(void) state;
	assert_int_equal(why, TG_RENEWAL_MAX_AGE);
	assert_in_range(due - T0, 90 * DAY * 95 / 100, 90 * DAY);
	f.not_after = IN_9999;
	assert_int_equal(tg_renewal_due(&p, &f, &why), due);
	f.not_after = T0 + 30 * DAY;
	assert_true(tg_renewal_due(&p, &f, &why) < due);
	assert_int_equal(why, TG_RENEWAL_AGE);
}

static void is_never_due_outside_of_its_life_or_young(void **state)
{
	(void) state;
	for (size_t l = 0; l < TG_ARRAY_SIZE(lives); l++) {
		for (uint64_t i = 0; i < 400; i++) {
			struct tg_renewal_facts f = at_age(lives[l], 0);
			struct tg_renewal_policy p = policy();
			int64_t due, young;

			p.renew_at_ppm = (uint32_t) (10000 + mixed(i) % 980001);
			p.jitter_ppm = (uint32_t) (mixed(i + 1000) % 500001);
			p.max_age_s = 1 + (int64_t) (mixed(i + 2000) % (uint64_t) (2 * lives[l]));
			f.seed = mixed(i + 3000);
			due = due_of(&p, &f) - T0;
			young = (lives[l] < p.max_age_s ? lives[l] : p.max_age_s) / 10;
			assert_true(due >= young);
			assert_true(due >= (lives[l] / 2 < 10 ? lives[l] / 2 : 10));
			assert_true(due < lives[l]);
		}
	}
}

static void is_not_due_while_it_is_on_probation(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DAY, 0);

	(void) state;
	p.renew_at_ppm = 110000;
	p.probation_s = 5 * HOUR;
	assert_int_equal(due_of(&p, &f), T0 + 5 * HOUR);
	/* The probation itself is at most a quarter of the life. */
	p.probation_s = 7 * DAY;
	assert_int_equal(due_of(&p, &f), T0 + 6 * HOUR);
}

static void an_age_of_a_second_makes_no_loop(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(IN_2049 - T0, 0);

	(void) state;
	p.max_age_s = 1;
	p.probation_s = 0;
	assert_int_equal(due_of(&p, &f), T0 + 10);
}

static void a_backdated_certificate_ages_from_its_installation(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(HOUR, 0);

	(void) state;
	/* Of two hours, one was over before it came. */
	f.not_before -= HOUR;
	f.seed = 0;
	assert_int_equal(due_of(&p, &f), T0 + HOUR * 66 / 100);
	/* All of it: neither early in a loop nor late. */
	f.not_before = T0 - 1000 * HOUR;
	assert_int_equal(due_of(&p, &f), T0 + HOUR * 66 / 100);
}

static void an_installation_date_from_a_lying_clock_does_not_count(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(YEAR, 0);
	int64_t due = due_of(&p, &f);

	(void) state;
	f.made = 0; /* a clock at 1970 */
	assert_int_equal(due_of(&p, &f), due);
	f.made = T0 + 100 * DAY; /* a clock in the future: the certificate was there before that */
	assert_int_equal(due_of(&p, &f), due);
	f.made = f.not_after + 1;
	assert_int_equal(due_of(&p, &f), due);
	f.believed_s = f.not_after + 10;
	assert_int_equal(due_of(&p, &f), due);
}

/* Whatever the clock was when it was made: a fifth of 34 % of what is left stays for tries. */
static void no_installation_date_delays_into_the_last_tenth(void **state)
{
	struct tg_renewal_policy p = policy();

	(void) state;
	p.max_age_s = 1000 * YEAR;
	for (int64_t made = 0; made <= YEAR; made += DAY / 2) {
		struct tg_renewal_facts f = at_age(YEAR, 0);
		int64_t day;

		f.made = T0 + made;
		for (day = 0; day < 366; day++) {
			f.believed_s = T0 + day * DAY;
			if (f.believed_s >= due_of(&p, &f))
				break;
		}
		assert_true(day * DAY < YEAR * 90 / 100);
	}
}

static void dates_beyond_2038_and_before_1970_are_dates(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(10, 0);

	(void) state;
	p.max_age_s = 1000 * YEAR;
	p.jitter_ppm = 0;
	f.not_before = f.made = f.believed_s = f.floor_s = (INT64_C(1) << 31) - 50;
	f.not_after = f.not_before + 100;
	assert_int_equal(due_of(&p, &f), f.not_before + 66);
	f.not_before = f.made = f.believed_s = f.floor_s = (INT64_C(1) << 32) - 50;
	f.not_after = f.not_before + 100;
	assert_int_equal(due_of(&p, &f), f.not_before + 66);
	f.not_before = f.made = f.believed_s = f.floor_s = -50;
	f.not_after = 50;
	assert_int_equal(due_of(&p, &f), 16);
}

static void absurd_dates_overflow_nothing(void **state)
{
	static const int64_t dates[] = { INT64_MIN,    INT64_MIN + 1, -IN_9999, -1,        0,
					 1,            T0,            IN_2049,  IN_9999,   IN_9999 + 1,
					 INT64_MAX - 1, INT64_MAX };
	const size_t n = TG_ARRAY_SIZE(dates);

	(void) state;
	for (size_t i = 0; i < n * n * n * n; i++) {
		struct tg_renewal_facts f = at_age(1, 0);
		struct tg_renewal_policy p = policy();
		struct tg_renewal_plan plan;

		f.not_before = dates[i % n];
		f.not_after = dates[i / n % n];
		f.made = dates[i / n / n % n];
		f.believed_s = dates[i / n / n / n];
		f.floor_s = f.believed_s;
		f.seed = mixed(i);
		p.max_age_s = INT64_MAX;
		p.jitter_ppm = 500000;
		p.renew_at_ppm = 990000;
		plan = tg_renewal_decide(&p, &f, &none);
		assert_true(plan.act == TG_RENEWAL_RUN || plan.look_us > f.now_us);
		assert_true(plan.look_us <= f.now_us + US(HOUR));
	}
}

static void seeds_of_a_fleet_are_spread_and_constant(void **state)
{
	unsigned buckets[16] = { 0 };

	(void) state;
	for (unsigned i = 0; i < 1600; i++) {
		char tpm[17];

		(void) snprintf(tpm, sizeof(tpm), "%016x", i);
		buckets[tg_renewal_seed(tpm, 1) >> 60]++;
		assert_true(tg_renewal_seed(tpm, 1) == tg_renewal_seed(tpm, 1));
		/* The next generation is not as early or late as this one. */
		assert_true(tg_renewal_seed(tpm, 1) != tg_renewal_seed(tpm, 2));
	}
	for (size_t b = 0; b < 16; b++)
		assert_in_range(buckets[b], 60, 140);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_due_within_the_jitter_before_its_share_of_life),
		cmocka_unit_test(max_age_decides_where_the_life_is_absurd),
		cmocka_unit_test(is_never_due_outside_of_its_life_or_young),
		cmocka_unit_test(is_not_due_while_it_is_on_probation),
		cmocka_unit_test(an_age_of_a_second_makes_no_loop),
		cmocka_unit_test(a_backdated_certificate_ages_from_its_installation),
		cmocka_unit_test(an_installation_date_from_a_lying_clock_does_not_count),
		cmocka_unit_test(no_installation_date_delays_into_the_last_tenth),
		cmocka_unit_test(dates_beyond_2038_and_before_1970_are_dates),
		cmocka_unit_test(absurd_dates_overflow_nothing),
		cmocka_unit_test(seeds_of_a_fleet_are_spread_and_constant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
