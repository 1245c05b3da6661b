/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

static void the_bound_is_exact_and_the_error_sticks(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(5);

	(void) state;
	assert_string_equal(tg_buffer_text(&b), "");
	tg_buffer_adds(&b, "abc");
	tg_buffer_addf(&b, "%d", 42);
	assert_int_equal(tg_buffer_error(&b), 0);
	assert_string_equal(tg_buffer_text(&b), "abc42");
	tg_buffer_addc(&b, 'x');
	assert_int_equal(tg_buffer_error(&b), -EMSGSIZE);
	tg_buffer_adds(&b, "");
	assert_string_equal(tg_buffer_text(&b), "abc42");
	tg_buffer_reset(&b);
	tg_buffer_adds(&b, "again");
	assert_int_equal(tg_buffer_error(&b), 0);
	assert_string_equal(tg_buffer_text(&b), "again");
}

static void it_grows_and_stays_terminated(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(100000);

	(void) state;
	for (int i = 0; i < 100000; i++)
		tg_buffer_addc(&b, 'a');
	assert_int_equal(b.len, 100000);
	assert_int_equal(strlen(tg_buffer_text(&b)), 100000);
	tg_buffer_add(&b, "b", 1);
	assert_int_equal(tg_buffer_error(&b), -EMSGSIZE);
}

static void json_strings_are_escaped_and_broken_bytes_replaced(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(1000);

	(void) state;
	tg_buffer_add_json(&b, "a\"b\\c\n\x01\x7f\xc3\xa9\xff\xed\xa0\x80");
	assert_string_equal(tg_buffer_text(&b), "\"a\\\"b\\\\c\\n\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void reals_read_back_as_the_same_double(void **state)
{
	static const double values[] = { 0, -0.0, 0.1, 21.5, 1e21, 1e-7, 1.0 / 3, DBL_MAX, DBL_MIN, DBL_TRUE_MIN, -123456.789 };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(values); i++) {
		tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(100);

		tg_buffer_add_real(&b, values[i]);
		assert_true(strtod(tg_buffer_text(&b), NULL) == values[i]);
	}
}

static void short_reals_stay_short(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(100);

	(void) state;
	tg_buffer_add_real(&b, 0.1);
	tg_buffer_addc(&b, ' ');
	tg_buffer_add_real(&b, 21.5);
	assert_string_equal(tg_buffer_text(&b), "0.1 21.5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bound_is_exact_and_the_error_sticks),
		cmocka_unit_test(it_grows_and_stays_terminated),
		cmocka_unit_test(json_strings_are_escaped_and_broken_bytes_replaced),
		cmocka_unit_test(reals_read_back_as_the_same_double),
		cmocka_unit_test(short_reals_stay_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
