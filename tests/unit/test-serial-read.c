/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/serial_read.h"

#include "tests/unit/test.h"

#include <string.h>

static struct tg_serial_read parsed(const char *text)
{
	struct tg_serial_read read;
	struct tg_fault why;

	if (tg_serial_read_parse(text, &read, &why) < 0)
		fail_msg("%s: %s", text, why.text);
	return read;
}

static void refused(const char *text, const char *word)
{
	struct tg_serial_read read = { .at = 77 };
	struct tg_fault why = { 0 };

	if (tg_serial_read_parse(text, &read, &why) >= 0)
		fail_msg("'%s' is accepted", text);
	if (!strstr(why.text, word))
		fail_msg("'%s': '%s' says nothing of '%s'", text, why.text, word);
	assert_int_equal(read.at, 77);
}

static void lines_are_read_whole_by_key_or_by_column(void **state)
{
	struct tg_serial_read r;

	(void) state;
	assert_int_equal(parsed("line text").source, TG_SERIAL_WHOLE);
	assert_int_equal(parsed("line text").form.kind, TG_TEXT_AS_IS);
	r = parsed("key temp");
	assert_true(r.source == TG_SERIAL_KEY && tg_slice_is(&r.name, "temp"));
	r = parsed("key \"room temp\" on=OPEN off=SHUT");
	assert_true(tg_slice_is(&r.name, "room temp") && tg_slice_is(&r.form.on, "OPEN"));
	r = parsed("column 12 hex");
	assert_true(r.source == TG_SERIAL_COLUMN && r.at == 12 && r.form.kind == TG_TEXT_HEX);
}

static void sentences_have_fields_by_number_and_by_name(void **state)
{
	struct tg_serial_read r = parsed("GGA 7");

	(void) state;
	assert_true(r.source == TG_SERIAL_SENTENCE && r.at == 7 && tg_slice_is(&r.name, "GGA"));
	assert_false(r.needs_fix);
	r = parsed("RMC speed");
	assert_true(r.at == 7 && r.needs_fix && !r.angle);
	r = parsed("RMC latitude");
	assert_true(r.at == 3 && r.needs_fix && r.angle);
	assert_int_equal(parsed("RMC status").form.kind, TG_TEXT_AS_IS);
	r = parsed("PGRME 1");
	assert_true(tg_slice_is(&r.name, "PGRME") && r.at == 1);
	r = parsed("XDR id=AIRTEMP");
	assert_true(r.source == TG_SERIAL_XDR && tg_slice_is(&r.name, "AIRTEMP"));
}

static void bytes_have_a_type_an_order_and_a_condition(void **state)
{
	struct tg_serial_read r = parsed("byte 4 int16 order=little when=1:A5");

	(void) state;
	assert_true(r.source == TG_SERIAL_BYTES && r.at == 4 && r.width == 2 && r.little);
	assert_int_equal(r.number, TG_SERIAL_INT);
	assert_true(r.when_at == 1 && r.when_len == 1 && r.when[0] == 0xa5);
	assert_int_equal(parsed("byte 0 uint8 bit=7").bit, 7);
	assert_int_equal(parsed("byte 0 float64").width, 8);
}

static void what_is_wrong_is_named(void **state)
{
	(void) state;
	refused("", "missing");
	refused("kee temp", "did you mean 'key'");
	refused("key", "missing");
	refused("column 0", "from 1");
	refused("column 3 bool on=A", "together");
	refused("column 3 on=A off=A", "same");
	refused("column 3 number on=A off=B", "bool");
	refused("column 3 number text", "exclude");
	refused("key temp order=little", "no place");
	refused("RMC sped", "did you mean 'speed'");
	refused("ZZZ speed", "no names");
	refused("GGA 0", "from 1");
	refused("GGA latitude number", "angle");
	refused("XDR 3", "id=NAME");
	refused("byte 4", "missing");
	refused("byte 4096 uint8", "4095");
	refused("byte 4 uin16", "did you mean 'uint16'");
	refused("byte 4 uint8 bit=8", "bit");
	refused("byte 4 float32 bit=1", "float");
	refused("byte 4 uint8 when=A5", "OFFSET:HEX");
	refused("byte 4 uint8 when=1:A5A", "hexadecimal");
	refused("key \"temp", "not closed");
	refused("key \"temp\"x", "behind a quotation mark");
	refused("key \"\"", "empty");
}

static void escapes_and_hexadecimal_make_bytes(void **state)
{
	struct tg_serial_bytes b = { .len = 0 };
	uint8_t out[4], n;

	(void) state;
	assert_int_equal(tg_serial_escape_parse("\\r\\n", &b, NULL), 0);
	assert_true(b.len == 2 && memcmp(b.data, "\r\n", 2) == 0);
	assert_int_equal(tg_serial_escape_parse("\\x03;\\0", &b, NULL), 0);
	assert_true(b.len == 3 && memcmp(b.data, "\x03;\0", 3) == 0);
	assert_int_equal(tg_serial_escape_parse("crlf", &b, NULL), 0);
	assert_true(b.len == 2 && memcmp(b.data, "\r\n", 2) == 0);
	assert_true(tg_serial_escape_parse("", &b, NULL) < 0);
	assert_true(tg_serial_escape_parse("\\", &b, NULL) < 0);
	assert_true(tg_serial_escape_parse("\\x3", &b, NULL) < 0);
	assert_true(tg_serial_escape_parse("123456789", &b, NULL) < 0);
	assert_int_equal(tg_serial_hex_parse("AA 55 0f", 8, out, sizeof(out), &n, NULL), 0);
	assert_true(n == 3 && out[0] == 0xaa && out[2] == 0x0f);
	assert_true(tg_serial_hex_parse("0102030405", 10, out, sizeof(out), &n, NULL) < 0);
	assert_true(tg_serial_hex_parse("0x01", 4, out, sizeof(out), &n, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read_whole_by_key_or_by_column),
		cmocka_unit_test(sentences_have_fields_by_number_and_by_name),
		cmocka_unit_test(bytes_have_a_type_an_order_and_a_condition),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(escapes_and_hexadecimal_make_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
