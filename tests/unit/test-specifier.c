/* SPDX-License-Identifier: Apache-2.0 */
#include "config/specifier.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static const struct tg_specifiers known = {
	.tpm = "0123456789abcdef",
	.id = "gw-1",
	.machine = "m",
	.host = "h",
	.board = "b",
	.device = "boiler",
};

static void expands(const char *in, const char *expected)
{
	char out[64];
	struct tg_fault why;

	if (tg_specifiers_expand(&known, in, out, sizeof out, &why) < 0)
		fail_msg("%s: %s", in, why.text);
	assert_string_equal(out, expected);
}

static void letters_stand_for_their_values(void **state)
{
	(void) state;
	expands("", "");
	expands("plain", "plain");
	expands("tidegate/%i/%d/set", "tidegate/gw-1/boiler/set");
	expands("%t%m%H%s", "0123456789abcdefmhb");
	expands("100%%", "100%");
	expands("%%i", "%i");
}

static void what_is_not_known_is_told_from_what_never_will_be(void **state)
{
	struct tg_specifiers nothing = { .device = NULL };
	char out[64] = "untouched";
	struct tg_fault why;

	(void) state;
	assert_int_equal(tg_specifiers_expand(&nothing, "%t", out, sizeof out, NULL), -EAGAIN);
	assert_int_equal(tg_specifiers_expand(&nothing, "a/%i", out, sizeof out, &why), -EAGAIN);
	assert_int_equal(tg_specifiers_expand(&nothing, "%s", out, sizeof out, &why), -ENODATA);
	assert_non_null(strstr(why.text, "board serial number"));
	assert_int_equal(tg_specifiers_expand(&nothing, "%d", out, sizeof out, &why), -EINVAL);
	assert_int_equal(tg_specifiers_expand(&known, "%x", out, sizeof out, &why), -EINVAL);
	assert_int_equal(tg_specifiers_expand(&known, "%", out, sizeof out, &why), -EINVAL);
}

static void a_result_that_does_not_fit_is_refused_whole(void **state)
{
	char out[17];

	(void) state;
	assert_int_equal(tg_specifiers_expand(&known, "%t", out, sizeof out, NULL), 0);
	assert_int_equal(tg_specifiers_expand(&known, "%tx", out, sizeof out, NULL), -ENAMETOOLONG);
	assert_int_equal(tg_specifiers_expand(&known, "x%t", out, sizeof out, NULL), -ENAMETOOLONG);
	assert_int_equal(tg_specifiers_expand(&known, "", out, 1, NULL), 0);
}

static void the_check_knows_the_same_letters(void **state)
{
	(void) state;
	assert_int_equal(tg_specifiers_check("%t%i%m%H%s%%", 0), 0);
	assert_int_equal(tg_specifiers_check("%d", 1), 0);
	assert_int_equal(tg_specifiers_check("%d", 0), -EINVAL);
	assert_int_equal(tg_specifiers_check("%x", 1), -EINVAL);
	assert_int_equal(tg_specifiers_check("%", 1), -EINVAL);
	assert_int_equal(tg_specifiers_check("%%%", 1), -EINVAL);
}

static void the_system_gives_what_can_stand_in_an_id(void **state)
{
	struct tg_specifiers s;

	(void) state;
	memset(&s, 'x', sizeof s);
	tg_specifiers_system(&s);
	assert_string_equal(s.tpm, "");
	assert_string_equal(s.id, "");
	assert_null(s.device);
	assert_true(strlen(s.machine) < sizeof s.machine);
	assert_true(strlen(s.host) < sizeof s.host);
	assert_null(strpbrk(s.board, "\n /+#"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_stand_for_their_values),
		cmocka_unit_test(what_is_not_known_is_told_from_what_never_will_be),
		cmocka_unit_test(a_result_that_does_not_fit_is_refused_whole),
		cmocka_unit_test(the_check_knows_the_same_letters),
		cmocka_unit_test(the_system_gives_what_can_stand_in_an_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
