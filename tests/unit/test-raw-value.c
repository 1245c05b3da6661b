/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/raw_value.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static struct tg_raw plain(enum tg_raw_form form, uint8_t size, enum tg_raw_order order)
{
	return (struct tg_raw){
		.form = form,
		.size = size,
		.order = order,
		.mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1,
	};
}

static struct tg_value value_of(const struct tg_raw *raw, const void *bytes, size_t len)
{
	struct tg_value v;

	assert_int_equal(tg_raw_value_get(raw, bytes, len, &v), 0);
	return v;
}

static void bytes_are_taken_in_the_order_that_is_named(void **state)
{
	static const uint8_t bytes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08 };
	static const struct {
		enum tg_raw_order order;
		uint8_t size;
		uint64_t want;
	} cases[] = {
		{ TG_RAW_ABCD, 1, 0x01 },
		{ TG_RAW_ABCD, 2, 0x0102 },
		{ TG_RAW_DCBA, 2, 0x0201 },
		{ TG_RAW_ABCD, 3, 0x010203 },
		{ TG_RAW_DCBA, 3, 0x030201 },
		{ TG_RAW_ABCD, 4, 0x01020304 },
		{ TG_RAW_CDAB, 4, 0x03040102 },
		{ TG_RAW_BADC, 4, 0x02010403 },
		{ TG_RAW_DCBA, 4, 0x04030201 },
		{ TG_RAW_ABCD, 8, 0x0102030405060708 },
		{ TG_RAW_CDAB, 8, 0x0708050603040102 },
		{ TG_RAW_BADC, 8, 0x0201040306050807 },
		{ TG_RAW_DCBA, 8, 0x0807060504030201 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_raw raw = plain(TG_RAW_UNSIGNED, cases[i].size, cases[i].order);
		struct tg_value v = value_of(&raw, bytes, sizeof(bytes));
		uint8_t back[8] = { 0 };

		assert_int_equal(v.type, TG_VALUE_UINT);
		assert_true(v.u == cases[i].want);
		assert_int_equal(tg_raw_value_put(&raw, &v, back, cases[i].size), 0);
		assert_memory_equal(back, bytes, cases[i].size);
	}
}

/* LM75 data sheet, table 9: 11 bits at the top of two bytes, 0.125 degrees each. */
static void eleven_bits_at_the_top_are_a_temperature(void **state)
{
	struct tg_raw raw = plain(TG_RAW_SIGNED, 2, TG_RAW_ABCD);

	(void) state;
	raw.shift = 5;
	assert_int_equal(value_of(&raw, "\x7f\x00", 2).i, 1016); /* +127.000 */
	assert_int_equal(value_of(&raw, "\x19\x00", 2).i, 200);  /* +25.000 */
	assert_int_equal(value_of(&raw, "\x00\x20", 2).i, 1);    /* +0.125 */
	assert_int_equal(value_of(&raw, "\xff\xe0", 2).i, -1);   /* -0.125 */
	assert_int_equal(value_of(&raw, "\xe7\x00", 2).i, -200); /* -25.000 */
	assert_int_equal(value_of(&raw, "\xc9\x00", 2).i, -440); /* -55.000 */
}

static void the_topmost_bit_of_the_mask_is_the_sign(void **state)
{
	struct tg_raw raw = plain(TG_RAW_SIGNED, 2, TG_RAW_ABCD);

	(void) state;
	raw.mask = 0x0fff;
	assert_int_equal(value_of(&raw, "\xf7\xff", 2).i, 2047);
	assert_int_equal(value_of(&raw, "\x08\x00", 2).i, -2048);
	assert_int_equal(value_of(&raw, "\xaf\xff", 2).i, -1);
	raw.mask = 0x00f0;
	raw.shift = 4;
	assert_int_equal(value_of(&raw, "\xff\x8f", 2).i, -8);
}

static void the_ends_of_each_width_fit_and_what_is_past_them_does_not(void **state)
{
	static const uint8_t sizes[] = { 1, 2, 3, 4, 8 };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(sizes); i++) {
		struct tg_raw raw = plain(TG_RAW_SIGNED, sizes[i], TG_RAW_DCBA);
		uint64_t top = UINT64_C(1) << (8 * sizes[i] - 1);
		struct tg_value least = { .type = TG_VALUE_INT, .i = (int64_t) -top };
		struct tg_value most = { .type = TG_VALUE_UINT, .u = top - 1 };
		struct tg_value over = { .type = TG_VALUE_UINT, .u = top };
		uint8_t bytes[8];

		assert_int_equal(tg_raw_value_put(&raw, &least, bytes, sizes[i]), 0);
		assert_true(value_of(&raw, bytes, sizes[i]).i == least.i);
		assert_int_equal(tg_raw_value_put(&raw, &most, bytes, sizes[i]), 0);
		assert_true(value_of(&raw, bytes, sizes[i]).i == (int64_t) most.u);
		memset(bytes, 0x5a, sizeof(bytes));
		assert_int_equal(tg_raw_value_put(&raw, &over, bytes, sizes[i]), -ERANGE);
		assert_int_equal(bytes[0], 0x5a);
		raw.form = TG_RAW_UNSIGNED;
		assert_int_equal(tg_raw_value_put(&raw, &least, bytes, sizes[i]), -ERANGE);
	}
}

static void bits_beside_the_mask_stay_as_the_chip_has_them(void **state)
{
	struct tg_raw raw = plain(TG_RAW_UNSIGNED, 2, TG_RAW_ABCD);
	struct tg_value v = { .type = TG_VALUE_REAL, .real = 4.6 };
	uint8_t bytes[] = { 0xff, 0xff };

	(void) state;
	raw.mask = 0x0ff0;
	raw.shift = 4;
	assert_false(tg_raw_whole(&raw));
	assert_int_equal(tg_raw_value_put(&raw, &v, bytes, 2), 0);
	assert_memory_equal(bytes, "\xf0\x5f", 2);
	v.real = 256;
	assert_int_equal(tg_raw_value_put(&raw, &v, bytes, 2), -ERANGE);
	v = (struct tg_value){ .type = TG_VALUE_TEXT, .text = "5" };
	assert_int_equal(tg_raw_value_put(&raw, &v, bytes, 2), -ERANGE);
}

static void one_bit_is_a_bool_that_can_be_set(void **state)
{
	struct tg_raw raw = plain(TG_RAW_BOOL, 1, TG_RAW_ABCD);
	struct tg_value on = { .type = TG_VALUE_BOOL, .b = true };
	struct tg_value two = { .type = TG_VALUE_INT, .i = 2 };
	uint8_t byte = 0x81;

	(void) state;
	raw.mask = 0x08;
	assert_false(value_of(&raw, &byte, 1).b);
	assert_int_equal(tg_raw_value_put(&raw, &on, &byte, 1), 0);
	assert_int_equal(byte, 0x89);
	assert_true(value_of(&raw, &byte, 1).b);
	assert_int_equal(tg_raw_value_put(&raw, &two, &byte, 1), -ERANGE);
	on.b = false;
	assert_int_equal(tg_raw_value_put(&raw, &on, &byte, 1), 0);
	assert_int_equal(byte, 0x81);
	raw.mask = 0xff;
	on.b = true;
	assert_int_equal(tg_raw_value_put(&raw, &on, &byte, 1), 0);
	assert_int_equal(byte, 1);
}

static void floats_are_ieee_754_and_never_nan(void **state)
{
	struct tg_raw raw = plain(TG_RAW_FLOAT, 4, TG_RAW_ABCD);
	struct tg_value v = { .type = TG_VALUE_REAL, .real = 1e39 };
	uint8_t bytes[8];

	(void) state;
	assert_float_equal(value_of(&raw, "\x41\xac\x00\x00", 4).real, 21.5, 0);
	assert_int_equal(tg_raw_value_get(&raw, (const uint8_t *) "\x7f\xc0\x00\x00", 4, &v),
			 -EDOM);
	assert_int_equal(tg_raw_value_get(&raw, (const uint8_t *) "\xff\x80\x00\x00", 4, &v),
			 -EDOM);
	assert_int_equal(tg_raw_value_put(&raw, &v, bytes, 4), -ERANGE);
	raw = plain(TG_RAW_FLOAT, 8, TG_RAW_DCBA);
	assert_int_equal(tg_raw_value_put(&raw, &v, bytes, 8), 0);
	assert_true(value_of(&raw, bytes, 8).real == 1e39);
}

static void what_reaches_past_the_answer_is_no_value(void **state)
{
	struct tg_raw raw = plain(TG_RAW_UNSIGNED, 4, TG_RAW_ABCD);
	struct tg_value v = { .type = TG_VALUE_NONE };
	uint8_t bytes[4] = { 0 };

	(void) state;
	assert_int_equal(tg_raw_value_get(&raw, bytes, 3, &v), -ERANGE);
	raw.at = 1;
	assert_int_equal(tg_raw_value_get(&raw, bytes, 4, &v), -ERANGE);
	assert_int_equal(
		tg_raw_value_put(&raw, &(struct tg_value){ .type = TG_VALUE_UINT }, bytes, 4),
		-ERANGE);
	assert_int_equal(v.type, TG_VALUE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_taken_in_the_order_that_is_named),
		cmocka_unit_test(eleven_bits_at_the_top_are_a_temperature),
		cmocka_unit_test(the_topmost_bit_of_the_mask_is_the_sign),
		cmocka_unit_test(the_ends_of_each_width_fit_and_what_is_past_them_does_not),
		cmocka_unit_test(bits_beside_the_mask_stay_as_the_chip_has_them),
		cmocka_unit_test(one_bit_is_a_bool_that_can_be_set),
		cmocka_unit_test(floats_are_ieee_754_and_never_nan),
		cmocka_unit_test(what_reaches_past_the_answer_is_no_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
