/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/request.h"

#include "config/bus/can_read.h"
#include "tests/unit/test.h"

#define SECOND UINT64_C(1000000)

static struct tg_config_point points[4];
static struct tg_config_device dev = { .points = points, .n_points = 4 };
static struct tg_config_bus bus = { .can.address = 0xf9 };
static struct tg_config cfg = { .buses = &bus, .n_buses = 1, .devices = &dev, .n_devices = 1 };

static void groups_are_asked_for_once_each_and_at_their_intervals(void **state)
{
	static const char *const reads[] = { "pgn=65253 request=1m 0|32@1", "pgn=65253 request=10s 32|32@1",
					     "pgn=65260 request=1d start=0 text", "pgn=61444 0|8@1" };
	unsigned hours = 0, vins = 0;
	struct tg_can_requests q;
	uint8_t data[TG_CAN_REQUEST_LEN];
	uint32_t id;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(reads); i++)
		assert_int_equal(tg_can_read_parse(reads[i], &points[i].can, NULL), 0);
	assert_int_equal(tg_can_requests_init(&q, &cfg, 0), 0);
	assert_int_equal(q.n, 2);
	tg_can_requests_restart(&q, SECOND);
	assert_int_equal(tg_can_requests_next_us(&q), SECOND);
	for (uint64_t now = SECOND; now < 61 * SECOND; now += SECOND / 10) {
		while (tg_can_requests_take(&q, now, &id, data)) {
			/* From us, to all; the number with its low byte first. */
			assert_int_equal(id, 0x18eafff9);
			hours += data[0] == 0xe5 && data[1] == 0xfe && data[2] == 0;
			vins += data[0] == 0xec && data[1] == 0xfe && data[2] == 0;
		}
	}
	assert_int_equal(hours, 6);
	assert_int_equal(vins, 1);

	/* An hour without a look costs the requests in between. */
	assert_int_equal(tg_can_requests_take(&q, 3661 * SECOND, &id, data), 1);
	assert_int_equal(tg_can_requests_take(&q, 3661 * SECOND, &id, data), 0);
	assert_int_equal(tg_can_requests_next_us(&q), 3671 * SECOND);
	tg_can_requests_done(&q);
}

static void who_wants_nothing_is_never_woken(void **state)
{
	struct tg_can_requests q;
	uint8_t data[TG_CAN_REQUEST_LEN];
	uint32_t id;

	(void) state;
	for (size_t i = 0; i < 4; i++)
		points[i].can.request_us = 0;
	assert_int_equal(tg_can_requests_init(&q, &cfg, 0), 0);
	tg_can_requests_restart(&q, 5);
	assert_true(tg_can_requests_next_us(&q) == UINT64_MAX);
	assert_int_equal(tg_can_requests_take(&q, UINT64_MAX, &id, data), 0);
	tg_can_requests_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_are_asked_for_once_each_and_at_their_intervals),
		cmocka_unit_test(who_wants_nothing_is_never_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
