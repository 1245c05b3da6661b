/* SPDX-License-Identifier: Apache-2.0 */
#include <tidegate/error.h>
#include <tidegate/log.h>

#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static void a_fault_keeps_code_and_text_and_takes_null(void **state)
{
	struct tg_fault f;

	(void) state;
	assert_int_equal(tg_fault_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(tg_fault_set(&f, -EIO, "%s: %d", "boiler", 7), -EIO);
	assert_int_equal(f.code, -EIO);
	assert_string_equal(f.text, "boiler: 7");
	assert_int_equal(tg_fault_prefix(&f, "step %s", "csr"), -EIO);
	assert_string_equal(f.text, "step csr: boiler: 7");
	assert_int_equal(tg_fault_prefix(NULL, "x"), 0);
}

static void what_a_peer_says_cannot_break_a_line(void **state)
{
	struct tg_fault f;

	(void) state;
	tg_fault_set(&f, -EPROTO, "%s", "a\nb\033[2Jc\x9b\xff d\xc3\xa9");
	assert_string_equal(f.text, "a?b?[2Jc?? d\xc3\xa9");
}

static void a_long_text_is_cut_at_a_character_and_marked(void **state)
{
	char big[4 * TG_FAULT_MAX], out[16];
	struct tg_fault f;

	(void) state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	tg_fault_set(&f, -EPROTO, "%s", big);
	assert_int_equal(strlen(f.text), TG_FAULT_MAX - 1);
	assert_string_equal(f.text + TG_FAULT_MAX - 4, "...");
	for (size_t size = 4; size <= sizeof(out); size++) {
		tg_printable(out, size, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 16);
		assert_true(strlen(out) < size);
		assert_string_equal(out + strlen(out) - 3, "...");
		assert_int_equal((strlen(out) - 3) % 2, 0);
	}
	tg_printable(out, sizeof(out), "123456789012345", 15);
	assert_string_equal(out, "123456789012345");
}

static void a_limited_line_passes_again_in_the_next_interval(void **state)
{
	struct tg_log_limit l = TG_LOG_LIMIT_INIT;

	(void) state;
	assert_true(tg_log_allowed(&l, 1000, 2, 100));
	assert_true(tg_log_allowed(&l, 1001, 2, 100));
	assert_false(tg_log_allowed(&l, 1002, 2, 100));
	assert_int_equal(l.suppressed, 1);
	assert_true(tg_log_allowed(&l, 1100, 2, 100));
}

static void times_saturate_and_round_up(void **state)
{
	char iso[32];

	(void) state;
	assert_true(tg_us_add(TG_US_FOREVER, 1) == TG_US_FOREVER);
	assert_true(tg_us_add(TG_US_FOREVER - 5, 10) == TG_US_FOREVER);
	assert_int_equal(tg_us_to_poll_ms(10, TG_US_FOREVER), -1);
	assert_int_equal(tg_us_to_poll_ms(10, 10), 0);
	assert_int_equal(tg_us_to_poll_ms(10, 11), 1);
	assert_int_equal(tg_us_to_poll_ms(0, 1001), 2);
	assert_int_equal(tg_us_to_poll_ms(0, TG_US_FOREVER - 1), INT32_MAX);
	assert_string_equal(tg_clock_iso(INT64_C(1795219200000000), iso), "2026-11-21T00:00:00Z");
	assert_string_equal(tg_clock_iso(-1, iso), "1969-12-31T23:59:59Z");
	assert_string_equal(tg_clock_iso(INT64_MAX, iso), "?");
}

static void this_boot_has_an_id(void **state)
{
	uint8_t a[16], b[16], zero[16] = { 0 };

	(void) state;
	assert_int_equal(tg_clock_boot_id(a), 0);
	assert_int_equal(tg_clock_boot_id(b), 0);
	assert_memory_equal(a, b, 16);
	assert_memory_not_equal(a, zero, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_keeps_code_and_text_and_takes_null),
		cmocka_unit_test(what_a_peer_says_cannot_break_a_line),
		cmocka_unit_test(a_long_text_is_cut_at_a_character_and_marked),
		cmocka_unit_test(a_limited_line_passes_again_in_the_next_interval),
		cmocka_unit_test(times_saturate_and_round_up),
		cmocka_unit_test(this_boot_has_an_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
