/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/text.h"

#include "tests/unit/test.h"

#include <string.h>

static struct tg_text_room room;

static struct tg_sample read_as(enum tg_text_kind kind, const char *text)
{
	const struct tg_text_form form = { .kind = kind };
	struct tg_sample s = { .quality = TG_STALE };

	tg_text_read(&form, text, strlen(text), &room, &s);
	return s;
}

static void integers_stay_integers(void **state)
{
	(void) state;
	assert_int_equal(read_as(TG_TEXT_NUMBER, "-40").value.type, TG_VALUE_INT);
	assert_int_equal(read_as(TG_TEXT_NUMBER, "-40").value.i, -40);
	assert_int_equal(read_as(TG_TEXT_NUMBER, "+007").value.i, 7);
	assert_int_equal(read_as(TG_TEXT_NUMBER, "18446744073709551615").value.type, TG_VALUE_UINT);
	assert_true(read_as(TG_TEXT_NUMBER, "18446744073709551615").value.u == UINT64_MAX);
	assert_int_equal(read_as(TG_TEXT_NUMBER, "18446744073709551616").value.type, TG_VALUE_REAL);
}

static void fractions_and_exponents_make_real_numbers(void **state)
{
	static const struct {
		const char *text;
		double want;
	} cases[] = {
		{ "21.5", 21.5 }, { ".5", 0.5 }, { "-1.", -1 }, { "1e3", 1000 }, { "2.5E-1", 0.25 }
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_sample s = read_as(TG_TEXT_NUMBER, cases[i].text);

		assert_int_equal(s.quality, TG_GOOD);
		assert_int_equal(s.value.type, TG_VALUE_REAL);
		assert_true(s.value.real == cases[i].want);
	}
}

static void a_unit_behind_a_number_is_let_pass(void **state)
{
	static const char *const texts[] = { " 21.5 C\r\n", "21.5%", "21.5\xc2\xb0\x43",
					     "21.5 m/s" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
		assert_int_equal(read_as(TG_TEXT_NUMBER, texts[i]).quality, TG_GOOD);
		assert_true(read_as(TG_TEXT_NUMBER, texts[i]).value.real == 21.5);
	}
}

static void half_a_number_is_none(void **state)
{
	static const char *const texts[] = { "12:30", "1,5", "0x1f", "",
					     "  ",    "-",   ".",    "e5",
					     "nan",   "inf", "-inf", "1e999",
					     "1 2",   "--1", "n/a",  "1 unit too long to be one" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
		struct tg_sample s = read_as(TG_TEXT_NUMBER, texts[i]);

		if (s.quality != TG_BAD || !*s.reason || s.value.type != TG_VALUE_NONE)
			fail_msg("'%s' is a number", texts[i]);
	}
}

static void reasons_quote_what_came_printable_and_cut(void **state)
{
	char text[300];

	(void) state;
	assert_string_equal(read_as(TG_TEXT_NUMBER, "a\x1b[2Jb").reason, "not a number: 'a?[2Jb'");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_true(strlen(read_as(TG_TEXT_NUMBER, text).reason) < 70);
}

static void a_bool_is_one_of_the_usual_words(void **state)
{
	(void) state;
	assert_true(read_as(TG_TEXT_BOOL, "ON").value.b);
	assert_true(read_as(TG_TEXT_BOOL, "Open").value.b);
	assert_int_equal(read_as(TG_TEXT_BOOL, "off").value.type, TG_VALUE_BOOL);
	assert_false(read_as(TG_TEXT_BOOL, "0").value.b);
	assert_int_equal(read_as(TG_TEXT_BOOL, "2").quality, TG_BAD);
	assert_int_equal(read_as(TG_TEXT_BOOL, "").quality, TG_BAD);
}

static void a_bool_may_have_words_of_its_own(void **state)
{
	const struct tg_text_form form = { .on = { "TRIPPED", 7 }, .off = { "ARMED", 5 } };
	struct tg_sample s = { .quality = TG_STALE };

	(void) state;
	tg_text_read(&form, "TRIPPED", 7, &room, &s);
	assert_true(s.quality == TG_GOOD && s.value.b);
	tg_text_read(&form, "ARMED", 5, &room, &s);
	assert_true(s.quality == TG_GOOD && !s.value.b);
	tg_text_read(&form, "on", 2, &room, &s);
	assert_int_equal(s.quality, TG_BAD);
}

static void hexadecimal_has_up_to_16_digits(void **state)
{
	(void) state;
	assert_true(read_as(TG_TEXT_HEX, "1F").value.u == 31);
	assert_true(read_as(TG_TEXT_HEX, "0xffffffffffffffff").value.u == UINT64_MAX);
	assert_int_equal(read_as(TG_TEXT_HEX, "10000000000000000").quality, TG_BAD);
	assert_int_equal(read_as(TG_TEXT_HEX, "0x").quality, TG_BAD);
	assert_int_equal(read_as(TG_TEXT_HEX, "xyz").quality, TG_BAD);
}

static void a_text_is_printable_and_bounded(void **state)
{
	static char text[TG_TEXT_MAX + 2];

	(void) state;
	assert_string_equal(read_as(TG_TEXT_AS_IS, " running\x01 ").value.text, "running?");
	assert_string_equal(read_as(TG_TEXT_AS_IS, "").value.text, "");
	memset(text, 'x', TG_TEXT_MAX);
	assert_int_equal(strlen(read_as(TG_TEXT_AS_IS, text).value.text), TG_TEXT_MAX);
	text[TG_TEXT_MAX] = 'x';
	assert_int_equal(read_as(TG_TEXT_AS_IS, text).quality, TG_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_stay_integers),
		cmocka_unit_test(fractions_and_exponents_make_real_numbers),
		cmocka_unit_test(a_unit_behind_a_number_is_let_pass),
		cmocka_unit_test(half_a_number_is_none),
		cmocka_unit_test(reasons_quote_what_came_printable_and_cut),
		cmocka_unit_test(a_bool_is_one_of_the_usual_words),
		cmocka_unit_test(a_bool_may_have_words_of_its_own),
		cmocka_unit_test(hexadecimal_has_up_to_16_digits),
		cmocka_unit_test(a_text_is_printable_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
