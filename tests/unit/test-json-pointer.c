/* SPDX-License-Identifier: Apache-2.0 */
#include "json/pointer.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct json_t *parsed(const char *text)
{
	struct json_t *doc = NULL;
	struct tg_fault why;

	if (tg_json_document(text, strlen(text), 4096, &doc, &why) < 0)
		fail_msg("%s: %s", text, why.text);
	return doc;
}

static struct tg_json_value at(const struct json_t *doc, const char *pointer)
{
	struct tg_json_value v = { .kind = TG_JSON_NULL };

	if (tg_json_pointer(doc, pointer, strlen(pointer), &v) < 0)
		fail_msg("%s leads nowhere", pointer);
	return v;
}

static bool leads_nowhere(const struct json_t *doc, const char *pointer)
{
	struct tg_json_value v;

	return tg_json_pointer(doc, pointer, strlen(pointer), &v) == -ENOENT;
}

/* RFC 6901 section 5. */
static void the_examples_of_the_rfc_hold(void **state)
{
	static const struct {
		const char *pointer;
		int64_t want;
	} cases[] = { { "/", 0 },     { "/a~1b", 1 }, { "/c%d", 2 }, { "/e^f", 3 }, { "/g|h", 4 },
		      { "/i\\j", 5 }, { "/k\"l", 6 }, { "/ ", 7 },   { "/m~0n", 8 } };
	tg_cleanup(tg_json_freep) struct json_t *doc = parsed("{\"foo\":[\"bar\",\"baz\"],\"\":0,"
							      "\"a/"
							      "b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
							      "\"i\\\\j\":5,\"k\\\"l\":6,\" "
							      "\":7,\"m~n\":8}");

	(void) state;
	assert_int_equal(at(doc, "").kind, TG_JSON_OBJECT);
	assert_int_equal(at(doc, "/foo").kind, TG_JSON_ARRAY);
	assert_string_equal(at(doc, "/foo/0").text, "bar");
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		assert_int_equal(at(doc, cases[i].pointer).kind, TG_JSON_INT);
		assert_int_equal(at(doc, cases[i].pointer).i, cases[i].want);
	}
}

static void what_is_not_there_leads_nowhere(void **state)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = parsed("{\"a\":[1,2],\"b\":3,\"~\":4}");

	(void) state;
	assert_true(leads_nowhere(doc, "/c"));
	assert_true(leads_nowhere(doc, "/b/c"));
	assert_true(leads_nowhere(doc, "/a/2"));
	assert_true(leads_nowhere(doc, "/a/-"));
	assert_true(leads_nowhere(doc, "/a/00"));
	assert_true(leads_nowhere(doc, "/a/1x"));
	assert_true(leads_nowhere(doc, "/a/"));
	assert_true(leads_nowhere(doc, "/a/99999999999999999999"));
	assert_true(leads_nowhere(doc, "a"));
	assert_true(leads_nowhere(doc, "/~"));
	assert_true(leads_nowhere(doc, "/~2"));
	assert_int_equal(at(doc, "/~0").i, 4);
}

static void a_document_may_be_any_value(void **state)
{
	tg_cleanup(tg_json_freep) struct json_t *number = parsed(" 21.5 "),
						*text = parsed("\"on\""), *yes = parsed("true"),
						*none = parsed("null");

	(void) state;
	assert_true(at(number, "").kind == TG_JSON_REAL && at(number, "").real == 21.5);
	assert_true(at(text, "").kind == TG_JSON_TEXT && at(text, "").len == 2);
	assert_true(at(yes, "").kind == TG_JSON_BOOL && at(yes, "").b);
	assert_int_equal(at(none, "").kind, TG_JSON_NULL);
}

static void large_integers_are_real_and_the_last_of_two_names_counts(void **state)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = parsed("{\"a\":1,\"a\":2,\"n\":"
							      "18446744073709551616,\"t\":"
							      "\"a\\u0000b\"}");

	(void) state;
	assert_true(at(doc, "/n").kind == TG_JSON_REAL && at(doc, "/n").real > 1.8e19);
	assert_true(at(doc, "/a").kind == TG_JSON_REAL && at(doc, "/a").real == 2);
	assert_int_equal(at(doc, "/t").len, 3);
}

static void what_is_wrong_or_too_large_is_refused(void **state)
{
	static const char *const wrong[] = { "",    "{",    "{\"a\":}",         "nan", "1e999",
					     "{}x", "\xff", "{\"a\\u0000\":1}", "-" };
	struct json_t *doc = NULL;
	char deep[64];

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
		if (tg_json_document(wrong[i], strlen(wrong[i]), 4096, &doc, NULL) != -EBADMSG)
			fail_msg("'%s' is accepted", wrong[i]);
	}
	memset(deep, '[', sizeof(deep));
	assert_int_equal(tg_json_document(deep, sizeof(deep), 4096, &doc, NULL), -EBADMSG);
	assert_int_equal(tg_json_document("12345", 5, 4, &doc, NULL), -EFBIG);
	assert_null(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_rfc_hold),
		cmocka_unit_test(what_is_not_there_leads_nowhere),
		cmocka_unit_test(a_document_may_be_any_value),
		cmocka_unit_test(large_integers_are_real_and_the_last_of_two_names_counts),
		cmocka_unit_test(what_is_wrong_or_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
