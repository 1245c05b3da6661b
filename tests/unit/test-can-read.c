/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/can_read.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static struct tg_can_read parsed(const char *text)
{
	struct tg_can_read read;
	struct tg_fault why;

	if (tg_can_read_parse(text, &read, &why) < 0)
		fail_msg("%s: %s", text, why.text);
	return read;
}

static bool same_field(struct tg_can_field a, struct tg_can_field b)
{
	return a.start == b.start && a.length == b.length && a.big == b.big;
}

static void words_say_frame_place_and_kind(void **state)
{
	static const struct {
		const char *text;
		uint32_t id;
		bool extended;
		struct tg_can_field field;
		enum tg_can_kind kind;
	} cases[] = {
		{ "id=0x123 start=0 length=16", 0x123, false, { 0, 16, false }, TG_CAN_UNSIGNED },
		{ "id=291 start=7 length=16 order=big", 0x123, false, { 7, 16, true }, TG_CAN_UNSIGNED },
		{ "id=0x7ff start=63 length=1", 0x7ff, false, { 63, 1, false }, TG_CAN_BOOL },
		{ "id=0x800 start=0 length=1 unsigned", 0x800, true, { 0, 1, false }, TG_CAN_UNSIGNED },
		{ "id=0x123 extended start=0 length=8", 0x123, true, { 0, 8, false }, TG_CAN_UNSIGNED },
		{ "start=8 signed\tlength=12  id=1 order=little", 1, false, { 8, 12, false }, TG_CAN_SIGNED },
		{ "id=1 start=0 length=32 float", 1, false, { 0, 32, false }, TG_CAN_FLOAT },
		{ "id=1 start=7 length=64 float order=big", 1, false, { 7, 64, true }, TG_CAN_FLOAT },
		{ "id=1 start=0 text length=64", 1, false, { 0, 64, false }, TG_CAN_TEXT },
		{ "id=1 start=16 text", 1, false, { 16, 0, false }, TG_CAN_TEXT },
		{ "id=0 start=504 length=8", 0, false, { 504, 8, false }, TG_CAN_UNSIGNED },
		/* As DBC files have it: place, sign, and identifiers of 29 bits with bit 31 set. */
		{ "id=100 24|12@0-", 100, false, { 24, 12, true }, TG_CAN_SIGNED },
		{ "id=2364540158 24|16@1+", 0x0cf004fe, true, { 24, 16, false }, TG_CAN_UNSIGNED },
		{ "id=0x80000123 0|8@1", 0x123, true, { 0, 8, false }, TG_CAN_UNSIGNED },
		{ "id=100 7|1@1+", 100, false, { 7, 1, false }, TG_CAN_BOOL },
		{ "id=100 7|1@1- signed", 100, false, { 7, 1, false }, TG_CAN_SIGNED },
		{ "id=100 float 0|32@1-", 100, false, { 0, 32, false }, TG_CAN_FLOAT },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_can_read read = parsed(cases[i].text);

		if (read.id != cases[i].id || read.extended != cases[i].extended || read.j1939 ||
		    read.kind != cases[i].kind || !same_field(read.field, cases[i].field))
			fail_msg("%s: read as something else", cases[i].text);
	}
}

static void groups_have_a_number_and_maybe_a_source(void **state)
{
	struct tg_can_read read = parsed("pgn=61444 start=24 length=16");

	(void) state;
	assert_true(read.j1939 && read.extended && !read.plain);
	assert_int_equal(read.id, 61444);
	assert_int_equal(read.source, TG_CAN_ANY);

	read = parsed("pgn=0xfef1 source=0x00 8|16@1+ plain");
	assert_int_equal(read.source, 0);
	assert_true(read.plain);

	read = parsed("pgn=65253 request=1m 0|32@1+");
	assert_int_equal(read.request_us, 60000000);

	/* The last byte that the transport protocol can carry. */
	read = parsed("pgn=65260 source=253 start=14272 length=8");
	assert_int_equal(tg_can_field_bytes(&read.field), TG_J1939_SIZE);
}

static void multiplexers_nest(void **state)
{
	struct tg_can_read read = parsed("id=0x4b0 8|16@1+ mux=0|8@1:3 mux=7|4@0+:2-0xe");

	(void) state;
	assert_int_equal(read.n_mux, 2);
	assert_true(same_field(read.mux[0].field, (struct tg_can_field){ 0, 8, false }));
	assert_int_equal(read.mux[0].first, 3);
	assert_int_equal(read.mux[0].last, 3);
	assert_true(same_field(read.mux[1].field, (struct tg_can_field){ 7, 4, true }));
	assert_int_equal(read.mux[1].first, 2);
	assert_int_equal(read.mux[1].last, 14);
}

static void what_makes_no_sense_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", "one of id= and pgn=" },
		{ "start=0 length=8", "one of id= and pgn=" },
		{ "id=1 pgn=61444 start=0 length=8", "one of id= and pgn=" },
		{ "id=1", "start= is missing" },
		{ "id=1 start=0", "length= is missing" },
		{ "id=1 length=8", "start= is missing" },
		{ "id=1 start=0 lenght=8", "did you mean 'length'?" },
		{ "id=1 start=0 length=8 singed", "did you mean 'signed'?" },
		{ "id=1 start=0 length=8 order=bigg", "did you mean 'big'?" },
		{ "id=1 start=0 length=8 start=1", "start= stands there twice" },
		{ "id=1 start=0 length=8 signed float", "'float': a second kind" },
		{ "id=0x20000000 start=0 length=8", "is not 0 to 0x1fffffff" },
		{ "id=-1 start=0 length=8", "is not 0 to 0x1fffffff" },
		{ "id=0xa0000000 start=0 length=8", "is not 0 to 0x1fffffff" },
		{ "pgn=131072 start=0 length=8", "is not 0 to 131071" },
		{ "pgn=0xea01 start=0 length=8", "did you mean 59904?" },
		{ "pgn=61444 source=254 start=0 length=8", "source '254' is not 0 to 253" },
		{ "id=1 source=1 start=0 length=8", "go with pgn=" },
		{ "id=1 request=5s start=0 length=8", "go with pgn=" },
		{ "pgn=65253 request=5 start=0 length=8", "request '5' is not" },
		{ "pgn=65253 request=10ms start=0 length=8", "is not 1s to 30d" },
		{ "id=1 plain start=0 length=8", "go with pgn=" },
		{ "id=1 start=0 length=0", "is not a number of bits" },
		{ "id=1 start=0 length=65", "at most 64 bits" },
		{ "id=1 start=505 length=8", "the signal ends in byte 65" },
		{ "id=1 start=504 length=2 order=big", "the signal ends in byte 65" },
		{ "pgn=65260 start=14273 length=8", "the signal ends in byte 1786" },
		{ "id=1 start=0 length=8 mux=600|8@1:1", "the signal ends in byte 76" },
		{ "id=1 start=0 length=16 float", "a float has length 32 or 64" },
		{ "id=1 start=0 length=2 bool", "a bool has length 1" },
		{ "id=1 start=4 length=8 text", "whole bytes" },
		{ "id=1 start=0 length=12 text", "whole bytes" },
		{ "id=1 start=0 length=8 text order=big", "whole bytes" },
		{ "id=1 24|16", "START|LENGTH@ORDER" },
		{ "id=1 24|16@2", "START|LENGTH@ORDER" },
		{ "id=1 24|16@1*", "START|LENGTH@ORDER" },
		{ "id=1 24|16@1+-", "START|LENGTH@ORDER" },
		{ "id=1 |16@1", "START|LENGTH@ORDER" },
		{ "id=1 0|8@1 8|8@1", "once" },
		{ "id=1 0|8@1 order=big", "stands instead of" },
		{ "id=1 0|8@1+ signed", "says something else" },
		{ "id=1 0|8@1- unsigned", "says something else" },
		{ "id=1 0|8@1 mux=0|8@1", "mux=0|8@1 is not" },
		{ "id=1 0|8@1 mux=0|8@1:256", "is not START" },
		{ "id=1 0|8@1 mux=0|17@1:1", "is not START" },
		{ "id=1 0|8@1 mux=0|8@1:3-2", "no range" },
		{ "id=1 0|8@1 mux=0|8@1:3-", "no range" },
		{ "id=1 0|8@1 mux=0|1@1:1 mux=1|1@1:1 mux=2|1@1:1 mux=3|1@1:1", "more than 3" },
		{ "id=1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "is too long" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_can_read read = { .id = 4711 };
		struct tg_fault why = { 0 };

		if (tg_can_read_parse(cases[i].text, &read, &why) != -EINVAL)
			fail_msg("'%s' is taken", cases[i].text);
		assert_int_equal(read.id, 4711);
		if (!strstr(why.text, cases[i].reason))
			fail_msg("'%s': %s", cases[i].text, why.text);
		assert_int_equal(tg_can_read_parse(cases[i].text, &read, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_say_frame_place_and_kind),
		cmocka_unit_test(groups_have_a_number_and_maybe_a_source),
		cmocka_unit_test(multiplexers_nest),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
