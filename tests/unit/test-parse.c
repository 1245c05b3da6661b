/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <locale.h>
#include <tidegate/cleanup.h>

#define REFUSES(fn, text, error)                                                                   \
	do {                                                                                       \
		int r_ = fn(text, &out);                                                           \
		if (r_ != (error))                                                                 \
			fail_msg(#fn "(\"%s\") gave %d", text, r_);                                \
	} while (0)

static void numbers_are_whole_strings(void **state)
{
	static const char *const bad[] = { "",   " ",   "+1",  "1 ", " 1",  "1x",
					   "0x", "0xg", "--1", "-1", "1.0", "1e3" };
	uint64_t out = 7;
	int64_t signed_out = 7;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
		REFUSES(tg_parse_u64, bad[i], -EINVAL);
	REFUSES(tg_parse_u64, "18446744073709551616", -ERANGE);
	REFUSES(tg_parse_u64, "0x10000000000000000", -ERANGE);
	assert_int_equal(out, 7);
	assert_int_equal(tg_parse_u64("18446744073709551615", &out), 0);
	assert_true(out == UINT64_MAX);
	assert_int_equal(tg_parse_u64("0x81000001", &out), 0);
	assert_int_equal(out, 0x81000001);
	assert_int_equal(tg_parse_i64("-9223372036854775808", &signed_out), 0);
	assert_true(signed_out == INT64_MIN);
	assert_int_equal(tg_parse_i64("9223372036854775808", &signed_out), -ERANGE);
	assert_int_equal(tg_parse_i64("-9223372036854775809", &signed_out), -ERANGE);
}

static void reals_are_finite_decimals_in_any_locale(void **state)
{
	static const char *const bad[] = { "",     "nan", "inf", "0x1p3", "1,5",
					   "1.5 ", "+1",  "e",   ".",     "1e" };
	double out = 7;

	(void) state;
	/* Where the locale is not installed the second turn runs under "C" too. */
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
			REFUSES(tg_parse_real, bad[i], -EINVAL);
		REFUSES(tg_parse_real, "1e400", -ERANGE);
		assert_int_equal(tg_parse_real("-0.25", &out), 0);
		assert_true(out == -0.25);
		assert_int_equal(tg_parse_real("1e-3", &out), 0);
		assert_true(out == 0.001);
		(void) setlocale(LC_NUMERIC, "de_DE.UTF-8");
	}
	(void) setlocale(LC_NUMERIC, "C");
}

static void durations_need_a_unit(void **state)
{
	uint64_t out = 7;

	(void) state;
	REFUSES(tg_parse_duration, "5", -EINVAL);
	REFUSES(tg_parse_duration, "5 s", -EINVAL);
	REFUSES(tg_parse_duration, "-5s", -EINVAL);
	REFUSES(tg_parse_duration, "s", -EINVAL);
	REFUSES(tg_parse_duration, "1.5s", -EINVAL);
	REFUSES(tg_parse_duration, "5sec", -EINVAL);
	REFUSES(tg_parse_duration, "213503983d", -ERANGE);
	assert_int_equal(out, 7);
	assert_int_equal(tg_parse_duration("0", &out), 0);
	assert_int_equal(out, 0);
	assert_int_equal(tg_parse_duration("250ms", &out), 0);
	assert_int_equal(out, 250000);
	assert_int_equal(tg_parse_duration("7d", &out), 0);
	assert_true(out == UINT64_C(7) * 86400 * 1000000);
	assert_int_equal(tg_parse_duration("10m", &out), 0);
	assert_int_equal(out, 600 * 1000000);
}

static void sizes_and_percentages_have_their_units(void **state)
{
	uint64_t size = 7;
	double out = 7;

	(void) state;
	assert_int_equal(tg_parse_size("64K", &size), 0);
	assert_int_equal(size, 65536);
	assert_int_equal(tg_parse_size("256M", &size), 0);
	assert_int_equal(size, 256 << 20);
	assert_int_equal(tg_parse_size("512", &size), 0);
	assert_int_equal(size, 512);
	assert_int_equal(tg_parse_size("17179869184G", &size), -ERANGE);
	assert_int_equal(tg_parse_size("1k", &size), -EINVAL);
	assert_int_equal(tg_parse_percent("66%", &out), 0);
	assert_true(out == 66);
	REFUSES(tg_parse_percent, "66", -EINVAL);
	REFUSES(tg_parse_percent, "%", -EINVAL);
	REFUSES(tg_parse_percent, "101%", -ERANGE);
	REFUSES(tg_parse_percent, "-1%", -ERANGE);
}

static void booleans_are_words(void **state)
{
	bool out = false;

	(void) state;
	assert_int_equal(tg_parse_bool("yes", &out), 0);
	assert_true(out);
	assert_int_equal(tg_parse_bool("off", &out), 0);
	assert_false(out);
	REFUSES(tg_parse_bool, "maybe", -EINVAL);
	REFUSES(tg_parse_bool, "", -EINVAL);
}

static void distance_counts_edits_up_to_the_cap(void **state)
{
	(void) state;
	assert_int_equal(tg_parse_distance("endpoint", "endpoint", 3), 0);
	assert_int_equal(tg_parse_distance("endpiont", "endpoint", 3), 2);
	assert_int_equal(tg_parse_distance("adress", "address", 3), 1);
	assert_int_equal(tg_parse_distance("", "abc", 9), 3);
	assert_int_equal(tg_parse_distance("completely", "different!", 3), 4);
}

static void utf8_is_shortest_form_and_whole(void **state)
{
	static const struct {
		const char *bytes;
		size_t len, want;
	} cases[] = {
		{ "a", 1, 1 },
		{ "\0", 1, 1 },
		{ "\xc3\xa4", 2, 2 },
		{ "\xc3\xa4", 1, 0 }, /* cut */
		{ "\xc3\x28", 2, 0 },
		{ "\x80", 1, 0 },
		{ "\xc0\xaf", 2, 0 }, /* overlong '/' */
		{ "\xe0\x9f\xbf", 3, 0 },
		{ "\xe2\x82\xac", 3, 3 },
		{ "\xe2\x82", 2, 0 },
		{ "\xed\x9f\xbf", 3, 3 },
		{ "\xed\xa0\x80", 3, 0 }, /* surrogate */
		{ "\xf0\x8f\xbf\xbf", 4, 0 },
		{ "\xf0\x9f\x98\x80", 4, 4 },
		{ "\xf4\x8f\xbf\xbf", 4, 4 },
		{ "\xf4\x90\x80\x80", 4, 0 }, /* past U+10FFFF */
		{ "\xff\xff\xff\xff", 4, 0 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++)
		assert_int_equal(tg_utf8_length(cases[i].bytes, cases[i].len), cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_is_shortest_form_and_whole),
		cmocka_unit_test(numbers_are_whole_strings),
		cmocka_unit_test(reals_are_finite_decimals_in_any_locale),
		cmocka_unit_test(durations_need_a_unit),
		cmocka_unit_test(sizes_and_percentages_have_their_units),
		cmocka_unit_test(booleans_are_words),
		cmocka_unit_test(distance_counts_edits_up_to_the_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
