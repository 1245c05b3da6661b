/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "tests/unit/test.h"

#include <time.h>

#define SLACK_US (10 * TG_US_PER_S)

static void is_about(uint64_t got, uint64_t wanted)
{
	assert_in_range(got, wanted - SLACK_US, wanted + SLACK_US);
}

static uint64_t monotonic_us(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t) ts.tv_sec * TG_US_PER_S + (uint64_t) ts.tv_nsec / 1000;
}

static void stamps_of_the_kernel_become_boot_time(void **state)
{
	uint64_t now = tg_clock_boot_us(), age = now > 120 * TG_US_PER_S ? 60 * TG_US_PER_S : 0;

	(void) state;
	is_about(tg_clock_boot_from_monotonic_us(monotonic_us() - age), now - age);
	is_about(tg_clock_boot_from_real_us(tg_clock_wall_us() - (int64_t) age), now - age);
}

static void a_stamp_that_cannot_be_is_now(void **state)
{
	uint64_t now = tg_clock_boot_us();

	(void) state;
	is_about(tg_clock_boot_from_monotonic_us(monotonic_us() + 3600 * TG_US_PER_S), now);
	is_about(tg_clock_boot_from_monotonic_us(UINT64_MAX), now);
	is_about(tg_clock_boot_from_real_us(tg_clock_wall_us() + 7 * (int64_t) TG_US_PER_S * 86400), now);
	is_about(tg_clock_boot_from_real_us(tg_clock_wall_us() - 7 * (int64_t) TG_US_PER_S * 86400), now);
	is_about(tg_clock_boot_from_real_us(INT64_MIN), now);
	is_about(tg_clock_boot_from_real_us(INT64_MAX), now);
	is_about(tg_clock_boot_from_real_us(0), now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stamps_of_the_kernel_become_boot_time),
		cmocka_unit_test(a_stamp_that_cannot_be_is_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
