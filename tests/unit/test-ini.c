/* SPDX-License-Identifier: Apache-2.0 */
#include "config/ini.h"

#include "base/buffer.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

/* Writes down what it is told, one event a line. */
static int on_section(void *user, const char *name, unsigned line)
{
	tg_buffer_addf(user, "%u [%s]\n", line, name ? name : "");
	return 0;
}

static int on_setting(void *user, const char *key, const char *value, unsigned line)
{
	tg_buffer_addf(user, "%u %s=%s\n", line, key, value);
	return strcmp(key, "stop") == 0 ? -ECANCELED : 0;
}

static int on_problem(void *user, unsigned line, const char *text)
{
	tg_buffer_addf(user, "%u ! %.12s\n", line, text);
	return 0;
}

static const struct tg_ini_events events = { on_section, on_setting, on_problem };

/* Reads a copy with nothing behind it, so that a sanitizer sees every byte too far. */
static int read_exactly(const char *text, size_t len, struct tg_buffer *told)
{
	tg_autofree char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return tg_ini_read(copy, len, &events, told);
}

static void reads(const char *text, const char *expected)
{
	struct tg_buffer told = TG_BUFFER_INIT(65536);

	assert_int_equal(read_exactly(text, strlen(text), &told), 0);
	assert_string_equal(tg_buffer_text(&told), expected);
	tg_buffer_done(&told);
}

static void lines_are_counted_whatever_stands_on_them(void **state)
{
	(void) state;
	reads("", "");
	reads("\n\n\n", "");
	reads("[a]\n\n# x\nk = v\n;y\n\n[b c]\nk=\n", "1 [a]\n4 k=v\n7 [b c]\n8 k=\n");
	reads("[a]\nnonsense\nk = 1\nalso\nl = 2", "1 [a]\n2 ! neither [SEC\n3 k=1\n4 ! neither "
						   "[SEC\n5 l=2\n");
	reads("k = 1\r\nl = 2\r\n", "1 ! carriage ret\n1 k=1\n2 l=2\n");
	reads("\xef\xbb\xbfk = 1\n", "1 ! byte order m\n1 k=1\n");
	reads("[a\nk = 1\n", "1 ! section with\n1 []\n2 k=1\n");
}

static void values_are_taken_to_the_end_of_the_line(void **state)
{
	(void) state;
	reads("k = a ; b # c\n", "1 k=a ; b # c\n");
	reads("k = a = b: c\n", "1 k=a = b: c\n");
	reads("k =\t \"a\"  \n", "1 k=\"a\"\n");
	reads("k = [a]\n", "1 k=[a]\n");
	reads("k = 1\n k = 2\n", "1 k=1\n2 ! line starts \n");
	reads("k: 1\n", "1 ! neither [SEC\n");
	reads("=1\n", "1 ! no key befor\n");
}

static void long_lines_and_names_are_whole_or_refused(void **state)
{
	struct tg_buffer told = TG_BUFFER_INIT(65536);
	char line[TG_INI_LINE_MAX + 8], section[TG_INI_SECTION_MAX + 8];

	(void) state;
	memset(line, 'v', sizeof line);
	memcpy(line, "k=", 2);
	line[TG_INI_LINE_MAX] = '\n';
	assert_int_equal(read_exactly(line, TG_INI_LINE_MAX + 1, &told), 0);
	assert_int_equal(tg_buffer_error(&told), 0);
	assert_int_equal(told.len, TG_INI_LINE_MAX + strlen("1 \n"));
	tg_buffer_reset(&told);
	line[TG_INI_LINE_MAX] = 'v';
	line[TG_INI_LINE_MAX + 1] = '\n';
	assert_int_equal(read_exactly(line, TG_INI_LINE_MAX + 2, &told), 0);
	assert_string_equal(tg_buffer_text(&told), "1 ! line too lon\n");

	tg_buffer_reset(&told);
	memset(section, 's', sizeof section);
	section[0] = '[';
	section[TG_INI_SECTION_MAX + 1] = ']';
	assert_int_equal(read_exactly(section, TG_INI_SECTION_MAX + 2, &told), 0);
	assert_int_equal(told.len, TG_INI_SECTION_MAX + strlen("1 []\n"));
	tg_buffer_reset(&told);
	section[TG_INI_SECTION_MAX + 1] = 's';
	section[TG_INI_SECTION_MAX + 2] = ']';
	assert_int_equal(read_exactly(section, TG_INI_SECTION_MAX + 3, &told), 0);
	assert_string_equal(tg_buffer_text(&told), "1 ! section name\n1 []\n");
	tg_buffer_done(&told);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	static const char *const lines[] = { "k = \x01", "k = \x7f",         "k = a\rb",
					     "k = \x80", "k = \xed\xa0\x80", "k = \xf0\x9f\x98" };
	struct tg_buffer told = TG_BUFFER_INIT(65536);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(lines); i++) {
		tg_buffer_reset(&told);
		assert_int_equal(read_exactly(lines[i], strlen(lines[i]), &told), 0);
		assert_non_null(strstr(tg_buffer_text(&told), "1 ! "));
		assert_null(strchr(tg_buffer_text(&told), '='));
	}
	tg_buffer_reset(&told);
	assert_int_equal(read_exactly("k = a\0b\nl = 1", 13, &told), 0);
	assert_string_equal(tg_buffer_text(&told), "1 ! NUL byte\n2 l=1\n");
	tg_buffer_done(&told);
}

static void a_failing_event_ends_the_reading(void **state)
{
	struct tg_buffer told = TG_BUFFER_INIT(65536);

	(void) state;
	assert_int_equal(read_exactly("a = 1\nstop = 1\nb = 1\n[c]\n", 26, &told), -ECANCELED);
	assert_string_equal(tg_buffer_text(&told), "1 a=1\n2 stop=1\n");
	tg_buffer_done(&told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_counted_whatever_stands_on_them),
		cmocka_unit_test(values_are_taken_to_the_end_of_the_line),
		cmocka_unit_test(long_lines_and_names_are_whole_or_refused),
		cmocka_unit_test(bytes_that_are_no_text_are_refused),
		cmocka_unit_test(a_failing_event_ends_the_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
