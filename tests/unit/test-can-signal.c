/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/j1939.h"
#include "agent/bus/can/signal.h"
#include "agent/bus/can/stamp.h"
#include "config/bus/can_read.h"

#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static char room[TG_TEXT_MAX + 1];

static struct tg_can_read reading(const char *text)
{
	struct tg_can_read read;
	struct tg_fault why;

	if (tg_can_read_parse(text, &read, &why) < 0)
		fail_msg("%s: %s", text, why.text);
	return read;
}

/* The value of @text in bytes given in hex. */
static struct tg_sample sample_of(const char *text, const char *hex)
{
	struct tg_can_read read = reading(text);
	struct tg_sample s = { 0 };
	uint8_t data[64];
	size_t n = 0;

	for (; *hex; hex += *hex == ' ') {
		char byte[3] = { hex[0], hex[1] };

		data[n++] = (uint8_t) strtoul(byte, NULL, 16);
		hex += 2;
	}
	assert_true(tg_can_signal(&read, data, n, room, &s));
	return s;
}

static void expect_uint(const char *text, const char *hex, uint64_t want)
{
	struct tg_sample s = sample_of(text, hex);

	assert_int_equal(s.quality, TG_GOOD);
	assert_int_equal(s.value.type, TG_VALUE_UINT);
	assert_int_equal(s.value.u, want);
}

static void expect_int(const char *text, const char *hex, int64_t want)
{
	struct tg_sample s = sample_of(text, hex);

	assert_int_equal(s.quality, TG_GOOD);
	assert_int_equal(s.value.type, TG_VALUE_INT);
	assert_int_equal(s.value.i, want);
}

static void expect_bad(const char *text, const char *hex, const char *reason)
{
	struct tg_sample s = sample_of(text, hex);

	assert_int_equal(s.quality, TG_BAD);
	assert_int_equal(s.value.type, TG_VALUE_NONE);
	assert_string_equal(s.reason, reason);
}

/*
 * The message ExampleMessage of the DBC file that the MotoHawk tools come with: BO_ 496, Enable 7|1@0+, AverageRadius
 * 6|6@0+ (0.1,0), Temperature 0|12@0- (0.01,250). These bytes are enabled, 3.2 m, 250.55 K.
 */
static void motorola_signals_are_where_dbc_files_put_them(void **state)
{
	static const char frame[] = "c0 06 e0 00 00 00 00 00";
	struct tg_sample s = sample_of("id=496 7|1@0+", frame);

	(void) state;
	assert_int_equal(s.value.type, TG_VALUE_BOOL);
	assert_true(s.value.b);
	expect_uint("id=496 6|6@0+", frame, 32);
	expect_int("id=496 0|12@0-", frame, 55);
	expect_uint("id=496 start=6 length=6 order=big", frame, 32);
}

/* J1939-71: engine speed, SPN 190, bytes 4 and 5 of PGN 61444, 0.125 rpm a bit; wheel speed, SPN 84; coolant, SPN 110. */
static void parameters_of_j1939_have_the_resolution_of_the_standard(void **state)
{
	(void) state;
	expect_uint("pgn=61444 24|16@1+", "ff ff ff 68 13 ff ff ff", 4968);  /* 621 rpm */
	expect_uint("pgn=65265 8|16@1+", "ff 00 50 ff ff ff ff ff", 0x5000); /* 80 km/h */
	expect_uint("pgn=65262 0|8@1+", "82 ff ff ff ff ff ff ff", 130);     /* 90 Cel */
}

static void floats_of_both_orders_and_lengths_are_read(void **state)
{
	struct tg_sample s = sample_of("id=1 0|32@1- float", "00 00 c8 41");

	(void) state;
	assert_int_equal(s.value.type, TG_VALUE_REAL);
	assert_true(s.value.real == 25.0);
	s = sample_of("id=1 7|32@0- float", "41 c8 00 00");
	assert_true(s.value.real == 25.0);
	s = sample_of("id=1 0|64@1- float", "00 00 00 00 00 00 f8 bf");
	assert_true(s.value.real == -1.5);
	expect_bad("id=1 0|32@1- float", "00 00 c0 7f", "not a number");
	expect_bad("id=1 0|32@1- float", "00 00 80 ff", "infinite");
}

static void signs_reach_from_one_bit_to_sixty_four(void **state)
{
	(void) state;
	expect_int("id=1 0|1@1- signed", "01", -1);
	expect_int("id=1 4|4@1-", "7f", 7);
	expect_int("id=1 4|4@1-", "8f", -8);
	expect_int("id=1 0|64@1-", "ff ff ff ff ff ff ff ff", -1);
	expect_int("id=1 7|64@0-", "80 00 00 00 00 00 00 00", INT64_MIN);
	expect_uint("id=1 0|64@1+", "ff ff ff ff ff ff ff ff", UINT64_MAX);
}

/* Another way to the same bits: write each bit of the frame down in the order of the signal, and read the number. */
static uint64_t spelt(const struct tg_can_field *f, const uint8_t *data)
{
	uint64_t v = 0;
	unsigned first = f->big ? f->start / 8 * 8 + (7 - f->start % 8) : f->start;

	for (unsigned i = 0; i < f->length; i++) {
		unsigned at = f->big ? first + i : first + f->length - 1 - i;
		unsigned bit = f->big ? 7 - at % 8 : at % 8;

		v = v * 2 + (data[at / 8] & (1u << bit) ? 1 : 0);
	}
	return v;
}

static void every_place_in_a_frame_gives_its_own_bits(void **state)
{
	uint8_t data[TG_CAN_FRAME];
	size_t checked = 0;

	(void) state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t) (i * 151 + 43) ^ (uint8_t) (i >> 1);
	for (unsigned start = 0; start < 512; start++) {
		for (unsigned length = 1; length <= 64; length++) {
			for (int big = 0; big <= 1; big++) {
				struct tg_can_field f = { (uint16_t) start, (uint16_t) length, big };

				if (tg_can_field_bytes(&f) > sizeof(data))
					continue;
				assert_true(tg_can_bits(&f, data) == spelt(&f, data));
				checked++;
			}
		}
	}
	assert_true(checked > 50000);
}

static void a_frame_that_is_too_short_says_so(void **state)
{
	(void) state;
	expect_bad("id=1 24|16@1+", "01 02 03 04", "frame of 4 bytes, 5 are needed");
	expect_bad("id=1 31|16@0+", "01 02 03 04", "frame of 4 bytes, 5 are needed");
	expect_uint("id=1 23|16@0+", "01 02 03 04", 0x304);
	expect_bad("pgn=65260 64|8@1+", "00 00 00 00 00 00 00 00", "group of 8 bytes, 9 are needed");
	expect_bad("id=1 8|8@1+", "", "frame of 0 bytes, 2 are needed");
}

static void only_the_selected_multiplex_says_something(void **state)
{
	struct tg_can_read read = reading("id=1 8|8@1+ mux=0|4@1:2-3 mux=7|4@0:5");
	static const uint8_t both[] = { 0x52, 0x11 }, low[] = { 0x51, 0x11 }, high[] = { 0x63, 0x11 };
	struct tg_sample s = { 0 };

	(void) state;
	assert_true(tg_can_signal(&read, both, 2, room, &s));
	assert_int_equal(s.value.u, 0x11);
	assert_false(tg_can_signal(&read, low, 2, room, &s));
	assert_false(tg_can_signal(&read, high, 2, room, &s));
	/* The multiplexer is not there, so it selects nothing; selected, but cut short. */
	assert_false(tg_can_signal(&read, both, 0, room, &s));
	assert_true(tg_can_signal(&read, both, 1, room, &s));
	assert_int_equal(s.quality, TG_BAD);
}

/* J1939-71, transmitted signal ranges. */
static void what_j1939_calls_no_value_is_bad(void **state)
{
	static const struct {
		const char *read, *frame, *reason;
	} cases[] = {
		{ "pgn=61444 0|8@1+", "ff", "not available" },
		{ "pgn=61444 0|8@1+", "fe", "the sender reports an error" },
		{ "pgn=61444 0|8@1+", "fc", "a reserved value" },
		{ "pgn=61444 0|8@1+", "fb", "a parameter-specific indicator" },
		{ "pgn=61444 0|16@1+", "00 ff", "not available" },
		{ "pgn=61444 0|16@1+", "ff fe", "the sender reports an error" },
		{ "pgn=61444 0|16@1+", "00 fd", "a reserved value" },
		{ "pgn=61444 0|32@1+", "00 00 00 fb", "a parameter-specific indicator" },
		{ "pgn=61444 0|2@1+", "03", "not available" },
		{ "pgn=61444 2|2@1+", "08", "the sender reports an error" },
		{ "pgn=61444 0|4@1+", "0f", "not available" },
		{ "pgn=65260 0|64@1+ text", "ff ff ff ff ff ff ff ff", "not available" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++)
		expect_bad(cases[i].read, cases[i].frame, cases[i].reason);
	expect_uint("pgn=61444 0|8@1+", "fa", 250);
	expect_uint("pgn=61444 0|16@1+", "ff fa", 0xfaff);
	expect_uint("pgn=61444 0|2@1+", "01", 1);
	expect_uint("pgn=61444 0|8@1+ plain", "ff", 255);
	expect_uint("id=1 0|8@1+", "ff", 255);
	expect_int("pgn=61444 0|8@1-", "ff", -1);
}

static void texts_end_where_the_sender_ends_them(void **state)
{
	static const struct {
		const char *read, *frame, *want;
	} cases[] = {
		/* "AB12*" as a vehicle identification of variable length; the same with a fixed one. */
		{ "pgn=65260 start=0 text", "41 42 31 32 2a 5a", "AB12" },
		{ "pgn=65260 start=8 text length=32", "41 42 31 32 2a 5a", "B12*" },
		{ "id=1 start=0 text", "41 42 00 58", "AB" },
		{ "id=1 start=0 text", "41 42 20 20 ff", "AB" },
		{ "id=1 start=0 text", "41 07 c3", "A??" },
		{ "id=1 start=0 text", "00", "" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_sample s = sample_of(cases[i].read, cases[i].frame);

		assert_int_equal(s.value.type, TG_VALUE_TEXT);
		assert_string_equal(s.value.text, cases[i].want);
	}
	expect_bad("id=1 start=16 text", "41 42", "frame of 2 bytes, 3 are needed");
}

static void a_text_longer_than_a_value_may_be_is_bad(void **state)
{
	struct tg_can_read read = reading("pgn=65260 start=0 text");
	static uint8_t data[TG_J1939_SIZE];
	struct tg_sample s = { 0 };

	(void) state;
	memset(data, 'x', sizeof(data));
	assert_true(tg_can_signal(&read, data, sizeof(data), room, &s));
	assert_string_equal(s.reason, "text too long");
	assert_true(tg_can_signal(&read, data, TG_TEXT_MAX, room, &s));
	assert_int_equal(strlen(s.value.text), TG_TEXT_MAX);
}

/* J1939-21, 5.2: engine speed from the engine; a request to address 33 from 249; address claims; the second data page. */
static void identifiers_have_group_and_source(void **state)
{
	(void) state;
	assert_int_equal(tg_j1939_pgn(0x0cf00400), 61444);
	assert_int_equal(tg_j1939_source(0x0cf00400), 0);
	assert_int_equal(tg_j1939_pgn(0x18ea21f9), 59904);
	assert_int_equal(tg_j1939_source(0x18ea21f9), 0xf9);
	assert_int_equal(tg_j1939_pgn(0x18eeff03), 60928);
	assert_int_equal(tg_j1939_pgn(0x19f11203), 0x1f112);
	for (uint32_t pgn = 0; pgn <= 0x1ffff; pgn++) {
		uint32_t id = 0x0c000031 | tg_j1939_id(pgn);

		if ((pgn >> 8 & 0xff) < 240 && pgn & 0xff)
			continue;
		assert_int_equal(tg_j1939_pgn(id), pgn);
		assert_int_equal(id & tg_j1939_mask(pgn), tg_j1939_id(pgn));
	}
}

/* Interrupts are up to 900 us late, the clocks drift by 50 ppm, and one is set in between. */
static void the_controllers_clock_takes_the_jitter_away(void **state)
{
	struct tg_can_stamps s = { 0 };
	uint64_t controller = 77, kernel = 5000000000;

	(void) state;
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t late = i * 7919 % 900, stamp;

		if (i == 10000)
			controller = 3;
		controller += 10000;
		kernel += 10000 + i % 2;
		stamp = tg_can_stamp(&s, kernel + late, controller);
		assert_true(stamp <= kernel + late);
		if (i % 10000 > 1000)
			assert_in_range(stamp, kernel - 100, kernel + 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(motorola_signals_are_where_dbc_files_put_them),
		cmocka_unit_test(parameters_of_j1939_have_the_resolution_of_the_standard),
		cmocka_unit_test(floats_of_both_orders_and_lengths_are_read),
		cmocka_unit_test(signs_reach_from_one_bit_to_sixty_four),
		cmocka_unit_test(every_place_in_a_frame_gives_its_own_bits),
		cmocka_unit_test(a_frame_that_is_too_short_says_so),
		cmocka_unit_test(only_the_selected_multiplex_says_something),
		cmocka_unit_test(what_j1939_calls_no_value_is_bad),
		cmocka_unit_test(texts_end_where_the_sender_ends_them),
		cmocka_unit_test(a_text_longer_than_a_value_may_be_is_bad),
		cmocka_unit_test(identifiers_have_group_and_source),
		cmocka_unit_test(the_controllers_clock_takes_the_jitter_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
