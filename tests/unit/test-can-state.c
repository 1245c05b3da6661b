/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/state.h"

#include "tests/unit/test.h"

#include <linux/can/error.h>
#include <string.h>

#define COUNTERS 0x200u

static unsigned take(struct tg_can_state *s, uint32_t id, uint8_t crtl, uint8_t prot, uint8_t loc,
		     uint8_t tx, uint8_t rx)
{
	const uint8_t data[8] = { 0, crtl, prot, loc, 0, 0, tx, rx };

	return tg_can_state_take(s, id, data);
}

static void expect_text(const struct tg_can_state *s, const char *want)
{
	char text[TG_REASON_MAX + 1];

	tg_can_state_text(s, text);
	assert_string_equal(text, want);
}

static void a_bus_goes_down_by_steps_and_comes_back(void **state)
{
	struct tg_can_state s = { 0 };

	(void) state;
	expect_text(&s, "");
	(void) take(&s, CAN_ERR_CRTL | COUNTERS, CAN_ERR_CRTL_TX_WARNING, 0, 0, 96, 0);
	expect_text(&s, "error-warning, tx 96 rx 0");
	(void) take(&s, CAN_ERR_CRTL, CAN_ERR_CRTL_TX_PASSIVE, 0, 0, 128, 1);
	assert_int_equal(s.mode, TG_CAN_PASSIVE);
	expect_text(&s, "error-passive, tx 128 rx 1");
	(void) take(&s, CAN_ERR_BUSOFF, 0, 0, 0, 0, 0);
	assert_int_equal(s.mode, TG_CAN_OFF);
	expect_text(&s, "bus-off; bus-off 1 times");
	/* A second frame that says the same is no second time. */
	(void) take(&s, CAN_ERR_BUSOFF, 0, 0, 0, 0, 0);
	assert_int_equal(s.bus_offs, 1);
	(void) take(&s, CAN_ERR_RESTARTED, 0, 0, 0, 0, 0);
	assert_int_equal(s.mode, TG_CAN_ACTIVE);
	assert_int_equal(s.restarts, 1);
	(void) take(&s, CAN_ERR_CRTL, CAN_ERR_CRTL_RX_WARNING, 0, 0, 0, 97);
	(void) take(&s, CAN_ERR_CRTL, CAN_ERR_CRTL_ACTIVE, 0, 0, 0, 95);
	assert_int_equal(s.mode, TG_CAN_ACTIVE);
	assert_int_equal(s.errors, 7);
}

static void faults_have_words(void **state)
{
	struct tg_can_state s = { 0 };

	(void) state;
	(void) take(&s, CAN_ERR_ACK, 0, 0, 0, 0, 0);
	assert_non_null(strstr(s.last, "no acknowledgement"));
	(void) take(&s, CAN_ERR_PROT | CAN_ERR_BUSERROR, 0, CAN_ERR_PROT_STUFF, 0, 0, 0);
	assert_non_null(strstr(s.last, "bit rate"));
	(void) take(&s, CAN_ERR_PROT | CAN_ERR_BUSERROR, 0, 0, CAN_ERR_PROT_LOC_ACK, 0, 0);
	assert_non_null(strstr(s.last, "no acknowledgement"));
	(void) take(&s, CAN_ERR_TRX, 0, 0, 0, 0, 0);
	assert_non_null(strstr(s.last, "transceiver"));
	(void) take(&s, CAN_ERR_BUSERROR, 0, 0, 0, 0, 0);
	assert_string_equal(s.last, "bus error");
	/* What is no fault leaves the last one. */
	(void) take(&s, CAN_ERR_RESTARTED, 0, 0, 0, 0, 0);
	assert_string_equal(s.last, "bus error");
}

static void overflows_of_the_controller_are_counted(void **state)
{
	struct tg_can_state s = { 0 };

	(void) state;
	assert_int_equal(take(&s, CAN_ERR_CRTL, CAN_ERR_CRTL_RX_OVERFLOW, 0, 0, 0, 0), 1);
	assert_int_equal(take(&s, CAN_ERR_CRTL, CAN_ERR_CRTL_TX_OVERFLOW, 0, 0, 0, 0), 0);
	assert_int_equal(take(&s, CAN_ERR_BUSERROR, CAN_ERR_CRTL_RX_OVERFLOW, 0, 0, 0, 0), 0);
	assert_int_equal(s.mode, TG_CAN_ACTIVE);
}

static void the_text_never_passes_its_bound(void **state)
{
	struct tg_can_state s = { .mode = TG_CAN_PASSIVE, .counted = true, .tx = 4294967295u,
				  .rx = 4294967295u, .errors = 1, .bus_offs = UINT64_MAX,
				  .last = "no acknowledgement: no other node, or another bit rate" };
	char text[TG_REASON_MAX + 2];

	(void) state;
	text[TG_REASON_MAX + 1] = 'X';
	tg_can_state_text(&s, text);
	assert_true(strlen(text) <= TG_REASON_MAX);
	assert_int_equal(text[TG_REASON_MAX + 1], 'X');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bus_goes_down_by_steps_and_comes_back),
		cmocka_unit_test(faults_have_words),
		cmocka_unit_test(overflows_of_the_controller_are_counted),
		cmocka_unit_test(the_text_never_passes_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
