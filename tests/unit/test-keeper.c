/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/keeper.h"

#include "base/clock.h"
#include "tests/unit/test.h"

static const enum tg_enrol_class classes[] = { TG_ENROL_RETRY, TG_ENROL_REFUSED, TG_ENROL_BAD_ANSWER, TG_ENROL_LOCAL };

static void no_pause_is_short_or_endless(void **state)
{
	(void) state;
	for (size_t c = 0; c < TG_ARRAY_SIZE(classes); c++) {
		for (unsigned failures = 1; failures < 200; failures++) {
			uint64_t low = tg_keeper_pause_us(classes[c], failures, 0);
			uint64_t high = tg_keeper_pause_us(classes[c], failures, UINT64_MAX);

			assert_true(low >= 2 * TG_US_PER_S);
			assert_true(high <= 7 * 3600 * TG_US_PER_S);
		}
	}
}

static void a_refusal_is_repeated_far_more_slowly_than_a_network_fault(void **state)
{
	(void) state;
	for (unsigned failures = 1; failures < 20; failures++)
		assert_true(tg_keeper_pause_us(TG_ENROL_REFUSED, failures, 0) >
			    10 * tg_keeper_pause_us(TG_ENROL_RETRY, failures, 0));
}

static void pauses_spread_over_a_growing_range(void **state)
{
	uint64_t early = 0, late = 0;

	(void) state;
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t rnd = i * UINT64_C(0x9e3779b97f4a7c15);
		uint64_t a = tg_keeper_pause_us(TG_ENROL_RETRY, 1, rnd), b = tg_keeper_pause_us(TG_ENROL_RETRY, 7, rnd);

		early = a > early ? a : early;
		late = b > late ? b : late;
	}
	assert_true(late > 10 * early);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_pause_is_short_or_endless),
		cmocka_unit_test(a_refusal_is_repeated_far_more_slowly_than_a_network_fault),
		cmocka_unit_test(pauses_spread_over_a_growing_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
