/* SPDX-License-Identifier: Apache-2.0 */

/* `read`, `set` and `init` of points and devices on i2c and spi. */
#include "config/bus/i2c_read.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static struct tg_i2c_transfer transfer;
static struct tg_raw raw;

static void parse(const char *text)
{
	struct tg_fault why;

	if (tg_i2c_read_parse(text, &transfer, &raw, &why) < 0)
		fail_msg("%s: %s", text, why.text);
}

static void a_register_is_written_and_a_value_read(void **state)
{
	(void) state;
	parse("write 0x00 read 2 int16 order=ABCD shift=5");
	assert_int_equal(transfer.n_write, 1);
	assert_int_equal(transfer.write[0], 0);
	assert_int_equal(transfer.n_read, 2);
	assert_false(transfer.split);
	assert_int_equal(transfer.check, TG_I2C_PLAIN);
	assert_int_equal(raw.form, TG_RAW_SIGNED);
	assert_int_equal(raw.size, 2);
	assert_int_equal(raw.shift, 5);
	assert_true(raw.mask == 0xffff);
}

/* SHT3x: a command of two bytes, 15 ms, two words with their CRCs. */
static void a_measurement_takes_its_time_and_has_checksums(void **state)
{
	(void) state;
	parse("write 24 00 delay=15ms read 6 crc8 uint16 at=2");
	assert_memory_equal(transfer.write, "\x24\x00", 2);
	assert_true(transfer.split);
	assert_int_equal(transfer.delay_us, 15000);
	assert_int_equal(transfer.check, TG_I2C_CRC8);
	assert_int_equal(tg_i2c_payload(&transfer), 4);
	assert_int_equal(raw.at, 2);
}

static void bytes_are_hexadecimal_in_either_notation(void **state)
{
	(void) state;
	parse("write 10 0x10 F 0xAf read 1 uint8");
	assert_int_equal(transfer.n_write, 4);
	assert_memory_equal(transfer.write, "\x10\x10\x0f\xaf", 4);
	parse("read 3 pec uint8 at=1 mask=0x7f");
	assert_int_equal(transfer.n_write, 0);
	assert_int_equal(transfer.check, TG_I2C_PEC);
	assert_true(raw.mask == 0x7f);
	parse("read 1 bit=7");
	assert_int_equal(raw.form, TG_RAW_BOOL);
	assert_true(raw.mask == 0x80);
	parse("read 2 uint16 order=little bit=9");
	assert_int_equal(raw.order, TG_RAW_DCBA);
	assert_true(raw.mask == 0x200);
}

static void what_makes_no_sense_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", "'read N' is missing" },
		{ "write", "behind 'write' come bytes" },
		{ "write read 2 uint16", "behind 'write' come bytes, as 0x1f or 1f, not 'read'" },
		{ "write 00", "'read N' is missing" },
		{ "write 100 read 2 uint16", "not '100'" },
		{ "write 00 10x read 2 uint16", "'10x' stands there" },
		{ "write 0 1 2 3 4 5 6 7 8 9 a b c d e f 0 read 1 uint8", "more than 16 bytes" },
		{ "delay=5ms read 2 uint16", "a pause behind a write" },
		{ "write 0 delay=6s read 2 uint16", "not a duration from 0s to 5s" },
		{ "write 0 delay=5 read 2 uint16", "not a duration from 0s to 5s" },
		{ "write 0 delay=5ms delay=5ms read 2 uint16", "given once" },
		{ "read 0 uint8", "read '0' is not 1 to 64" },
		{ "read 65 uint8", "read '65' is not 1 to 64" },
		{ "read uint8", "read 'uint8' is not 1 to 64" },
		{ "read 2", "a TYPE is missing" },
		{ "read 2 unit16", "did you mean 'int16'?" },
		{ "read 2 int 16", "did you mean 'int8'?" },
		{ "read 2 uint16 int16", "stands once" },
		{ "read 2 uint16 at=0 at=0", "stands once" },
		{ "read 2 uint16 crc8 crc8", "has no place here" },
		{ "read 2 uint16 crc8", "read 3, 6, 9" },
		{ "read 1 uint8 pec", "needs a byte that it checks" },
		{ "read 2 uint16 at=1", "reaches past the 2 bytes" },
		{ "read 3 crc8 uint16 at=1", "reaches past the 2 bytes" },
		{ "read 2 uint32", "reaches past the 2 bytes" },
		{ "read 2 uint16 order=CDAB", "orders of 4 or 8 bytes" },
		{ "read 2 uint16 order=abcd", "possible: ABCD, CDAB, BADC, DCBA, big, little" },
		{ "read 2 uint16 mask=0x10000", "is wider than the value" },
		{ "read 2 uint16 mask=0", "mask '0' is not" },
		{ "read 2 uint16 shift=16", "leaves nothing" },
		{ "read 2 uint16 mask=0xf shift=4", "leaves nothing" },
		{ "read 4 float32 shift=1", "a float has no mask=" },
		{ "read 2 int16 bit=1", "of an unsigned TYPE" },
		{ "read 2 uint16 bit=16", "bit 16 is not in 16 bits" },
		{ "read 2 uint16 bit=1 mask=2", "goes without mask=" },
		{ "read 2 uint16 "
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "is too long" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_i2c_transfer t = { .n_read = 77 };
		struct tg_fault why = { .text = "" };

		if (tg_i2c_read_parse(cases[i].text, &t, &raw, &why) != -EINVAL)
			fail_msg("'%s' was taken", cases[i].text);
		assert_int_equal(t.n_read, 77);
		if (!strstr(why.text, cases[i].reason))
			fail_msg("'%s': %s", cases[i].text, why.text);
		assert_int_equal(tg_i2c_read_parse(cases[i].text, &t, &raw, NULL), -EINVAL);
	}
}

static void set_is_constant_bytes_round_the_value(void **state)
{
	static const char *const wrong[] = {
		"wrote 01 value",       "write 01", "write value value",
		"write 01 0x123 value", "01 value", "write 0 1 2 3 4 5 6 7 8 9 a b c d e f 0 value"
	};
	struct tg_raw_set set = { .given = true };

	(void) state;
	assert_int_equal(tg_raw_set_parse("write 01 0x02 value ff", "write", &set, NULL), 0);
	assert_true(set.given);
	assert_int_equal(set.n_before, 2);
	assert_memory_equal(set.before, "\x01\x02", 2);
	assert_int_equal(set.n_after, 1);
	assert_int_equal(set.after[0], 0xff);
	assert_int_equal(tg_raw_set_parse("", "write", &set, NULL), 0);
	assert_false(set.given);
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
		assert_int_equal(tg_raw_set_parse(wrong[i], "write", &set, NULL), -EINVAL);
}

static void a_chip_is_set_up_by_several_writes(void **state)
{
	static const char *const wrong[] = { "f4 27",
					     "write",
					     "write f4,",
					     "write f4 read 1",
					     "write f4 27 write f5 a0",
					     "write f4,, write 1" };
	struct tg_i2c_device dev = { .address = 0x76 };

	(void) state;
	assert_int_equal(tg_i2c_init_parse("write f4 27, write f5 a0", &dev, NULL), 0);
	assert_int_equal(dev.n_init, 2);
	assert_int_equal(dev.init[1].n, 2);
	assert_memory_equal(dev.init[1].bytes, "\xf5\xa0", 2);
	assert_int_equal(dev.address, 0x76);
	for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
		if (tg_i2c_init_parse(wrong[i], &dev, NULL) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
	assert_int_equal(dev.n_init, 2);
	assert_int_equal(tg_i2c_init_parse("", &dev, NULL), 0);
	assert_int_equal(dev.n_init, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_register_is_written_and_a_value_read),
		cmocka_unit_test(a_measurement_takes_its_time_and_has_checksums),
		cmocka_unit_test(bytes_are_hexadecimal_in_either_notation),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_a_reason),
		cmocka_unit_test(set_is_constant_bytes_round_the_value),
		cmocka_unit_test(a_chip_is_set_up_by_several_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
