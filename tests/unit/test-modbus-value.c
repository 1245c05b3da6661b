/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/value.h"

#include "tests/unit/test.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tg_config_point point(enum tg_modbus_type type, enum tg_modbus_order order)
{
	return (struct tg_config_point){
		.modbus = { .table = TG_MODBUS_HOLDING, .type = type, .order = order, .bit = -1 },
		.scale = 1,
	};
}

static struct tg_sample decode(struct tg_config_point p, const char *wire)
{
	struct tg_sample s = { .quality = TG_STALE };

	tg_modbus_decode(&p, (const uint8_t *) wire, &s);
	return s;
}

static void every_type_is_decoded_in_every_order(void **state)
{
	/* By hand: 0x12345678 and 0x123456789abcdef0 spelt in four ways; 21.5f is 41ac0000; 21.5 is
	 * 4035800000000000. */
	static const struct {
		enum tg_modbus_type type;
		enum tg_modbus_order order;
		const char *wire;
		struct tg_value want;
	} rows[] = {
#define INT(v) { .type = TG_VALUE_INT, .i = (v) }
#define UINT(v)                                                                                    \
	{                                                                                          \
		.type = TG_VALUE_UINT, .u = (v)                                                    \
	}
#define REAL(v)                                                                                    \
	{                                                                                          \
		.type = TG_VALUE_REAL, .real = (v)                                                 \
	}
		{ TG_MODBUS_INT16, TG_ORDER_ABCD, "\xff\xfe", INT(-2) },
		{ TG_MODBUS_INT16, TG_ORDER_CDAB, "\xff\xfe", INT(-2) },
		{ TG_MODBUS_INT16, TG_ORDER_BADC, "\xfe\xff", INT(-2) },
		{ TG_MODBUS_INT16, TG_ORDER_DCBA, "\xfe\xff", INT(-2) },
		{ TG_MODBUS_UINT16, TG_ORDER_ABCD, "\xff\xfe", UINT(65534) },
		{ TG_MODBUS_UINT16, TG_ORDER_DCBA, "\xfe\xff", UINT(65534) },
		{ TG_MODBUS_INT32, TG_ORDER_ABCD, "\x80\x00\x00\x01", INT(-2147483647) },
		{ TG_MODBUS_INT32, TG_ORDER_CDAB, "\x00\x01\x80\x00", INT(-2147483647) },
		{ TG_MODBUS_INT32, TG_ORDER_BADC, "\x00\x80\x01\x00", INT(-2147483647) },
		{ TG_MODBUS_INT32, TG_ORDER_DCBA, "\x01\x00\x00\x80", INT(-2147483647) },
		{ TG_MODBUS_UINT32, TG_ORDER_ABCD, "\x12\x34\x56\x78", UINT(0x12345678) },
		{ TG_MODBUS_UINT32, TG_ORDER_CDAB, "\x56\x78\x12\x34", UINT(0x12345678) },
		{ TG_MODBUS_UINT32, TG_ORDER_BADC, "\x34\x12\x78\x56", UINT(0x12345678) },
		{ TG_MODBUS_UINT32, TG_ORDER_DCBA, "\x78\x56\x34\x12", UINT(0x12345678) },
		{ TG_MODBUS_FLOAT32, TG_ORDER_ABCD, "\x41\xac\x00\x00", REAL(21.5) },
		/* 21.7 as the device meant it, not the float's neighbour among the doubles. */
		{ TG_MODBUS_FLOAT32, TG_ORDER_ABCD, "\x41\xad\x99\x9a", REAL(21.7) },
		{ TG_MODBUS_FLOAT32, TG_ORDER_CDAB, "\x00\x00\x41\xac", REAL(21.5) },
		{ TG_MODBUS_FLOAT32, TG_ORDER_BADC, "\xac\x41\x00\x00", REAL(21.5) },
		{ TG_MODBUS_FLOAT32, TG_ORDER_DCBA, "\x00\x00\xac\x41", REAL(21.5) },
		{ TG_MODBUS_UINT64, TG_ORDER_ABCD, "\x12\x34\x56\x78\x9a\xbc\xde\xf0",
		  UINT(0x123456789abcdef0) },
		{ TG_MODBUS_UINT64, TG_ORDER_CDAB, "\xde\xf0\x9a\xbc\x56\x78\x12\x34",
		  UINT(0x123456789abcdef0) },
		{ TG_MODBUS_UINT64, TG_ORDER_BADC, "\x34\x12\x78\x56\xbc\x9a\xf0\xde",
		  UINT(0x123456789abcdef0) },
		{ TG_MODBUS_UINT64, TG_ORDER_DCBA, "\xf0\xde\xbc\x9a\x78\x56\x34\x12",
		  UINT(0x123456789abcdef0) },
		{ TG_MODBUS_INT64, TG_ORDER_ABCD, "\xff\xdf\xff\xff\xff\xff\xff\xff",
		  INT(-9007199254740993) },
		{ TG_MODBUS_INT64, TG_ORDER_CDAB, "\xff\xff\xff\xff\xff\xff\xff\xdf",
		  INT(-9007199254740993) },
		{ TG_MODBUS_INT64, TG_ORDER_DCBA, "\xff\xff\xff\xff\xff\xff\xdf\xff",
		  INT(-9007199254740993) },
		{ TG_MODBUS_FLOAT64, TG_ORDER_ABCD, "\x40\x35\x80\x00\x00\x00\x00\x00",
		  REAL(21.5) },
		{ TG_MODBUS_FLOAT64, TG_ORDER_CDAB, "\x00\x00\x00\x00\x80\x00\x40\x35",
		  REAL(21.5) },
		{ TG_MODBUS_FLOAT64, TG_ORDER_BADC, "\x35\x40\x00\x80\x00\x00\x00\x00",
		  REAL(21.5) },
		{ TG_MODBUS_FLOAT64, TG_ORDER_DCBA, "\x00\x00\x00\x00\x00\x80\x35\x40",
		  REAL(21.5) },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
		struct tg_sample s = decode(point(rows[i].type, rows[i].order), rows[i].wire);

		if (s.quality != TG_GOOD || s.value.type != rows[i].want.type ||
		    s.value.u != rows[i].want.u)
			fail_msg("row %zu gave %llx", i, (unsigned long long) s.value.u);
		assert_string_equal(s.reason, "");
	}
}

static void a_bit_of_a_register_counts_from_the_least_significant(void **state)
{
	struct tg_config_point p = point(TG_MODBUS_BOOL, TG_ORDER_ABCD);
	struct tg_sample s;

	(void) state;
	for (int bit = 0; bit < 16; bit++) {
		p.modbus.bit = bit;
		s = decode(p, "\x80\x05");
		assert_int_equal(s.value.type, TG_VALUE_BOOL);
		assert_int_equal(s.value.b, bit == 0 || bit == 2 || bit == 15);
	}
	p.modbus.bit = 8;
	p.modbus.order = TG_ORDER_BADC;
	assert_false(decode(p, "\x01\x00").value.b);
	assert_true(decode(p, "\x00\x01").value.b);
}

static void a_whole_register_is_true_unless_zero(void **state)
{
	struct tg_config_point p = point(TG_MODBUS_BOOL, TG_ORDER_ABCD);

	(void) state;
	assert_false(decode(p, "\0\0").value.b);
	assert_true(decode(p, "\x01\0").value.b);
	assert_true(decode(p, "\0\x01").value.b);
}

static void what_is_not_a_number_is_bad(void **state)
{
	static const char *const floats[] = { "\x7f\xc0\0\0", "\x7f\x80\0\0", "\xff\x80\0\0",
					      "\x7f\x80\0\x01" };
	struct tg_sample s;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(floats); i++) {
		s = decode(point(TG_MODBUS_FLOAT32, TG_ORDER_ABCD), floats[i]);
		assert_int_equal(s.quality, TG_BAD);
		assert_int_equal(s.value.type, TG_VALUE_NONE);
		assert_string_equal(s.reason, "not a number");
	}
	s = decode(point(TG_MODBUS_FLOAT64, TG_ORDER_ABCD), "\x7f\xf8\0\0\0\0\0\0");
	assert_string_equal(s.reason, "not a number");
}

/* The shortest decimal that reads back as @f, by trying. */
static double shortest(float f)
{
	char text[32];

	for (int digits = 1; digits < 9; digits++) {
		(void) snprintf(text, sizeof(text), "%.*g", digits, (double) f);
		if (strtof(text, NULL) == f)
			return strtod(text, NULL);
	}
	(void) snprintf(text, sizeof(text), "%.9g", (double) f);
	return strtod(text, NULL);
}

static void floats_become_the_shortest_decimal_that_reads_back(void **state)
{
	uint32_t bits = 2463534242;

	(void) state;
	for (int i = 0; i < 50000; i++) {
		char wire[4];
		float f;

		/* xorshift: floats of all sizes, and decimals with up to six places */
		bits ^= bits << 13;
		bits ^= bits >> 17;
		bits ^= bits << 5;
		memcpy(&f, &bits, sizeof(f));
		if (i % 2 == 0)
			f = (float) ((double) (int32_t) bits / 256 / pow(10, bits % 7));
		if (!isfinite(f))
			continue;
		memcpy(&bits, &f, sizeof(f));
		for (size_t b = 0; b < sizeof(wire); b++)
			wire[b] = (char) (bits >> (24 - 8 * b));
		if (decode(point(TG_MODBUS_FLOAT32, TG_ORDER_ABCD), wire).value.real != shortest(f))
			fail_msg("%.9g, round %d", (double) f, i);
		bits |= 1; /* never 0, which xorshift does not leave */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_decoded_in_every_order),
		cmocka_unit_test(a_bit_of_a_register_counts_from_the_least_significant),
		cmocka_unit_test(a_whole_register_is_true_unless_zero),
		cmocka_unit_test(what_is_not_a_number_is_bad),
		cmocka_unit_test(floats_become_the_shortest_decimal_that_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
