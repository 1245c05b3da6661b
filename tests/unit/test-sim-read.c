/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/sim_read.h"

#include "tests/unit/test.h"

#include <tidegate/sample.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct tg_sim_read read_of(const char *text)
{
	struct tg_sim_read read;
	struct tg_fault why = { .text = "" };

	if (tg_sim_read_parse(text, &read, &why) < 0)
		fail_msg("%s: %s", text, why.text);
	return read;
}

static void refuses(const char *text, const char *reason)
{
	struct tg_sim_read read;
	struct tg_fault why = { .text = "" };

	assert_int_equal(tg_sim_read_parse(text, &read, &why), -EINVAL);
	if (!strstr(why.text, reason))
		fail_msg("%s: '%s' does not say '%s'", text, why.text, reason);
}

static void every_form_has_its_options(void **state)
{
	struct tg_sim_read r;

	(void) state;
	r = read_of("constant -21.5 bad-every=4");
	assert_true(r.form == TG_SIM_CONSTANT && r.low == -21.5 && !r.truth && r.bad_every == 4);
	r = read_of("constant yes");
	assert_true(r.truth && r.low == 1);
	r = read_of(" sine  period=60s low=-1 high=1e3 ");
	assert_true(r.form == TG_SIM_SINE && r.period_us == 60000000 && r.low == -1 &&
		    r.high == 1000);
	r = read_of("square period=250ms bool");
	assert_true(r.form == TG_SIM_SQUARE && r.truth);
	r = read_of("counter");
	assert_true(r.step == 1 && r.start == 0 && r.bits == 64);
	r = read_of("counter start=65530 bits=16 step=3");
	assert_true(r.step == 3 && r.start == 65530 && r.bits == 16);
	r = read_of("random seed=0x10");
	assert_true(r.form == TG_SIM_RANDOM && r.seed == 16 && r.low == 0 && r.high == 1);
	assert_true(read_of("writes").form == TG_SIM_WRITES);
}

static void a_text_goes_to_the_end_with_or_without_quotes(void **state)
{
	struct tg_sim_read r = read_of("text \"two words \"");

	(void) state;
	assert_int_equal(r.text_len, strlen("two words "));
	assert_memory_equal(r.text, "two words ", r.text_len);
	r = read_of("text low=1");
	assert_memory_equal(r.text, "low=1", r.text_len);
	assert_int_equal(read_of("text \"\"").text_len, 0);
	refuses("text \"open", "second quote");
	refuses("text \"", "second quote");
}

static void what_is_wrong_is_said(void **state)
{
	(void) state;
	refuses("", "empty");
	refuses("sime period=1s", "did you mean 'sine'");
	refuses("constant", "missing");
	refuses("constant many", "neither a number");
	refuses("constant nan", "neither a number");
	refuses("sine low=0", "period= is missing");
	refuses("sine period=0s", "no duration");
	refuses("sine period=1s period=2s", "stands there already");
	refuses("sine period=1s bits=3", "no place here");
	refuses("sine period=1s low", "needs a value");
	refuses("square period=1s bool=yes", "stands alone");
	refuses("square period=1s bool low=3", "neither low= nor high=");
	refuses("counter bits=65", "from 1 to 64");
	refuses("counter steps=2", "did you mean 'step'");
	refuses("constant 1 2", "option '2'");
	refuses("constant 111111111111111111111111111111111111111111111111", "too long");
}

static void a_text_is_bounded(void **state)
{
	char text[TG_TEXT_MAX + 8] = "text ";

	(void) state;
	memset(text + 5, 'x', TG_TEXT_MAX + 1);
	text[5 + TG_TEXT_MAX + 1] = '\0';
	refuses(text, "at most");
	text[5 + TG_TEXT_MAX] = '\0';
	assert_int_equal(read_of(text).text_len, TG_TEXT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_has_its_options),
		cmocka_unit_test(a_text_goes_to_the_end_with_or_without_quotes),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(a_text_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
