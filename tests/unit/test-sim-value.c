/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/sim/sim_value.h"

#include "tests/unit/test.h"

#include <math.h>
#include <string.h>

#define S UINT64_C(1000000)

static char room[TG_TEXT_MAX + 1];

static struct tg_sample reading(const struct tg_sim_read *r, struct tg_sim_state *state,
				uint64_t elapsed)
{
	struct tg_sample s = { .quality = TG_BAD };

	tg_sim_value(r, state, elapsed, 3, room, &s);
	return s;
}

static double real(enum tg_sim_form form, uint64_t elapsed)
{
	const struct tg_sim_read r = { .form = form, .period_us = 60 * S, .low = -10, .high = 10 };
	struct tg_sim_state state = { 0 };
	struct tg_sample s = reading(&r, &state, elapsed);

	assert_true(s.quality == TG_GOOD && s.value.type == TG_VALUE_REAL);
	return s.value.real;
}

static void signals_follow_their_period(void **state)
{
	(void) state;
	assert_true(fabs(real(TG_SIM_SINE, 0)) < 1e-9);
	assert_true(fabs(real(TG_SIM_SINE, 15 * S) - 10) < 1e-9);
	assert_true(fabs(real(TG_SIM_SINE, 45 * S) + 10) < 1e-9);
	assert_true(fabs(real(TG_SIM_SINE, 86400 * S + 15 * S) - 10) < 1e-9);
	assert_true(fabs(real(TG_SIM_RAMP, 30 * S)) < 1e-9);
	assert_true(real(TG_SIM_RAMP, 60 * S) == -10);
	assert_true(real(TG_SIM_SQUARE, 29 * S) == -10 && real(TG_SIM_SQUARE, 30 * S) == 10);
}

static void random_numbers_stay_between_and_repeat_with_their_seed(void **state)
{
	const struct tg_sim_read r = { .form = TG_SIM_RANDOM, .low = 5, .high = 6, .seed = 7 };
	struct tg_sim_state one = { 0 }, two = { 0 };
	double sum = 0;

	(void) state;
	for (unsigned i = 0; i < 1000; i++) {
		double v = reading(&r, &one, 0).value.real;

		assert_true(v >= 5 && v < 6 && v == reading(&r, &two, 9).value.real);
		sum += v;
	}
	assert_true(fabs(sum / 1000 - 5.5) < 0.05);
}

static void a_counter_wraps_at_its_bits(void **state)
{
	const struct tg_sim_read r = {
		.form = TG_SIM_COUNTER, .step = 3, .start = 65530, .bits = 16
	};
	struct tg_sim_state s = { 0 };
	static const uint64_t wanted[] = { 65530, 65533, 0, 3 };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wanted); i++)
		assert_int_equal(reading(&r, &s, 0).value.u, wanted[i]);
}

static void constants_have_the_type_that_they_are_written_in(void **state)
{
	struct tg_sim_read r = { .form = TG_SIM_CONSTANT, .low = 5 };
	struct tg_sim_state s = { 0 };

	(void) state;
	assert_true(reading(&r, &s, 0).value.type == TG_VALUE_INT);
	r.low = 5.5;
	assert_true(reading(&r, &s, 0).value.real == 5.5);
	r.truth = true;
	assert_true(reading(&r, &s, 0).value.b);
	s.written = true;
	s.value = (struct tg_value){ .type = TG_VALUE_BOOL, .b = false };
	assert_false(reading(&r, &s, 0).value.b);
	r.form = TG_SIM_WRITES;
	assert_int_equal(reading(&r, &s, 0).value.u, 3);
}

static void texts_are_copied_and_faults_come_in_turn(void **state)
{
	const struct tg_sim_read r = { .form = TG_SIM_TEXT, .text = "on\"", .text_len = 2 };
	const struct tg_sim_read faulty = { .form = TG_SIM_COUNTER, .bits = 64, .bad_every = 3 };
	struct tg_sim_state s = { 0 }, f = { 0 };

	(void) state;
	assert_string_equal(reading(&r, &s, 0).value.text, "on");
	s.written = true;
	s.value = (struct tg_value){ .type = TG_VALUE_TEXT, .text = "off" };
	assert_string_equal(reading(&r, &s, 0).value.text, "off");
	for (unsigned i = 1; i <= 9; i++)
		assert_int_equal(reading(&faulty, &f, 0).quality, i % 3 ? TG_GOOD : TG_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_follow_their_period),
		cmocka_unit_test(random_numbers_stay_between_and_repeat_with_their_seed),
		cmocka_unit_test(a_counter_wraps_at_its_bits),
		cmocka_unit_test(constants_have_the_type_that_they_are_written_in),
		cmocka_unit_test(texts_are_copied_and_faults_come_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
