/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/flight.h"
#include "test.h"

#define SECOND   UINT64_C(1000000)
#define PATIENCE (30 * SECOND)

static void nothing_in_flight_is_never_overdue(void **state)
{
	struct tg_flight f = { 0 };

	(void) state;
	tg_flight_begin(&f);
	assert_false(tg_flight_is_overdue(&f, 1000 * SECOND, PATIENCE));
	tg_flight_sent(&f, 1, 1000 * SECOND);
	assert_false(tg_flight_is_overdue(&f, 1029 * SECOND, PATIENCE));
	tg_flight_acked(&f, 1, 1029 * SECOND);
	assert_false(tg_flight_is_overdue(&f, 9999 * SECOND, PATIENCE));
}

static void silence_is_overdue(void **state)
{
	struct tg_flight f = { 0 };

	(void) state;
	tg_flight_sent(&f, 1, 100 * SECOND);
	tg_flight_sent(&f, 2, 120 * SECOND);
	assert_false(tg_flight_is_overdue(&f, 129 * SECOND, PATIENCE));
	assert_true(tg_flight_is_overdue(&f, 130 * SECOND, PATIENCE));
}

static void a_slow_broker_that_goes_in_order_is_not(void **state)
{
	struct tg_flight f = { 0 };

	(void) state;
	for (uint64_t i = 0; i < 32; i++)
		tg_flight_sent(&f, i, 100 * SECOND);
	for (uint64_t i = 0; i < 31; i++) {
		tg_flight_acked(&f, i, (120 + 20 * i) * SECOND);
		assert_false(tg_flight_is_overdue(&f, (139 + 20 * i) * SECOND, PATIENCE));
	}
}

static void one_that_was_passed_over_is(void **state)
{
	struct tg_flight f = { 0 };

	(void) state;
	tg_flight_sent(&f, 7, 100 * SECOND);
	for (uint64_t i = 0; i < 29; i++) {
		tg_flight_sent(&f, 100 + i, (100 + i) * SECOND);
		tg_flight_acked(&f, 100 + i, (100 + i) * SECOND);
		assert_false(tg_flight_is_overdue(&f, (100 + i) * SECOND, PATIENCE));
	}
	assert_true(tg_flight_is_overdue(&f, 130 * SECOND, PATIENCE));
	tg_flight_begin(&f);
	assert_false(tg_flight_is_overdue(&f, 130 * SECOND, PATIENCE));
}

static void knows_what_was_in_flight_at_two_ends(void **state)
{
	struct tg_flight f = { 0 };

	(void) state;
	tg_flight_sent(&f, 7, SECOND);
	tg_flight_sent(&f, 8, SECOND);
	assert_false(tg_flight_ended(&f));
	/* Acknowledged this time: what is there now is new. */
	tg_flight_sent(&f, 7, SECOND);
	tg_flight_sent(&f, 8, SECOND);
	tg_flight_acked(&f, 7, SECOND);
	tg_flight_acked(&f, 8, SECOND);
	tg_flight_sent(&f, 9, SECOND);
	assert_false(tg_flight_ended(&f));
	tg_flight_sent(&f, 9, SECOND);
	assert_true(tg_flight_ended(&f));
	/* Another one in between does not make it forgotten. */
	tg_flight_sent(&f, 10, SECOND);
	assert_false(tg_flight_ended(&f));
	tg_flight_sent(&f, 9, SECOND);
	assert_true(tg_flight_ended(&f));
}

static void takes_no_more_than_it_can_hold(void **state)
{
	struct tg_flight f = { 0 };

	(void) state;
	for (uint64_t i = 0; i < 2 * TG_FLIGHT_MAX; i++)
		tg_flight_sent(&f, i, SECOND);
	assert_int_equal(f.n, TG_FLIGHT_MAX);
	assert_false(tg_flight_ended(&f));
	assert_int_equal(f.n_last, TG_FLIGHT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_in_flight_is_never_overdue),
		cmocka_unit_test(silence_is_overdue),
		cmocka_unit_test(a_slow_broker_that_goes_in_order_is_not),
		cmocka_unit_test(one_that_was_passed_over_is),
		cmocka_unit_test(knows_what_was_in_flight_at_two_ends),
		cmocka_unit_test(takes_no_more_than_it_can_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
