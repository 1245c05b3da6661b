/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/safe.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

#define S       TG_US_PER_S
#define TEXT(s) ((char *) (uintptr_t) (s))

static struct tg_config_point points[2][3];
static struct tg_config_device devices[2];
static struct tg_config cfg;

static int set_up(void **state)
{
	(void) state;
	for (size_t i = 0; i < 2; i++) {
		points[i][0] = (struct tg_config_point){ .name = TEXT("valve"),
							 .write = true,
							 .has_safe = true,
							 .safe = 7,
							 .safe_after_us = (i + 1) * 10 * S };
		points[i][1] = (struct tg_config_point){ .name = TEXT("setpoint"), .write = true };
		points[i][2] = (struct tg_config_point){ .name = TEXT("reading"),
							 .has_safe = true,
							 .safe_after_us = S };
		devices[i] = (struct tg_config_device){ .name = TEXT(i ? "b" : "a"),
							.points = points[i],
							.n_points = 3 };
	}
	cfg = (struct tg_config){ .devices = devices, .n_devices = 2 };
	return 0;
}

static void an_output_falls_once_after_silence_since_the_start(void **state)
{
	struct tg_safe s = { .n = 0 };
	struct tg_safe_point *p;

	(void) state;
	assert_int_equal(tg_safe_configure(&s, &cfg, 100 * S), 0);
	assert_int_equal(s.n, 2);
	assert_true(tg_safe_due_us(&s) == 110 * S);
	assert_null(tg_safe_next(&s, 110 * S - 1));
	p = tg_safe_next(&s, 110 * S);
	assert_non_null(p);
	assert_true(p->device == 0 && p->point == 0);
	/* It is being written: not a second time. */
	assert_null(tg_safe_next(&s, 111 * S));
	tg_safe_tell(p, true, 111 * S);
	assert_true(p->since_us == 111 * S);
	assert_null(tg_safe_next(&s, 119 * S));
	assert_true(tg_safe_due_us(&s) == 120 * S);
	tg_safe_done(&s);
	assert_true(tg_safe_due_us(&s) == TG_US_FOREVER);
}

static void a_command_gives_it_time_again(void **state)
{
	struct tg_safe s = { .n = 0 };
	struct tg_safe_point *p;

	(void) state;
	assert_int_equal(tg_safe_configure(&s, &cfg, 0), 0);
	tg_safe_commanded(&s, 0, 0, 9 * S);
	tg_safe_commanded(&s, 0, 1, 9 * S);
	assert_null(tg_safe_next(&s, 18 * S));
	p = tg_safe_next(&s, 19 * S);
	assert_non_null(p);
	tg_safe_tell(p, true, 19 * S);
	tg_safe_commanded(&s, 0, 0, 30 * S);
	assert_true(p->since_us == 0);
	assert_null(tg_safe_find(&s, 0, 1));
	/* One that came while it was written counts more. */
	assert_ptr_equal(tg_safe_next(&s, 40 * S), p);
	tg_safe_commanded(&s, 0, 0, 41 * S);
	tg_safe_tell(p, true, 42 * S);
	assert_true(p->since_us == 0 && p->due_us == 51 * S);
	tg_safe_done(&s);
}

static void what_fails_is_tried_again_less_and_less_often(void **state)
{
	struct tg_safe s = { .n = 0 };
	uint64_t now = 10 * S, gap = 0;
	struct tg_safe_point *p;

	(void) state;
	devices[1].n_points = 0;
	assert_int_equal(tg_safe_configure(&s, &cfg, 0), 0);
	for (unsigned i = 1; i < 20; i++) {
		p = tg_safe_next(&s, now);
		assert_non_null(p);
		tg_safe_tell(p, false, now);
		assert_int_equal(p->failures, i);
		assert_true(p->due_us - now >= gap && p->due_us - now <= TG_SAFE_PAUSE_MAX_US);
		gap = p->due_us - now;
		now = p->due_us;
	}
	assert_true(gap == TG_SAFE_PAUSE_MAX_US);
	p = tg_safe_next(&s, now);
	tg_safe_tell(p, true, now);
	assert_true(p->failures == 0 && p->since_us == now);
	tg_safe_done(&s);
}

static void a_reload_leaves_what_it_does_not_change(void **state)
{
	struct tg_safe s = { .n = 0 };
	struct tg_config_point again[2][3];
	struct tg_config_device swapped[2] = { devices[1], devices[0] };
	struct tg_config next = { .devices = swapped, .n_devices = 2 };

	(void) state;
	memcpy(again, points, sizeof(points));
	again[1][0].safe = 8;
	swapped[1].points = again[0];
	swapped[0].points = again[1];
	assert_int_equal(tg_safe_configure(&s, &cfg, 0), 0);
	tg_safe_tell(tg_safe_next(&s, 10 * S), true, 10 * S);
	/* b's is being written when its worker goes. */
	assert_non_null(tg_safe_next(&s, 20 * S));
	assert_int_equal(tg_safe_configure(&s, &next, 25 * S), 0);
	assert_int_equal(s.n, 2);
	assert_true(tg_safe_find(&s, 1, 0)->since_us == 10 * S);
	/* Another safe value counts from now. */
	assert_true(tg_safe_find(&s, 0, 0)->due_us == 45 * S);
	assert_int_equal(tg_safe_configure(&s, &cfg, 30 * S), 0);
	assert_true(tg_safe_find(&s, 0, 0)->since_us == 10 * S);
	(void) tg_safe_next(&s, 60 * S);
	assert_int_equal(tg_safe_configure(&s, &cfg, 61 * S), 0);
	assert_true(tg_safe_find(&s, 1, 0)->due_us == 61 * S);
	tg_safe_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_output_falls_once_after_silence_since_the_start, set_up),
		cmocka_unit_test_setup(a_command_gives_it_time_again, set_up),
		cmocka_unit_test_setup(what_fails_is_tried_again_less_and_less_often, set_up),
		cmocka_unit_test_setup(a_reload_leaves_what_it_does_not_change, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
