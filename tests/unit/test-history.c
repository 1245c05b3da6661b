/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/history.h"

#include "tests/unit/test.h"
#include "tests/unit/tree.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define PLACE "/tmp/tidegate-history-XXXXXX"

static char dir[] = PLACE;

static int setup(void **state)
{
	(void) state;
	memcpy(dir, PLACE, sizeof(dir));
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void) state;
	return tree_remove(dir);
}

static int write_one(void)
{
	static const struct tg_generation_files files = {
		.key_pem = "-----BEGIN KEY-----\n",
		.chain_pem = "-----BEGIN CERTIFICATE-----\n",
	};
	struct tg_manifest m = { .method = "aws-fleet", .subject = "CN=gw", .issuer = "CN=ca" };
	int r;

	memset(m.fingerprint, 'a', 64);
	r = tg_generation_write(dir, &files, &m, NULL);
	return r < 0 ? r : (int) m.number;
}

static json_t *history(void)
{
	json_t *list = NULL;

	assert_int_equal(tg_history_json(dir, &list, NULL), 0);
	return list;
}

/* "3:current 2:retired" */
static void assert_states(const char *expected)
{
	json_t *list = history(), *g;
	char text[128] = "";
	size_t i;

	json_array_foreach (list, i, g) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%lld:%s", len ? " " : "",
			 (long long) json_integer_value(json_object_get(g, "number")),
			 json_string_value(json_object_get(g, "state")));
	}
	assert_string_equal(text, expected);
	json_decref(list);
}

static void says_what_became_of_each_newest_first(void **state)
{
	(void) state;
	assert_int_equal(write_one(), 1);
	assert_states("1:candidate");
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	assert_states("1:current");
	assert_int_equal(write_one(), 2);
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	assert_states("2:current 1:previous");
	assert_int_equal(tg_generation_retire(dir, 1795219300, NULL), 0);
	assert_states("2:current 1:retired");
	assert_int_equal(write_one(), 3);
	assert_int_equal(tg_generation_roll_back(dir, "the broker refuses it", 1795219400, NULL), 0);
	assert_states("3:rejected 2:current 1:retired");
	assert_int_equal(write_one(), 4);
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	assert_int_equal(tg_generation_demote(dir, "dropped", 1795219500, NULL), 0);
	assert_states("4:rejected 3:rejected 2:current 1:retired");
}

static void has_time_and_reason_of_an_end(void **state)
{
	json_t *list, *g;

	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	assert_int_equal(write_one(), 2);
	assert_int_equal(tg_generation_roll_back(dir, "not \"authorised\"", 1795219400, NULL), 0);
	list = history();
	g = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(g, "reason")), "not \"authorised\"");
	assert_string_equal(json_string_value(json_object_get(g, "ended")), "2026-11-21T00:03:20Z");
	assert_true(json_is_false(json_object_get(g, "key")));
	g = json_array_get(list, 1);
	assert_true(json_is_null(json_object_get(g, "ended")));
	assert_true(json_is_null(json_object_get(g, "reason")));
	assert_true(json_is_true(json_object_get(g, "key")));
	json_decref(list);
}

static void is_none_before_there_is_an_identity(void **state)
{
	json_t *list = NULL;

	(void) state;
	assert_int_equal(tg_history_json(dir, &list, NULL), -ENOENT);
	assert_null(list);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(says_what_became_of_each_newest_first),
		CASE(has_time_and_reason_of_an_end),
		CASE(is_none_before_there_is_an_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
