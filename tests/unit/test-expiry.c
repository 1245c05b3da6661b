/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/expiry.h"

#include "tests/unit/test.h"

#define BEGIN 1000000
#define LIFE  1000

static struct tg_expiry_facts at(int64_t age, bool failing)
{
	return (struct tg_expiry_facts){ .generation = 3,
					 .not_before = BEGIN,
					 .not_after = BEGIN + LIFE,
					 .believed_s = BEGIN + age,
					 .failing = failing };
}

static void each_level_is_told_once_as_time_goes_by(void **state)
{
	unsigned told[4] = { 0 };
	struct tg_expiry e = TG_EXPIRY_NULL;

	(void) state;
	for (int64_t age = -50; age < 2 * LIFE; age++) {
		struct tg_expiry_facts f = at(age, true);
		enum tg_expiry_level level = tg_expiry_news(&e, &f);

		told[level]++;
		if (level == TG_EXPIRY_SOON)
			assert_int_equal(age, 900);
		if (level == TG_EXPIRY_VERY_SOON)
			assert_int_equal(age, 980);
		if (level == TG_EXPIRY_OVER)
			assert_int_equal(age, LIFE);
	}
	assert_int_equal(told[TG_EXPIRY_SOON], 1);
	assert_int_equal(told[TG_EXPIRY_VERY_SOON], 1);
	assert_int_equal(told[TG_EXPIRY_OVER], 1);
}

static void a_renewal_that_is_still_to_come_is_no_alarm(void **state)
{
	struct tg_expiry e = TG_EXPIRY_NULL;
	struct tg_expiry_facts f;

	(void) state;
	for (int64_t age = 0; age < LIFE; age++) {
		f = at(age, false);
		assert_int_equal(tg_expiry_news(&e, &f), TG_EXPIRY_FINE);
	}
	/* Its end is one all the same. */
	f = at(LIFE, false);
	assert_int_equal(tg_expiry_news(&e, &f), TG_EXPIRY_OVER);
}

static void a_new_certificate_starts_afresh(void **state)
{
	struct tg_expiry e = TG_EXPIRY_NULL;
	struct tg_expiry_facts f = at(950, true);

	(void) state;
	assert_int_equal(tg_expiry_news(&e, &f), TG_EXPIRY_SOON);
	f.generation = 4;
	assert_int_equal(tg_expiry_news(&e, &f), TG_EXPIRY_SOON);
	f.generation = 0;
	assert_int_equal(tg_expiry_news(&e, &f), TG_EXPIRY_FINE);
}

static void an_attempt_that_succeeds_and_fails_again_does_not_repeat_it(void **state)
{
	struct tg_expiry e = TG_EXPIRY_NULL;

	(void) state;
	for (int i = 0; i < 10; i++) {
		struct tg_expiry_facts f = at(920, i % 2 == 0);

		assert_int_equal(tg_expiry_news(&e, &f), i ? TG_EXPIRY_FINE : TG_EXPIRY_SOON);
	}
}

static void dates_that_cannot_be_do_no_harm(void **state)
{
	struct tg_expiry_facts f = { .generation = 1, .not_before = INT64_MAX / 2, .not_after = 5 };

	(void) state;
	assert_int_equal(tg_expiry_level(&f), TG_EXPIRY_FINE);
	f.believed_s = 5;
	assert_int_equal(tg_expiry_level(&f), TG_EXPIRY_OVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_level_is_told_once_as_time_goes_by),
		cmocka_unit_test(a_renewal_that_is_still_to_come_is_no_alarm),
		cmocka_unit_test(a_new_certificate_starts_afresh),
		cmocka_unit_test(an_attempt_that_succeeds_and_fails_again_does_not_repeat_it),
		cmocka_unit_test(dates_that_cannot_be_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
