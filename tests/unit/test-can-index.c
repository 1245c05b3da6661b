/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/index.h"

#include "config/bus/can_read.h"
#include "tests/unit/test.h"

#include <stdio.h>

#define POINTS 600

static struct tg_config_point points[POINTS];
static struct tg_config_device devices[2] = {
	{ .bus = 1, .points = points, .can.source = TG_CAN_ANY },
	{ .bus = 0, .points = points, .n_points = 1 },
};
static struct tg_config cfg = { .devices = devices, .n_devices = 2 };
static struct can_filter filters[512];

static void add(const char *text)
{
	assert_int_equal(tg_can_read_parse(text, &points[devices[0].n_points++].can, NULL), 0);
}

static bool passes(size_t n, canid_t id)
{
	for (size_t i = 0; i < n; i++) {
		if ((id & filters[i].can_mask) == (filters[i].can_id & filters[i].can_mask))
			return true;
	}
	return false;
}

static int no_points(void **state)
{
	(void) state;
	devices[0].n_points = 0;
	devices[0].can.source = TG_CAN_ANY;
	return 0;
}

static void the_kernel_passes_what_points_need_and_nothing_else(void **state)
{
	struct tg_can_index x;
	size_t n;

	(void) state;
	add("id=0x123 0|8@1");
	add("id=0x123 8|8@1");
	add("id=0x123 extended 0|8@1");
	add("pgn=61444 source=0 0|8@1");
	add("pgn=59904 0|8@1");
	assert_int_equal(tg_can_index_init(&x, &cfg, 1), 0);
	n = tg_can_index_filters(&x, true, filters, TG_ARRAY_SIZE(filters));
	assert_int_equal(n, 4);
	assert_true(passes(n, 0x123));
	assert_true(passes(n, 0x123 | CAN_EFF_FLAG));
	assert_false(passes(n, 0x124));
	assert_false(passes(n, 0x123 | CAN_RTR_FLAG));
	assert_true(passes(n, 0x0cf00400 | CAN_EFF_FLAG));
	assert_true(passes(n, 0x18f00400 | CAN_EFF_FLAG)); /* another priority */
	assert_false(passes(n, 0x0cf00401 | CAN_EFF_FLAG)); /* another source */
	assert_false(passes(n, 0x0cf00500 | CAN_EFF_FLAG));
	assert_true(passes(n, 0x18ea21f9 | CAN_EFF_FLAG)); /* whomever it is for */
	/* Groups that come from the other socket are not in this one's way. */
	assert_int_equal(tg_can_index_filters(&x, false, filters, TG_ARRAY_SIZE(filters)), 2);
	tg_can_index_done(&x);
}

static void a_device_lends_its_source_to_its_points(void **state)
{
	struct j1939_filter groups[4];
	struct tg_can_index x;

	(void) state;
	devices[0].can.source = 0x21;
	add("pgn=61444 0|8@1");
	add("pgn=61444 8|8@1");
	add("pgn=61444 source=0x22 0|8@1");
	assert_int_equal(tg_can_index_init(&x, &cfg, 1), 0);
	assert_int_equal(tg_can_index_group_filters(&x, groups, 4), 2);
	assert_int_equal(groups[0].addr, 0x21);
	assert_int_equal(groups[1].addr, 0x22);
	assert_int_equal(groups[1].addr_mask, 0xff);
	assert_int_equal(groups[1].pgn, 61444);
	/* More than there is room for: one that passes everything. */
	assert_int_equal(tg_can_index_group_filters(&x, groups, 1), 1);
	assert_int_equal(groups[0].pgn_mask | groups[0].addr_mask, 0);
	tg_can_index_done(&x);
}

static void more_identifiers_than_filters_pass_all_data_frames(void **state)
{
	struct tg_can_index x;
	size_t n;

	(void) state;
	for (unsigned i = 0; i < POINTS; i++) {
		char text[64];

		(void) snprintf(text, sizeof(text), "id=%u 0|8@1", i);
		add(text);
	}
	assert_int_equal(tg_can_index_init(&x, &cfg, 1), 0);
	n = tg_can_index_filters(&x, true, filters, TG_ARRAY_SIZE(filters));
	assert_int_equal(n, 1);
	assert_true(passes(n, 0x7ff));
	assert_true(passes(n, 0x1fffffff | CAN_EFF_FLAG));
	assert_false(passes(n, 5 | CAN_RTR_FLAG));
	tg_can_index_done(&x);
}

static void points_are_found_by_identifier(void **state)
{
	const struct tg_can_entry *e;
	struct tg_can_index x;

	(void) state;
	add("id=7 0|8@1");
	add("id=5 0|8@1");
	add("id=7 8|8@1");
	assert_int_equal(tg_can_index_init(&x, &cfg, 1), 0);
	assert_int_equal(tg_can_index_find(x.frames, x.n_frames, 7, &e), 2);
	assert_int_equal(e[0].point + e[1].point, 2);
	assert_int_equal(tg_can_index_find(x.frames, x.n_frames, 5, &e), 1);
	assert_int_equal(e->point, 1);
	assert_int_equal(tg_can_index_find(x.frames, x.n_frames, 6, &e), 0);
	assert_int_equal(tg_can_index_find(x.frames, x.n_frames, 8, &e), 0);
	assert_int_equal(tg_can_index_find(x.groups, x.n_groups, 7, &e), 0);
	tg_can_index_done(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_kernel_passes_what_points_need_and_nothing_else, no_points),
		cmocka_unit_test_setup(a_device_lends_its_source_to_its_points, no_points),
		cmocka_unit_test_setup(more_identifiers_than_filters_pass_all_data_frames, no_points),
		cmocka_unit_test_setup(points_are_found_by_identifier, no_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
