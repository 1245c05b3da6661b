/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timekeeping.h"

#include "base/clock.h"
#include "tests/unit/test.h"

static void a_clock_behind_the_floor_is_suspect_whatever_the_sync_service_says(void **state)
{
	(void) state;
	assert_int_equal(tg_clock_judge(99, 100, true), TG_CLOCK_SUSPECT);
	assert_int_equal(tg_clock_judge(99, 100, false), TG_CLOCK_SUSPECT);
}

static void at_the_floor_the_sync_service_decides(void **state)
{
	(void) state;
	assert_int_equal(tg_clock_judge(100, 100, true), TG_CLOCK_SYNCHRONISED);
	assert_int_equal(tg_clock_judge(100, 100, false), TG_CLOCK_UNCONFIRMED);
}

static void the_floor_only_rises_and_makes_the_clock_suspect(void **state)
{
	struct tg_timekeeping *t = NULL;
	int64_t far = INT64_C(1) << 40;

	(void) state;
	assert_int_equal(tg_timekeeping_new(&t), 0);
	tg_timekeeping_raise_floor(t, 1);
	assert_true(tg_timekeeping_floor(t) > 1700000000);
	tg_timekeeping_raise_floor(t, far);
	assert_true(tg_timekeeping_floor(t) == far);
	tg_timekeeping_refresh(t);
	assert_int_equal(tg_timekeeping_now(t).trust, TG_CLOCK_SUSPECT);
	tg_timekeeping_free(t);
}

static void the_offset_turns_boot_time_into_wall_time(void **state)
{
	struct tg_timekeeping *t = NULL;
	int64_t wall, off;

	(void) state;
	assert_int_equal(tg_timekeeping_new(&t), 0);
	off = tg_timekeeping_now(t).wall_offset_us;
	wall = (int64_t) tg_clock_boot_us() + off;
	assert_true(wall > tg_clock_wall_us() - 60 * (int64_t) TG_US_PER_S);
	assert_true(wall < tg_clock_wall_us() + 60 * (int64_t) TG_US_PER_S);
	tg_timekeeping_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clock_behind_the_floor_is_suspect_whatever_the_sync_service_says),
		cmocka_unit_test(at_the_floor_the_sync_service_decides),
		cmocka_unit_test(the_floor_only_rises_and_makes_the_clock_suspect),
		cmocka_unit_test(the_offset_turns_boot_time_into_wall_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
