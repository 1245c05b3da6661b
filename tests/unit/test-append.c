/* SPDX-License-Identifier: Apache-2.0 */
#include "base/append.h"

#include "tests/unit/test.h"

#include <string.h>

static void words_follow_each_other(void **state)
{
	char out[16] = "";

	(void) state;
	tg_append(out, sizeof(out), "%s", "one");
	tg_append(out, sizeof(out), ", %d", 2);
	assert_string_equal(out, "one, 2");
}

static void what_does_not_fit_is_cut_off(void **state)
{
	char out[9] = "ab......";

	(void) state;
	out[2] = '\0';
	tg_append(out, 6, "%s", "cdefgh");
	assert_string_equal(out, "abcde");
	tg_append(out, 6, "%s", "more");
	assert_string_equal(out, "abcde");
	/* Nothing behind it. */
	assert_memory_equal(out + 6, "..", 3);
}

static void a_text_without_an_end_is_left_alone(void **state)
{
	char out[4] = { 'a', 'b', 'c', 'd' };

	(void) state;
	tg_append(out, sizeof(out), "x");
	tg_append(out, 0, "x");
	assert_memory_equal(out, "abcd", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_follow_each_other),
		cmocka_unit_test(what_does_not_fit_is_cut_off),
		cmocka_unit_test(a_text_without_an_end_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
