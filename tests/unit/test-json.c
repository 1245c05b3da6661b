/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int load(const char *text, struct json_t **ret)
{
	return tg_json_object(text, strlen(text), 4096, ret, NULL);
}

static void refuses_what_is_not_one_object(void **state)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"null",
		"\"text\"",
		"{",
		"{\"a\":1}x",
		"{} {}",
		"{\"a\":1,\"a\":2}",
		"{\"a\":\"\xff\"}",
		"{'a':1}",
		"{\"a\":\"\\u0000\"}",
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		struct json_t *doc = NULL;

		assert_int_equal(load(wrong[i], &doc), -EBADMSG);
		assert_null(doc);
	}
}

static void refuses_what_is_too_long_or_too_deep(void **state)
{
	struct json_t *doc = NULL;
	struct tg_fault fault;
	char deep[200], *p = deep;

	(void) state;
	assert_int_equal(tg_json_object("{\"a\":1}", 7, 6, &doc, &fault), -EFBIG);
	memcpy(p, "{\"a\":", 5);
	p += 5;
	memset(p, '[', 80);
	memset(p + 80, ']', 80);
	memcpy(p + 160, "}", 2);
	assert_int_equal(tg_json_object(deep, strlen(deep), 4096, &doc, &fault), -EBADMSG);
	assert_non_null(strstr(fault.text, "deeper"));
	/* Brackets inside a string do not nest. */
	memset(p, '[', 160);
	p[0] = p[159] = '"';
	assert_int_equal(tg_json_object(deep, strlen(deep), 4096, &doc, &fault), 0);
	doc = tg_json_free(doc);
}

static void tells_absent_wrong_and_out_of_bounds_apart(void **state)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	tg_autofree char *lines = NULL;
	char text[4];
	int64_t n = 7;

	(void) state;
	assert_int_equal(load("{\"s\":\"abc\",\"l\":\"abcd\",\"c\":\"a\\nb\",\"n\":5,\"r\":5.0,"
			      "\"z\":null}",
			      &doc),
			 0);
	assert_int_equal(tg_json_text(doc, "s", text, sizeof(text), NULL), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(tg_json_text(doc, "l", text, sizeof(text), NULL), -EBADMSG);
	assert_int_equal(tg_json_text(doc, "c", text, sizeof(text), NULL), -EBADMSG);
	assert_int_equal(tg_json_text(doc, "n", text, sizeof(text), NULL), -EBADMSG);
	assert_int_equal(tg_json_text(doc, "z", text, sizeof(text), NULL), -ENOENT);
	assert_int_equal(tg_json_text(doc, "x", text, sizeof(text), NULL), -ENOENT);
	assert_string_equal(text, "abc");
	assert_int_equal(tg_json_lines(doc, "c", 3, &lines, NULL), 0);
	assert_string_equal(lines, "a\nb");
	assert_int_equal(tg_json_int(doc, "n", 0, 4, &n, NULL), -EBADMSG);
	assert_int_equal(tg_json_int(doc, "r", 0, 9, &n, NULL), -EBADMSG);
	assert_int_equal(n, 7);
	assert_int_equal(tg_json_int(doc, "n", 0, 5, &n, NULL), 0);
	assert_int_equal(n, 5);
}

static void does_not_repeat_the_input_in_its_complaints(void **state)
{
	struct json_t *doc = NULL;
	struct tg_fault fault;
	const char *text = "{\"token\":\"hunter2\" hunter2}";

	(void) state;
	assert_int_equal(tg_json_object(text, strlen(text), 4096, &doc, &fault), -EBADMSG);
	assert_null(strstr(fault.text, "hunter2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_not_one_object),
		cmocka_unit_test(refuses_what_is_too_long_or_too_deep),
		cmocka_unit_test(tells_absent_wrong_and_out_of_bounds_apart),
		cmocka_unit_test(does_not_repeat_the_input_in_its_complaints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
