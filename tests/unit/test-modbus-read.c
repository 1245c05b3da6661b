/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/modbus_read.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct tg_modbus_read parsed(const char *text)
{
	struct tg_modbus_read read;
	struct tg_fault why;

	if (tg_modbus_read_parse(text, &read, &why) < 0)
		fail_msg("%s: %s", text, why.text);
	return read;
}

static bool same(struct tg_modbus_read a, struct tg_modbus_read b)
{
	return a.table == b.table && a.address == b.address && a.type == b.type &&
	       a.order == b.order && a.bit == b.bit && a.n_bits == b.n_bits && a.length == b.length;
}

static void words_say_table_address_type_order_and_bit(void **state)
{
	static const struct {
		const char *text;
		struct tg_modbus_read want;
	} cases[] = {
		{ "coil 0", { TG_MODBUS_COIL, 0, TG_MODBUS_BOOL, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "coil 7 bool", { TG_MODBUS_COIL, 7, TG_MODBUS_BOOL, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "discrete 65535",
		  { TG_MODBUS_DISCRETE, 65535, TG_MODBUS_BOOL, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "input 0x10",
		  { TG_MODBUS_INPUT, 16, TG_MODBUS_UINT16, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "holding 10",
		  { TG_MODBUS_HOLDING, 10, TG_MODBUS_UINT16, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "holding 10 int16",
		  { TG_MODBUS_HOLDING, 10, TG_MODBUS_INT16, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "holding 10 float32 order=CDAB",
		  { TG_MODBUS_HOLDING, 10, TG_MODBUS_FLOAT32, TG_ORDER_CDAB, -1, 0, 0 } },
		{ "holding\t10  order=BADC \t uint32",
		  { TG_MODBUS_HOLDING, 10, TG_MODBUS_UINT32, TG_ORDER_BADC, -1, 0, 0 } },
		{ "holding 65534 int32 order=DCBA",
		  { TG_MODBUS_HOLDING, 65534, TG_MODBUS_INT32, TG_ORDER_DCBA, -1, 0, 0 } },
		{ "input 65532 float64",
		  { TG_MODBUS_INPUT, 65532, TG_MODBUS_FLOAT64, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "input 1 int64",
		  { TG_MODBUS_INPUT, 1, TG_MODBUS_INT64, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "input 1 uint64",
		  { TG_MODBUS_INPUT, 1, TG_MODBUS_UINT64, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "holding 3 bit=0",
		  { TG_MODBUS_HOLDING, 3, TG_MODBUS_BOOL, TG_ORDER_ABCD, 0, 0, 0 } },
		{ "holding 3 bool bit=15 order=BADC",
		  { TG_MODBUS_HOLDING, 3, TG_MODBUS_BOOL, TG_ORDER_BADC, 15, 0, 0 } },
		{ "40011 float32 order=CDAB",
		  { TG_MODBUS_HOLDING, 10, TG_MODBUS_FLOAT32, TG_ORDER_CDAB, -1, 0, 0 } },
		{ "400011", { TG_MODBUS_HOLDING, 10, TG_MODBUS_UINT16, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "10001", { TG_MODBUS_DISCRETE, 0, TG_MODBUS_BOOL, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "00001", { TG_MODBUS_COIL, 0, TG_MODBUS_BOOL, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "holding 5 int8",
		  { TG_MODBUS_HOLDING, 5, TG_MODBUS_INT8, TG_ORDER_ABCD, -1, 0, 0 } },
		{ "holding 5 uint8 order=BADC",
		  { TG_MODBUS_HOLDING, 5, TG_MODBUS_UINT8, TG_ORDER_BADC, -1, 0, 0 } },
		{ "holding 5 bits=4..7",
		  { TG_MODBUS_HOLDING, 5, TG_MODBUS_UINT16, TG_ORDER_ABCD, 4, 4, 0 } },
		{ "holding 5 int32 bits=0..31 order=CDAB",
		  { TG_MODBUS_HOLDING, 5, TG_MODBUS_INT32, TG_ORDER_CDAB, 0, 32, 0 } },
		{ "input 5 uint64 bits=63..63",
		  { TG_MODBUS_INPUT, 5, TG_MODBUS_UINT64, TG_ORDER_ABCD, 63, 1, 0 } },
		{ "holding 100 string 17",
		  { TG_MODBUS_HOLDING, 100, TG_MODBUS_STRING, TG_ORDER_ABCD, -1, 0, 17 } },
		{ "40101 order=BADC string 250",
		  { TG_MODBUS_HOLDING, 100, TG_MODBUS_STRING, TG_ORDER_BADC, -1, 0, 250 } },
		{ "holding 65535 string 2",
		  { TG_MODBUS_HOLDING, 65535, TG_MODBUS_STRING, TG_ORDER_ABCD, -1, 0, 2 } },
		{ "30001 bit=4", { TG_MODBUS_INPUT, 0, TG_MODBUS_BOOL, TG_ORDER_ABCD, 4, 0, 0 } },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++)
		if (!same(parsed(cases[i].text), cases[i].want))
			fail_msg("%s: read as something else", cases[i].text);
}

/* Every number of five and of six digits: either the register that vendors mean, or refused. */
static void every_vendor_number_is_the_register_it_names_or_refused(void **state)
{
	static const int tables[] = { TG_MODBUS_COIL, TG_MODBUS_DISCRETE, -1, TG_MODBUS_INPUT,
				      TG_MODBUS_HOLDING };

	(void) state;
	for (unsigned digits = 5; digits <= 6; digits++) {
		unsigned power = digits == 5 ? 10000 : 100000;

		for (unsigned n = 0; n < 10 * power; n++) {
			unsigned leading = n / power, number = n % power;
			bool good = leading <= 4 && tables[leading] >= 0 && number >= 1 &&
				    number <= 65536;
			struct tg_modbus_read read;
			char text[16];
			int r;

			(void) snprintf(text, sizeof text, "%0*u", (int) digits, n);
			r = tg_modbus_read_parse(text, &read, NULL);
			if (r != (good ? 0 : -EINVAL))
				fail_msg("%s gave %d", text, r);
			if (good &&
			    ((int) read.table != tables[leading] || read.address != number - 1))
				fail_msg("%s is another register", text);
		}
	}
}

static void what_makes_no_sense_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", "empty" },
		{ "  ", "empty" },
		{ "holding", "an address is missing behind 'holding'" },
		{ "hloding 10", "did you mean 'holding'?" },
		{ "Holding 10", "did you mean 'holding'?" },
		{ "register 10", "possible: coil, discrete, input, holding" },
		{ "10", "did you mean 'holding 10'?" },
		{ "4001", "five or six digits" },
		{ "4000011", "five or six digits" },
		{ "20001", "the first digit names the table" },
		{ "40000", "count from 1" },
		{ "465537", "the last register is 465536" },
		{ "holding -1", "not an address" },
		{ "holding 65536", "not an address" },
		{ "holding 18446744073709551616", "not an address" },
		{ "holding 0x", "not an address" },
		{ "holding 10.5", "not an address" },
		{ "holding 10 float", "did you mean 'float32'?" },
		{ "holding 10 float32 int16", "has no place here" },
		{ "holding 10 order=CDAB order=CDAB", "has no place here" },
		{ "holding 10 bit=1 bit=2", "has no place here" },
		{ "holding 10 swap=yes", "has no place here" },
		{ "holding 10 float32 order=cdab", "possible: ABCD, CDAB, BADC, DCBA" },
		{ "holding 10 float32 order=", "order ''" },
		{ "holding 10 bit=16", "bit '16' is not 0 to 15" },
		{ "holding 10 bit=-1", "bit '-1' is not 0 to 15" },
		{ "holding 10 uint16 bit=1", "bit= makes a bool" },
		{ "holding 10 bits=4", "as bits=4..7" },
		{ "holding 10 bits=7..4", "as bits=4..7" },
		{ "holding 10 bits=0..64", "as bits=4..7" },
		{ "holding 10 bits=..4", "as bits=4..7" },
		{ "holding 10 bits=8..16", "past bit 15" },
		{ "holding 10 uint8 bits=0..8", "past bit 7" },
		{ "holding 10 float32 bits=0..8", "of an integer type" },
		{ "holding 10 bool bits=0..8", "of an integer type" },
		{ "holding 10 bit=1 bits=0..8", "has no place here" },
		{ "coil 1 bits=0..0", "a coil or discrete input is a bool" },
		{ "holding 10 string", "its length in bytes, 1 to 250" },
		{ "holding 10 string 0", "its length in bytes, 1 to 250" },
		{ "holding 10 string 251", "its length in bytes, 1 to 250" },
		{ "holding 10 string order=BADC", "its length in bytes, 1 to 250" },
		{ "holding 10 string 8 order=CDAB", "order=ABCD, or BADC" },
		{ "holding 10 string 8 bit=1", "bit= makes a bool" },
		{ "holding 65535 string 3", "past register 65535" },
		{ "coil 1 uint16", "a coil or discrete input is a bool" },
		{ "coil 1 order=ABCD", "a coil or discrete input is a bool" },
		{ "discrete 1 bit=0", "a coil or discrete input is a bool" },
		{ "holding 65535 uint32", "past register 65535" },
		{ "input 65533 float64", "past register 65535" },
		{ "465536 float32", "past register 65535" },
		{ "holding 10 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "is too "
										     "long" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_modbus_read read = { .address = 4711 };
		struct tg_fault why;

		assert_int_equal(tg_modbus_read_parse(cases[i].text, &read, &why), -EINVAL);
		assert_int_equal(read.address, 4711);
		if (!strstr(why.text, cases[i].reason))
			fail_msg("'%s': %s", cases[i].text, why.text);
		/* Nobody asks for the reason: the same answer. */
		assert_int_equal(tg_modbus_read_parse(cases[i].text, &read, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_say_table_address_type_order_and_bit),
		cmocka_unit_test(every_vendor_number_is_the_register_it_names_or_refused),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
