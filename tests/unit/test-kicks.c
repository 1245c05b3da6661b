/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/kicks.h"
#include "agent/spool/suspect.h"
#include "test.h"

#define SECOND UINT64_C(1000000)

static const struct tg_kicks_end kick = {
	.lasted_us = 12 * SECOND, .by_peer = true, .packs = true, .acked = true
};
static const struct tg_kicks_end poison = {
	.lasted_us = 2 * SECOND, .by_peer = true, .packs = true, .again = true, .acked = true
};
static const struct tg_kicks_end denial = {
	.lasted_us = SECOND, .by_peer = true, .packs = true, .again = true
};
static const struct tg_kicks_end network = { .lasted_us = 12 * SECOND,
					     .packs = true,
					     .acked = true };

static void short_sessions_that_the_broker_ends_mean_another_client(void **state)
{
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	for (unsigned i = 1; i < TG_KICKS_RIVAL; i++)
		assert_int_equal(tg_kicks_ended(&k, &kick), TG_KICKS_NOTHING);
	assert_int_equal(tg_kicks_ended(&k, &kick), TG_KICKS_CLIENT_ID);
	/* Told once, however long it lasts. */
	for (int i = 0; i < 100; i++)
		assert_int_equal(tg_kicks_ended(&k, &kick), TG_KICKS_NOTHING);
	assert_int_equal(k.word, TG_KICKS_CLIENT_ID);
}

static void a_pack_that_was_there_each_time_is_no_other_client(void **state)
{
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(tg_kicks_ended(&k, &poison), TG_KICKS_NOTHING);
	assert_int_equal(k.word, TG_KICKS_NOTHING);
}

static void a_broker_that_takes_nothing_is_no_other_client(void **state)
{
	struct tg_kicks_end first = denial;
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	/* One at a time, each its first. */
	first.again = false;
	for (unsigned i = 1; i < TG_SUSPECT_REFUSED_ENDS; i++)
		assert_int_equal(tg_kicks_ended(&k, &first), TG_KICKS_NOTHING);
	assert_int_equal(tg_kicks_ended(&k, &first), TG_KICKS_READINGS);
}

static void a_bad_network_is_no_other_client(void **state)
{
	struct tg_kicks_end event = kick;
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	event.excused = true;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(tg_kicks_ended(&k, &network), TG_KICKS_NOTHING);
		assert_int_equal(tg_kicks_ended(&k, &event), TG_KICKS_NOTHING);
	}
}

/* A router that forgets connections after half a minute: each next ping, or pack, is answered by a reset. */
static void a_router_that_forgets_connections_is_no_other_client(void **state)
{
	struct tg_kicks_end forgotten = kick;
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	forgotten.forgotten = true;
	for (int i = 0; i < 100; i++) {
		forgotten.packs = i % 2;
		assert_int_equal(tg_kicks_ended(&k, &forgotten), TG_KICKS_NOTHING);
	}
	/* Nor does it say that there is none. */
	for (unsigned i = 1; i < TG_KICKS_RIVAL; i++) {
		assert_int_equal(tg_kicks_ended(&k, &kick), TG_KICKS_NOTHING);
		assert_int_equal(tg_kicks_ended(&k, &forgotten), TG_KICKS_NOTHING);
	}
	assert_int_equal(tg_kicks_ended(&k, &kick), TG_KICKS_CLIENT_ID);
}

static void a_session_that_lasts_begins_anew(void **state)
{
	struct tg_kicks_end stable = kick;
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	stable.lasted_us = TG_KICKS_STABLE_US;
	for (int i = 0; i < 100; i++) {
		assert_false(tg_kicks_is_stable(&k, &kick));
		assert_int_equal(tg_kicks_ended(&k, &kick), TG_KICKS_NOTHING);
		assert_int_equal(tg_kicks_ended(&k, &kick), TG_KICKS_NOTHING);
		assert_true(tg_kicks_is_stable(&k, &stable));
		assert_int_equal(tg_kicks_ended(&k, &stable), TG_KICKS_NOTHING);
	}
}

/* Or the two would begin anew at each other's long pauses. */
static void a_rival_must_be_away_for_longer_than_its_longest_pause(void **state)
{
	struct tg_kicks_end end = kick;
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	for (unsigned i = 0; i < TG_KICKS_RIVAL; i++)
		(void) tg_kicks_ended(&k, &kick);
	end.lasted_us = TG_KICKS_CAP_US + SECOND;
	assert_false(tg_kicks_is_stable(&k, &end));
	assert_false(tg_kicks_lasts(&k, end.lasted_us, true));
	assert_int_equal(tg_kicks_ended(&k, &end), TG_KICKS_NOTHING);
	assert_int_equal(k.word, TG_KICKS_CLIENT_ID);
	end.lasted_us = TG_KICKS_PEACE_US;
	assert_true(tg_kicks_is_stable(&k, &end));
	assert_true(tg_kicks_lasts(&k, end.lasted_us, true));
	assert_int_equal(k.word, TG_KICKS_NOTHING);
	assert_false(tg_kicks_lasts(&k, end.lasted_us, true));
}

static void a_broker_that_takes_no_reading_is_told_when_the_packs_are_released(void **state)
{
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	for (unsigned i = 1; i < TG_SUSPECT_REFUSED_ENDS; i++)
		assert_int_equal(tg_kicks_ended(&k, &denial), TG_KICKS_NOTHING);
	assert_int_equal(tg_kicks_cap_us(&k), TG_KICKS_CAP_US);
	assert_int_equal(tg_kicks_ended(&k, &denial), TG_KICKS_READINGS);
	assert_int_equal(tg_kicks_ended(&k, &denial), TG_KICKS_NOTHING);
	assert_int_equal(tg_kicks_cap_us(&k), TG_KICKS_READINGS_US);
	assert_false(tg_kicks_lasts(&k, 9999 * SECOND, false));
	assert_true(tg_kicks_lasts(&k, SECOND, true));
	assert_int_equal(tg_kicks_cap_us(&k), TG_KICKS_CAP_US);
}

static void one_acknowledgement_shows_that_readings_are_taken(void **state)
{
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	for (int i = 0; i < 20; i++) {
		for (unsigned n = 1; n < TG_SUSPECT_REFUSED_ENDS; n++)
			assert_int_equal(tg_kicks_ended(&k, &denial), TG_KICKS_NOTHING);
		assert_int_equal(tg_kicks_ended(&k, &poison), TG_KICKS_NOTHING);
	}
}

static void a_broker_that_never_answers_takes_no_readings_either(void **state)
{
	struct tg_kicks_end end = denial;
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	end.by_peer = false;
	end.unanswered = true;
	for (unsigned i = 1; i < TG_SUSPECT_REFUSED_ENDS; i++)
		assert_int_equal(tg_kicks_ended(&k, &end), TG_KICKS_NOTHING);
	assert_int_equal(tg_kicks_ended(&k, &end), TG_KICKS_READINGS);
}

static void a_client_that_was_seen_is_told_at_once_and_once(void **state)
{
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	assert_true(tg_kicks_seen(&k));
	assert_false(tg_kicks_seen(&k));
	for (int i = 0; i < 10; i++)
		assert_int_equal(tg_kicks_ended(&k, &kick), TG_KICKS_NOTHING);
	assert_true(tg_kicks_lasts(&k, TG_KICKS_PEACE_US, false));
	assert_true(tg_kicks_seen(&k));
}

static void an_idle_session_can_be_stable(void **state)
{
	const struct tg_kicks_end idle = { .lasted_us = TG_KICKS_STABLE_US, .by_peer = true };
	const struct tg_kicks_end deaf = { .lasted_us = TG_KICKS_STABLE_US,
					   .by_peer = true,
					   .packs = true };
	struct tg_kicks k = TG_KICKS_INIT;

	(void) state;
	assert_true(tg_kicks_is_stable(&k, &idle));
	assert_false(tg_kicks_is_stable(&k, &deaf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_sessions_that_the_broker_ends_mean_another_client),
		cmocka_unit_test(a_pack_that_was_there_each_time_is_no_other_client),
		cmocka_unit_test(a_broker_that_takes_nothing_is_no_other_client),
		cmocka_unit_test(a_bad_network_is_no_other_client),
		cmocka_unit_test(a_router_that_forgets_connections_is_no_other_client),
		cmocka_unit_test(a_session_that_lasts_begins_anew),
		cmocka_unit_test(a_rival_must_be_away_for_longer_than_its_longest_pause),
		cmocka_unit_test(
			a_broker_that_takes_no_reading_is_told_when_the_packs_are_released),
		cmocka_unit_test(one_acknowledgement_shows_that_readings_are_taken),
		cmocka_unit_test(a_broker_that_never_answers_takes_no_readings_either),
		cmocka_unit_test(a_client_that_was_seen_is_told_at_once_and_once),
		cmocka_unit_test(an_idle_session_can_be_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
