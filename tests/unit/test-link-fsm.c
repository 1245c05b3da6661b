/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_fsm.h"

#include "tests/unit/test.h"

#include <errno.h>

struct play {
	enum tg_link_event event;
	enum tg_link_state next;
	enum tg_link_action action;
};

static void plays(enum tg_link_state from, const struct play *p, size_t n)
{
	enum tg_link_state state = from;

	for (size_t i = 0; i < n; i++) {
		enum tg_link_state next;
		enum tg_link_action action;

		assert_int_equal(tg_link_step(state, p[i].event, &next, &action), 0);
		assert_int_equal(next, p[i].next);
		assert_int_equal(action, p[i].action);
		state = next;
	}
}

static void a_session_greets_before_it_publishes(void **state)
{
	static const struct play p[] = {
		{ TG_LINK_EV_DUE, TG_LINK_CONNECTING, TG_LINK_ACT_CONNECT },
		{ TG_LINK_EV_CONNECTED, TG_LINK_GREETING, TG_LINK_ACT_GREET },
		{ TG_LINK_EV_GREETED, TG_LINK_ONLINE, TG_LINK_ACT_START },
		{ TG_LINK_EV_FAILED, TG_LINK_OFFLINE, TG_LINK_ACT_BACK_OFF },
	};

	(void) state;
	plays(TG_LINK_OFFLINE, p, TG_ARRAY_SIZE(p));
}

static void a_change_says_goodbye_and_connects_again_at_once(void **state)
{
	static const struct play p[] = {
		{ TG_LINK_EV_CHANGED, TG_LINK_CLOSING, TG_LINK_ACT_GOODBYE },
		{ TG_LINK_EV_CHANGED, TG_LINK_CLOSING, TG_LINK_ACT_NONE },
		{ TG_LINK_EV_CLOSED, TG_LINK_OFFLINE, TG_LINK_ACT_AGAIN },
		{ TG_LINK_EV_DUE, TG_LINK_CONNECTING, TG_LINK_ACT_CONNECT },
	};

	(void) state;
	plays(TG_LINK_ONLINE, p, TG_ARRAY_SIZE(p));
}

static void every_state_can_be_stopped_and_ends(void **state)
{
	(void) state;
	for (enum tg_link_state from = TG_LINK_OFFLINE; from < TG_LINK_ENDED; from++) {
		enum tg_link_state next;
		enum tg_link_action action;

		assert_int_equal(tg_link_step(from, TG_LINK_EV_STOP, &next, &action), 0);
		if (next == TG_LINK_STOPPING)
			assert_int_equal(tg_link_step(next, TG_LINK_EV_CLOSED, &next, &action), 0);
		assert_int_equal(next, TG_LINK_ENDED);
	}
}

static void every_state_survives_a_failure_and_a_change(void **state)
{
	(void) state;
	for (enum tg_link_state from = TG_LINK_OFFLINE; from < TG_LINK_ENDED; from++) {
		enum tg_link_state next;
		enum tg_link_action action;

		assert_int_equal(tg_link_step(from, TG_LINK_EV_FAILED, &next, &action), 0);
		assert_int_equal(tg_link_step(from, TG_LINK_EV_CHANGED, &next, &action), 0);
	}
}

static void nonsense_leaves_the_outputs_alone(void **state)
{
	enum tg_link_state next = TG_LINK_CLOSING;
	enum tg_link_action action = TG_LINK_ACT_GREET;

	(void) state;
	assert_int_equal(tg_link_step(TG_LINK_OFFLINE, TG_LINK_EV_CONNECTED, &next, &action), -EPROTO);
	assert_int_equal(tg_link_step(TG_LINK_CONNECTING, TG_LINK_EV_GREETED, &next, &action), -EPROTO);
	assert_int_equal(tg_link_step(TG_LINK_ENDED, TG_LINK_EV_DUE, &next, &action), -EPROTO);
	assert_int_equal(next, TG_LINK_CLOSING);
	assert_int_equal(action, TG_LINK_ACT_GREET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_greets_before_it_publishes),
		cmocka_unit_test(a_change_says_goodbye_and_connects_again_at_once),
		cmocka_unit_test(every_state_can_be_stopped_and_ends),
		cmocka_unit_test(every_state_survives_a_failure_and_a_change),
		cmocka_unit_test(nonsense_leaves_the_outputs_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
