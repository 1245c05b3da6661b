/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/serial/extract.h"

#include "config/bus/serial_read.h"
#include "tests/unit/test.h"

#include <math.h>
#include <string.h>

static struct tg_text_room room;
static struct tg_config_device dev = { .serial = { .talker = (char *) "",
						   .match = (char *) "",
						   .separator = { ",", 1 },
						   .assign = { "=", 1 } } };

/* What @frame says to a point with this read. Returns whether it says anything. */
static bool said(const char *read, const char *frame, size_t len, struct tg_sample *ret)
{
	struct tg_config_point point = { .read = (char *) read };
	struct tg_fault why;

	*ret = (struct tg_sample){ .quality = TG_STALE, .reason = "" };
	if (tg_serial_read_parse(read, &point.serial, &why) < 0)
		fail_msg("%s: %s", read, why.text);
	return tg_serial_extract(&dev, &point, (const uint8_t *) frame, len, &room, ret);
}

static double number(const char *read, const char *frame)
{
	struct tg_sample s;

	if (!said(read, frame, strlen(frame), &s) || s.quality != TG_GOOD)
		fail_msg("%s of %s: %s", read, frame, s.reason);
	if (s.value.type == TG_VALUE_INT)
		return (double) s.value.i;
	assert_int_equal(s.value.type, TG_VALUE_REAL);
	return s.value.real;
}

static void bad(const char *read, const char *frame, const char *reason)
{
	struct tg_sample s;

	assert_true(said(read, frame, strlen(frame), &s));
	if (s.quality != TG_BAD || !strstr(s.reason, reason))
		fail_msg("%s of %s: '%s' is not '%s'", read, frame, s.reason, reason);
}

static bool silent(const char *read, const char *frame)
{
	struct tg_sample s;

	return !said(read, frame, strlen(frame), &s);
}

static void columns_count_from_one(void **state)
{
	(void) state;
	assert_true(number("column 1", "21.5,40,x") == 21.5);
	assert_true(number("column 2", "21.5, 40 ,x") == 40);
	assert_true(number("column 3", "a,b,\"7\"") == 7);
	bad("column 4", "21.5,40,x", "no column 4");
	bad("column 2", "21.5,,x", "empty");
	bad("column 3", "21.5,40,x", "not a number: 'x'");
}

static void keys_are_whole_words(void **state)
{
	const char *line = "t=21.5 rt=3,hum = 40;note=\"a b=1\" c=%";

	(void) state;
	assert_true(number("key t", line) == 21.5);
	assert_true(number("key rt", line) == 3);
	assert_true(number("key hum", line) == 40);
	assert_true(silent("key um", line));
	assert_true(silent("key tt", line));
	bad("key c", line, "not a number");
	dev.serial.assign.data[0] = ':';
	assert_true(number("key temp", "{temp: 21.5}") == 21.5);
	dev.serial.assign.data[0] = '=';
}

static void a_line_is_read_behind_what_it_must_begin_with(void **state)
{
	const struct tg_serial_bus bus = { .framing = TG_SERIAL_LINES };

	(void) state;
	dev.serial.match = (char *) "S1 ";
	assert_true(tg_serial_is_for(&bus, &dev, (const uint8_t *) "S1 21.5", 7));
	assert_false(tg_serial_is_for(&bus, &dev, (const uint8_t *) "S2 21.5", 7));
	assert_false(tg_serial_is_for(&bus, &dev, (const uint8_t *) "S", 1));
	assert_true(number("line", "S1 21.5") == 21.5);
	dev.serial.match = (char *) "";
}

#define GGA "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
#define RMC "$GPRMC,123519,A,4807.038,N,01131.000,W,022.4,084.4,230394,003.1,W"

static void sentences_have_fields_by_number(void **state)
{
	(void) state;
	assert_true(number("GGA 7", GGA) == 8);
	assert_true(number("GGA altitude", GGA) == 545.4);
	assert_true(number("RMC speed", RMC) == 22.4);
	assert_true(silent("RMC speed", GGA));
	assert_true(silent("GGA 7", "$GPGGAX,1,2,3,4,5,6,7,8"));
	bad("GGA 14", GGA, "empty");
	bad("GGA 15", GGA, "no field 15");
}

static void angles_become_degrees_and_have_a_sign(void **state)
{
	(void) state;
	assert_true(fabs(number("GGA latitude", GGA) - 48.1173) < 1e-9);
	assert_true(fabs(number("GGA longitude", GGA) - 11.516666666) < 1e-6);
	assert_true(fabs(number("RMC longitude", RMC) + 11.516666666) < 1e-6);
	assert_true(fabs(number("GLL latitude", "$GPGLL,4916.45,S,12311.12,W,225444,A,") +
			 49.274166666) < 1e-6);
	bad("GLL latitude", "$GPGLL,9100.00,N,0,E,1,A,", "angle");
	bad("GLL latitude", "$GPGLL,4960.00,N,0,E,1,A,", "angle");
	bad("GLL latitude", "$GPGLL,916.45,N,0,E,1,A,", "angle");
	bad("GLL latitude", "$GPGLL,4916.45,X,0,E,1,A,", "angle");
	bad("GLL latitude", "$GPGLL,-4916.45,N,0,E,1,A,", "angle");
}

static void without_a_fix_there_is_no_position(void **state)
{
	(void) state;
	bad("GGA latitude", "$GPGGA,123519,,,,,0,00,,,M,,M,,", "no fix");
	bad("RMC speed", "$GPRMC,123519,V,,,,,,,230394,,", "no fix");
	assert_true(number("GGA satellites", "$GPGGA,123519,,,,,0,00,,,M,,M,,") == 0);
	bad("MWV speed", "$WIMWV,270,R,5.2,M,V", "no fix");
	assert_true(number("MWV speed", "$WIMWV,270,R,5.2,M,A") == 5.2);
}

static void talkers_are_any_or_one(void **state)
{
	const struct tg_serial_bus bus = { .framing = TG_SERIAL_NMEA };

	(void) state;
	assert_true(number("GGA 7", "$GNGGA,123519,4807.038,N,01131.000,E,1,12,0.9") == 12);
	assert_true(tg_serial_is_for(&bus, &dev, (const uint8_t *) GGA, sizeof(GGA) - 1));
	dev.serial.talker = (char *) "GN";
	assert_false(tg_serial_is_for(&bus, &dev, (const uint8_t *) GGA, sizeof(GGA) - 1));
	dev.serial.talker = (char *) "";
	/* A maker's own sentence is known by its whole name. */
	assert_true(number("PGRME 1", "$PGRME,15.0,M,45.0,M,25.0,M") == 15);
	assert_true(silent("RME 1", "$PGRME,15.0,M,45.0,M,25.0,M"));
}

static void transducers_are_found_by_name(void **state)
{
	const char *xdr = "$YXXDR,C,19.52,C,TempAir,P,1.02481,B,Barometer,A,,D,PITCH";

	(void) state;
	assert_true(number("XDR id=TempAir", xdr) == 19.52);
	assert_true(number("XDR id=Barometer", xdr) == 1.02481);
	bad("XDR id=PITCH", xdr, "empty");
	assert_true(silent("XDR id=Temp", xdr));
}

static void bytes_have_both_orders_signs_and_floats(void **state)
{
	static const char frame[] = "\xaa\xff\xfe\x80\x41\xac\x00\x00\x00\x00\xc0\x7f";
	size_t len = sizeof(frame) - 1;
	struct tg_sample s;

	(void) state;
	assert_true(said("byte 1 int16", frame, len, &s) && s.value.i == -2);
	assert_true(said("byte 1 int16 order=little", frame, len, &s) && s.value.i == -257);
	assert_true(said("byte 1 uint16", frame, len, &s) && s.value.u == 0xfffe);
	assert_true(said("byte 3 int8", frame, len, &s) && s.value.i == -128);
	assert_true(said("byte 4 float32", frame, len, &s) && s.value.real == 21.5);
	assert_true(said("byte 3 uint8 bit=7", frame, len, &s) && s.value.b);
	assert_true(said("byte 1 int64", frame, len, &s) &&
		    s.value.i == (int64_t) UINT64_C(0xfffe8041ac000000));
	assert_true(said("byte 8 float32 order=little", frame, len, &s) && s.quality == TG_BAD);
	assert_true(said("byte 11 uint16", frame, len, &s) && s.quality == TG_BAD);
	assert_true(said("byte 1 uint8 when=0:AA", frame, len, &s));
	assert_false(said("byte 1 uint8 when=0:AB", frame, len, &s));
	assert_false(said("byte 1 uint8 when=11:7F00", frame, len, &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_count_from_one),
		cmocka_unit_test(keys_are_whole_words),
		cmocka_unit_test(a_line_is_read_behind_what_it_must_begin_with),
		cmocka_unit_test(sentences_have_fields_by_number),
		cmocka_unit_test(angles_become_degrees_and_have_a_sign),
		cmocka_unit_test(without_a_fix_there_is_no_position),
		cmocka_unit_test(talkers_are_any_or_one),
		cmocka_unit_test(transducers_are_found_by_name),
		cmocka_unit_test(bytes_have_both_orders_signs_and_floats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
