/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/value.h"

#include "tests/unit/test.h"

#include <errno.h>
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
	static char text[TG_MODBUS_STRING_MAX + 1];
	struct tg_sample s = { .quality = TG_STALE };

	tg_modbus_decode(&p, (const uint8_t *) wire, text, &s);
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

static void a_number_can_sit_in_some_of_the_bits(void **state)
{
	struct tg_config_point p = point(TG_MODBUS_UINT16, TG_ORDER_ABCD);

	(void) state;
	p.modbus.bit = 4;
	p.modbus.n_bits = 8;
	assert_int_equal(decode(p, "\xa5\x5a").value.u, 0x55);
	p.modbus.type = TG_MODBUS_INT16;
	assert_int_equal(decode(p, "\x0f\x00").value.i, -16);
	assert_int_equal(decode(p, "\xf7\xff").value.i, 127);
	p = point(TG_MODBUS_UINT64, TG_ORDER_CDAB);
	p.modbus.bit = 63;
	p.modbus.n_bits = 1;
	assert_int_equal(decode(p, "\0\0\0\0\0\0\x80\0").value.u, 1);
	p.modbus.bit = 0;
	p.modbus.n_bits = 64;
	assert_true(decode(p, "\0\1\0\0\0\0\x80\0").value.u == 0x8000000000000001u);
}

static void half_a_register_is_its_low_byte(void **state)
{
	(void) state;
	assert_int_equal(decode(point(TG_MODBUS_INT8, TG_ORDER_ABCD), "\x01\xfe").value.i, -2);
	assert_int_equal(decode(point(TG_MODBUS_UINT8, TG_ORDER_ABCD), "\x01\xfe").value.u, 254);
	assert_int_equal(decode(point(TG_MODBUS_UINT8, TG_ORDER_BADC), "\x01\xfe").value.u, 1);
}

static void assert_text(const char *wire, unsigned length, enum tg_modbus_order order,
			const char *want)
{
	struct tg_config_point p = point(TG_MODBUS_STRING, order);
	struct tg_sample s;

	p.modbus.length = length;
	s = decode(p, wire);
	assert_int_equal(s.quality, TG_GOOD);
	assert_int_equal(s.value.type, TG_VALUE_TEXT);
	assert_string_equal(s.value.text, want);
}

static void a_string_ends_where_people_end_it(void **state)
{
	(void) state;
	assert_text("TIDE-7\0\0", 8, TG_ORDER_ABCD, "TIDE-7");
	assert_text("ITED7-\0\0", 8, TG_ORDER_BADC, "TIDE-7");
	assert_text("BA?C", 3, TG_ORDER_BADC, "ABC");
	assert_text("pump    ", 8, TG_ORDER_ABCD, "pump");
	assert_text(" pump", 5, TG_ORDER_ABCD, " pump");
	assert_text("\0\0", 2, TG_ORDER_ABCD, "");
	/* What comes from a device is printable before it goes anywhere. */
	assert_text("a\x1b\xff\nb", 5, TG_ORDER_ABCD, "a???b");
	assert_text("22\xc2\xb0"
		    "C",
		    5, TG_ORDER_ABCD,
		    "22\xc2\xb0"
		    "C");
}

/* --- writing --- */

static int encode(struct tg_config_point p, struct tg_value v, uint8_t *wire)
{
	return tg_modbus_encode(&p.modbus, &v, wire, NULL);
}

/* Whatever is written is what is read again, in every type and order, at the limits too. */
static void what_is_written_reads_back(void **state)
{
	static const struct tg_value values[] = {
		INT(0),           INT(-1),        INT(127),       INT(-128),        INT(255),
		INT(32767),       INT(-32768),    UINT(65535),    INT(INT32_MAX),   INT(INT32_MIN),
		UINT(UINT32_MAX), INT(INT64_MAX), INT(INT64_MIN), UINT(UINT64_MAX), REAL(1e9),
	};
	unsigned written = 0;

	(void) state;
	for (unsigned type = TG_MODBUS_INT16; type <= TG_MODBUS_UINT8; type++) {
		for (unsigned order = 0; order < 4; order++) {
			struct tg_config_point p =
				point((enum tg_modbus_type) type, (enum tg_modbus_order) order);

			for (size_t i = 0; i < TG_ARRAY_SIZE(values); i++) {
				uint8_t wire[8] = { 0 }, again[8] = { 0 };
				struct tg_sample s;

				if (encode(p, values[i], wire) < 0)
					continue;
				written++;
				s = decode(p, (const char *) wire);
				assert_int_equal(encode(p, s.value, again), 0);
				assert_memory_equal(wire, again, sizeof(wire));
				if (values[i].type == TG_VALUE_INT && s.value.type == TG_VALUE_INT)
					assert_true(values[i].i == s.value.i);
				if (values[i].type == TG_VALUE_UINT &&
				    s.value.type == TG_VALUE_UINT)
					assert_true(values[i].u == s.value.u);
			}
		}
	}
	/* int8 4, uint8 3, int16 7, uint16 5, int32 11, uint32 8, int64 14, uint64 10, two floats 15 each; four orders */
	assert_int_equal(written, 4 * (4 + 3 + 7 + 5 + 11 + 8 + 14 + 10 + 15 + 15));
}

static void what_does_not_fit_is_refused(void **state)
{
	static const struct {
		enum tg_modbus_type type;
		struct tg_value v;
		int r;
	} rows[] = {
		{ TG_MODBUS_INT16, INT(32768), -ERANGE },
		{ TG_MODBUS_INT16, INT(-32769), -ERANGE },
		{ TG_MODBUS_UINT16, INT(-1), -ERANGE },
		{ TG_MODBUS_UINT16, UINT(65536), -ERANGE },
		{ TG_MODBUS_UINT16, REAL(1.5), -ERANGE },
		{ TG_MODBUS_UINT16, REAL(-0.0), 0 },
		{ TG_MODBUS_UINT64, REAL(0x1p64), -ERANGE },
		{ TG_MODBUS_INT64, REAL(-0x1p63), 0 },
		{ TG_MODBUS_INT64, UINT(UINT64_C(1) << 63), -ERANGE },
		{ TG_MODBUS_FLOAT32, REAL(1e39), -ERANGE },
		{ TG_MODBUS_FLOAT64, REAL(1e300), 0 },
		{ TG_MODBUS_FLOAT64, REAL(INFINITY), -ERANGE },
		{ TG_MODBUS_UINT16, { .type = TG_VALUE_BOOL, .b = true }, -EINVAL },
		{ TG_MODBUS_FLOAT32, { .type = TG_VALUE_TEXT, .text = "1" }, -EINVAL },
		{ TG_MODBUS_BOOL, INT(1), 0 },
		{ TG_MODBUS_BOOL, INT(2), -EINVAL },
		{ TG_MODBUS_BOOL, INT(-1), -EINVAL },
		{ TG_MODBUS_BOOL, REAL(1), -EINVAL },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
		uint8_t wire[8] = { 0 };
		int r = encode(point(rows[i].type, TG_ORDER_ABCD), rows[i].v, wire);

		if (r != rows[i].r)
			fail_msg("row %zu gave %d", i, r);
	}
}

static void a_part_leaves_the_rest_of_its_register_alone(void **state)
{
	struct tg_config_point p = point(TG_MODBUS_BOOL, TG_ORDER_ABCD);
	uint8_t wire[2] = { 0xa5, 0x5a };

	(void) state;
	assert_false(tg_modbus_is_part(&p.modbus));
	p.modbus.bit = 0;
	assert_true(tg_modbus_is_part(&p.modbus));
	assert_int_equal(encode(p, (struct tg_value){ .type = TG_VALUE_BOOL, .b = true }, wire), 0);
	assert_memory_equal(wire, "\xa5\x5b", 2);
	p.modbus.bit = 15;
	assert_int_equal(encode(p, (struct tg_value){ .type = TG_VALUE_BOOL }, wire), 0);
	assert_memory_equal(wire, "\x25\x5b", 2);

	p = point(TG_MODBUS_INT16, TG_ORDER_ABCD);
	p.modbus.bit = 4;
	p.modbus.n_bits = 8;
	assert_int_equal(encode(p, (struct tg_value) INT(-1), wire), 0);
	assert_memory_equal(wire, "\x2f\xfb", 2);
	assert_int_equal(encode(p, (struct tg_value) INT(128), wire), -ERANGE);

	p = point(TG_MODBUS_UINT8, TG_ORDER_BADC);
	assert_int_equal(encode(p, (struct tg_value) INT(7), wire), 0);
	assert_memory_equal(wire, "\x07\xfb", 2);
}

static void a_string_is_filled_up(void **state)
{
	struct tg_config_point p = point(TG_MODBUS_STRING, TG_ORDER_BADC);
	struct tg_value v = { .type = TG_VALUE_TEXT, .text = "abc" };
	uint8_t wire[6];

	(void) state;
	p.modbus.length = 5;
	memset(wire, 0xff, sizeof(wire));
	assert_int_equal(encode(p, v, wire), 0);
	assert_memory_equal(wire, "ba\0c\0\0", 6);
	v.text = "abcdef";
	assert_int_equal(encode(p, v, wire), -ERANGE);
	assert_int_equal(encode(p, (struct tg_value) INT(1), wire), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_decoded_in_every_order),
		cmocka_unit_test(a_bit_of_a_register_counts_from_the_least_significant),
		cmocka_unit_test(a_whole_register_is_true_unless_zero),
		cmocka_unit_test(what_is_not_a_number_is_bad),
		cmocka_unit_test(floats_become_the_shortest_decimal_that_reads_back),
		cmocka_unit_test(a_number_can_sit_in_some_of_the_bits),
		cmocka_unit_test(half_a_register_is_its_low_byte),
		cmocka_unit_test(a_string_ends_where_people_end_it),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(a_part_leaves_the_rest_of_its_register_alone),
		cmocka_unit_test(a_string_is_filled_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
