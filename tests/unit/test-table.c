/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/table.h"

#include "tests/unit/test.h"

#include <string.h>

static const char *const heads[] = { "type", "value", NULL };

static void is_json_with_heads_rows_and_notes(void **state)
{
	struct tg_buffer out = TG_BUFFER_INIT(4096);
	struct tg_table t;

	(void) state;
	tg_table_init(&t);
	tg_table_heads(&t, heads);
	tg_table_row(&t, (const char *const[]){ "int16", "-1" });
	tg_table_row(&t, (const char *const[]){ "text\n", "\"" });
	tg_table_note(&t, "%d registers", 2);
	assert_int_equal(tg_table_json(&t, &out), 0);
	assert_string_equal(tg_buffer_text(&out), "{\"columns\":[\"type\",\"value\"],\"rows\":[["
						  "\"int16\",\"-1\"],"
						  "[\"text?\",\"\\\"\"]],\"notes\":[\"2 "
						  "registers\"]}");
	tg_buffer_done(&out);
	tg_table_done(&t);
}

static void what_does_not_fit_is_left_out_and_told(void **state)
{
	struct tg_buffer out = TG_BUFFER_INIT(2 * TG_TABLE_BYTES);
	struct tg_table t;

	(void) state;
	tg_table_init(&t);
	tg_table_heads(&t, heads);
	for (int i = 0; i < 10000; i++) {
		tg_table_row(&t, (const char *const[]){ "aaaaaaaaaaaaaaaaaaaaaaa", "bbbbbb" });
		tg_table_note(&t, "note %d", i);
	}
	assert_int_equal(tg_table_json(&t, &out), 0);
	assert_true(out.len <= TG_TABLE_BYTES + 64);
	assert_non_null(strstr(tg_buffer_text(&out), "\"bbbbbb\"]],\"notes\""));
	assert_non_null(strstr(tg_buffer_text(&out), "there is more than this table holds\"]}"));
	tg_buffer_done(&out);
	tg_table_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_json_with_heads_rows_and_notes),
		cmocka_unit_test(what_does_not_fit_is_left_out_and_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
