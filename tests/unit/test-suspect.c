/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/suspect.h"
#include "test.h"

/* A session in which @seq was alone in flight when the broker ended it. */
static void end_with(struct tg_suspect *s, uint64_t seq, const char *device)
{
	tg_suspect_handed(s, TG_STREAM_REPLAY, seq, device);
	tg_suspect_ended(s, &seq, 1);
}

static enum tg_suspect_view view(const struct tg_suspect *s, uint64_t seq, const char *device)
{
	return tg_suspect_look(s, TG_STREAM_REPLAY, seq, device);
}

static void ack(struct tg_suspect *s, uint64_t seq, const char *device)
{
	tg_suspect_handed(s, TG_STREAM_REPLAY, seq, device);
	tg_suspect_acked(s, seq);
}

/* Pack 7 of the boiler was in flight, with others, at three ends. */
static struct tg_suspect careful(void)
{
	static const uint64_t sessions[][3] = { { 5, 6, 7 }, { 6, 7, 8 }, { 7, 8, 9 } };
	struct tg_suspect s = TG_SUSPECT_INIT;

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(tg_suspect_window(&s, 32), 32);
		tg_suspect_ended(&s, sessions[i], 3);
	}
	return s;
}

static struct tg_suspect holding(void)
{
	struct tg_suspect s = careful();

	for (unsigned i = 0; i < TG_SUSPECT_ALONE; i++) {
		assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_GO);
		end_with(&s, 7, "boiler");
	}
	return s;
}

static void sends_one_at_a_time_after_three_ends_with_the_same_pack(void **state)
{
	struct tg_suspect s = careful();

	(void) state;
	assert_int_equal(tg_suspect_window(&s, 32), 1);
	assert_int_equal(tg_suspect_window(&s, 0), 0);
	/* It was innocent. */
	ack(&s, 6, "boiler");
	assert_int_equal(tg_suspect_window(&s, 32), 1);
	ack(&s, 7, "boiler");
	assert_int_equal(tg_suspect_window(&s, 32), 32);
}

static void suspects_nothing_while_packs_get_through(void **state)
{
	struct tg_suspect s = TG_SUSPECT_INIT;

	(void) state;
	for (uint64_t i = 0; i < 100; i++) {
		const uint64_t out[] = { i * 2, i * 2 + 1, i * 2 + 2, i * 2 + 3 };

		tg_suspect_ended(&s, out, 4);
		assert_int_equal(tg_suspect_window(&s, 32), 32);
	}
}

static void an_acknowledgement_clears_a_pack(void **state)
{
	static const uint64_t out[] = { 7, 8 };
	struct tg_suspect s = TG_SUSPECT_INIT;

	(void) state;
	for (int i = 0; i < 10; i++) {
		tg_suspect_ended(&s, out, 2);
		tg_suspect_ended(&s, out, 2);
		tg_suspect_acked(&s, 7);
		tg_suspect_acked(&s, 8);
		assert_false(s.careful);
	}
}

static void ends_without_packs_say_nothing(void **state)
{
	struct tg_suspect s = TG_SUSPECT_INIT;

	(void) state;
	for (int i = 0; i < 10; i++)
		tg_suspect_ended(&s, NULL, 0);
	assert_false(s.careful);
	s = holding();
	tg_suspect_ended(&s, NULL, 0);
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_SKIP);
}

static void holds_what_was_alone_at_three_ends_and_its_device_back(void **state)
{
	struct tg_suspect s = holding();

	(void) state;
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_SKIP);
	assert_int_equal(view(&s, 8, "boiler"), TG_SUSPECT_LATER);
	assert_int_equal(view(&s, 6, "boiler"), TG_SUSPECT_GO);
	assert_int_equal(view(&s, 8, "meter"), TG_SUSPECT_GO);
	assert_int_equal(tg_suspect_look(&s, TG_STREAM_LIVE, 8, "boiler"), TG_SUSPECT_GO);
}

static void condemns_what_fails_again_while_another_gets_through(void **state)
{
	struct tg_suspect s = holding();

	(void) state;
	ack(&s, 8, "meter");
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_GO);
	assert_int_equal(view(&s, 9, "boiler"), TG_SUSPECT_LATER);
	assert_int_equal(tg_suspect_window(&s, 32), 1);
	end_with(&s, 7, "boiler");
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_ASIDE);
	assert_int_equal(view(&s, 9, "boiler"), TG_SUSPECT_GO);
	tg_suspect_gone(&s, 7);
	assert_int_equal(tg_suspect_window(&s, 32), 32);
}

static void acquits_what_gets_through_after_all(void **state)
{
	struct tg_suspect s = holding();

	(void) state;
	ack(&s, 8, "meter");
	ack(&s, 7, "boiler");
	assert_int_equal(view(&s, 9, "boiler"), TG_SUSPECT_GO);
	assert_int_equal(tg_suspect_window(&s, 32), 32);
}

static void condemns_at_once_what_a_later_one_of_its_stream_has_passed(void **state)
{
	struct tg_suspect s = holding();

	(void) state;
	ack(&s, 8, "boiler");
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_ASIDE);

	/* Another stream has an order of its own. */
	s = holding();
	tg_suspect_handed(&s, TG_STREAM_LIVE, 8, "boiler");
	tg_suspect_acked(&s, 8);
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_GO);
}

/* Each of them alone, as often as it takes to be held. */
static unsigned hold_in_turn(struct tg_suspect *s, uint64_t first, unsigned most)
{
	unsigned ends = 0;

	for (uint64_t seq = first; ends < most; seq++) {
		while (view(s, seq, "boiler") != TG_SUSPECT_SKIP && ends < most) {
			unsigned held = (unsigned) s->n_held;

			end_with(s, seq, "boiler");
			ends++;
			if (s->n_held < held)
				return ends;
		}
	}
	return ends;
}

static void a_broker_that_takes_none_is_not_the_packs_fault(void **state)
{
	struct tg_suspect s = careful();

	(void) state;
	assert_false(s.refused);
	assert_int_equal(hold_in_turn(&s, 7, 100) + TG_SUSPECT_ENDS, TG_SUSPECT_REFUSED_ENDS);
	assert_true(s.refused);
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_GO);
	assert_int_equal(tg_suspect_window(&s, 32), 1);
	/* The oldest is tried for long, then twice as many. */
	for (unsigned i = 0; i < TG_SUSPECT_PATIENCE; i++)
		end_with(&s, 7, "boiler");
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_GO);
	assert_int_equal(hold_in_turn(&s, 7, 100), 2 * TG_SUSPECT_HELD);
	assert_true(s.refused);
	assert_int_equal(view(&s, 7, "boiler"), TG_SUSPECT_GO);
	ack(&s, 7, "boiler");
	assert_false(s.refused);
	assert_int_equal(tg_suspect_window(&s, 32), 32);
}

static void holds_a_bounded_number_however_long_it_lasts(void **state)
{
	struct tg_suspect s = careful();

	(void) state;
	for (int i = 0; i < 5000; i++) {
		uint64_t seq = 7;

		while (view(&s, seq, "boiler") == TG_SUSPECT_SKIP)
			seq++;
		assert_in_range(seq, 7, 7 + TG_SUSPECT_HELD_MAX);
		end_with(&s, seq, "boiler");
		assert_int_not_equal(view(&s, seq, "boiler"), TG_SUSPECT_ASIDE);
		assert_true(s.n_held < TG_SUSPECT_HELD_MAX);
	}
	assert_true(s.refused);
}

static void gets_past_many_bad_ones_in_a_row(void **state)
{
	struct tg_suspect s = careful();
	unsigned ends = 0;

	(void) state;
	/* 7 to 16 are bad, all others good. */
	for (uint64_t seq = 7; ends < 200; seq = 7) {
		while (seq <= 16 && view(&s, seq, "boiler") == TG_SUSPECT_SKIP)
			seq++;
		if (seq == 17)
			break;
		end_with(&s, seq, "boiler");
		ends++;
	}
	assert_true(ends < 60);
	ack(&s, 17, "boiler");
	for (uint64_t seq = 7; seq <= 16; seq++) {
		assert_int_equal(view(&s, seq, "boiler"), TG_SUSPECT_ASIDE);
		tg_suspect_gone(&s, seq);
	}
	assert_int_equal(tg_suspect_window(&s, 32), 32);
}

static void suspects_that_never_come_again_are_forgotten(void **state)
{
	struct tg_suspect s = careful();

	(void) state;
	for (uint64_t i = 0; i + 1 < TG_SUSPECT_CAREFUL_ACKS; i++) {
		ack(&s, 100 + i, "meter");
		assert_int_equal(tg_suspect_window(&s, 32), 1);
	}
	ack(&s, 99, "meter");
	assert_int_equal(tg_suspect_window(&s, 32), 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_one_at_a_time_after_three_ends_with_the_same_pack),
		cmocka_unit_test(suspects_nothing_while_packs_get_through),
		cmocka_unit_test(an_acknowledgement_clears_a_pack),
		cmocka_unit_test(ends_without_packs_say_nothing),
		cmocka_unit_test(holds_what_was_alone_at_three_ends_and_its_device_back),
		cmocka_unit_test(condemns_what_fails_again_while_another_gets_through),
		cmocka_unit_test(acquits_what_gets_through_after_all),
		cmocka_unit_test(condemns_at_once_what_a_later_one_of_its_stream_has_passed),
		cmocka_unit_test(a_broker_that_takes_none_is_not_the_packs_fault),
		cmocka_unit_test(holds_a_bounded_number_however_long_it_lasts),
		cmocka_unit_test(gets_past_many_bad_ones_in_a_row),
		cmocka_unit_test(suspects_that_never_come_again_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
