/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

#include "tests/unit/test.h"

static void delay_stays_below_the_doubling_ceiling(void **state)
{
	struct tg_backoff b = TG_BACKOFF_INIT(1000, 60000);
	uint64_t ceiling = 1000;

	(void) state;
	for (int i = 0; i < 20; i++) {
		struct tg_backoff again = b;

		assert_int_equal(tg_backoff_next(&again, ceiling), ceiling);
		assert_int_equal(tg_backoff_next(&b, ceiling + 1), 0);
		ceiling = ceiling * 2 > 60000 ? 60000 : ceiling * 2;
	}
}

static void a_success_starts_from_the_base_again(void **state)
{
	struct tg_backoff b = TG_BACKOFF_INIT(10, 1 << 20);

	(void) state;
	for (int i = 0; i < 100; i++)
		(void) tg_backoff_next(&b, 0);
	assert_true(tg_backoff_next(&b, 1 << 20) == 1 << 20);
	tg_backoff_reset(&b);
	assert_int_equal(tg_backoff_next(&b, 10), 10);
	assert_int_equal(tg_backoff_next(&b, 20), 20);
}

static void the_largest_ceiling_does_not_wrap(void **state)
{
	struct tg_backoff b = TG_BACKOFF_INIT(1, UINT64_MAX);

	(void) state;
	for (int i = 0; i < 1000; i++)
		(void) tg_backoff_next(&b, 0);
	assert_true(tg_backoff_next(&b, UINT64_MAX) >= UINT64_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delay_stays_below_the_doubling_ceiling),
		cmocka_unit_test(a_success_starts_from_the_base_again),
		cmocka_unit_test(the_largest_ceiling_does_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
