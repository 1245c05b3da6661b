/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/gpio_read.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static struct tg_gpio_read parsed(const char *text)
{
	struct tg_gpio_read read;
	struct tg_fault why;

	if (tg_gpio_read_parse(text, &read, &why) < 0)
		fail_msg("%s: %s", text, why.text);
	return read;
}

static void a_line_is_an_input_known_by_number_or_name(void **state)
{
	struct tg_gpio_read r = parsed("line 17");

	(void) state;
	assert_string_equal(r.line.name, "");
	assert_int_equal(r.line.offset, 17);
	assert_false(r.line.output);
	assert_int_equal(r.edges, 0);
	assert_int_equal(r.count, 0);
	r = parsed("line GPIO17 input");
	assert_string_equal(r.line.name, "GPIO17");
	assert_int_equal(r.line.offset, 0);
	assert_string_equal(parsed("line 3V3_OK pull-down").line.name, "3V3_OK");
}

static void words_say_how_it_is_wired_and_what_is_told(void **state)
{
	struct tg_gpio_read r = parsed("line 4 edge=both pull-up active-low debounce=5ms");

	(void) state;
	assert_true(r.line.active_low);
	assert_int_equal(r.line.bias, TG_GPIO_PULL_UP);
	assert_int_equal(r.line.debounce_us, 5000);
	assert_int_equal(r.edges, TG_GPIO_RISING | TG_GPIO_FALLING);
	r = parsed("line 4 count=falling no-pull");
	assert_int_equal(r.count, TG_GPIO_FALLING);
	assert_int_equal(r.line.bias, TG_GPIO_NO_PULL);
	r = parsed("line 4 output open-drain pull-up");
	assert_true(r.line.output);
	assert_int_equal(r.line.drive, TG_GPIO_OPEN_DRAIN);
	assert_int_equal(parsed("line 4 output open-source").line.drive, TG_GPIO_OPEN_SOURCE);
	assert_int_equal(parsed("line 4 pull-down edge=rising").edges, TG_GPIO_RISING);
}

static void what_makes_no_sense_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", "begins with 'line'" },
		{ "17", "begins with 'line'" },
		{ "line", "a number or a name is missing" },
		{ "line 65536", "is not 0 to 65535" },
		{ "line 99999999999999999999", "is not 0 to 65535" },
		{ "line abcdefghijklmnopqrstuvwxyz0123456789", "up to 31 bytes" },
		{ "line 1 imput", "did you mean 'input'?" },
		{ "line 1 pull-up pull-down", "on top of another" },
		{ "line 1 input output", "on top of another" },
		{ "line 1 input input", "on top of another" },
		{ "line 1 active-low active-low", "on top of another" },
		{ "line 1 output open-drain open-source", "on top of another" },
		{ "line 1 open-drain", "for outputs" },
		{ "line 1 edge=up", "edge 'up'" },
		{ "line 1 edge=both edge=both", "edge= stands once" },
		{ "line 1 count=rising count=both", "count= stands once" },
		{ "line 1 edge=both count=both", "are two points" },
		{ "line 1 output edge=both", "an output has no edge=" },
		{ "line 1 output count=both", "an output has no edge=" },
		{ "line 1 output debounce=5ms", "an output has no edge=" },
		{ "line 1 debounce=5", "not a duration from 1us to 1s" },
		{ "line 1 debounce=0s", "not a duration from 1us to 1s" },
		{ "line 1 debounce=2s", "not a duration from 1us to 1s" },
		{ "line 1 debounce=1ms debounce=1ms", "given once" },
		{ "line 1 colour=red", "has no place here" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_gpio_read read = { .count = 77 };
		struct tg_fault why = { .text = "" };

		if (tg_gpio_read_parse(cases[i].text, &read, &why) != -EINVAL)
			fail_msg("'%s' was taken", cases[i].text);
		assert_int_equal(read.count, 77);
		if (!strstr(why.text, cases[i].reason))
			fail_msg("'%s': %s", cases[i].text, why.text);
		assert_int_equal(tg_gpio_read_parse(cases[i].text, &read, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_an_input_known_by_number_or_name),
		cmocka_unit_test(words_say_how_it_is_wired_and_what_is_told),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
