/* SPDX-License-Identifier: Apache-2.0 */

/* The simulated units against the examples of the Modbus specifications, and every misdeed against the right answer. */
#include "tests/fakes/line/station.h"

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct line_unit *unit;
static struct line_reply right, wrong;

static int set_up(void **state)
{
	(void) state;
	unit = line_unit_new(17);
	return unit ? 0 : -1;
}

static int tear_down(void **state)
{
	(void) state;
	free(unit);
	return 0;
}

static void expect_answer(const uint8_t *ask, size_t ask_len, const uint8_t *want, size_t want_len)
{
	uint8_t out[LINE_PDU_MAX];

	assert_int_equal(line_unit_answer(unit, ask, ask_len, out), want_len);
	assert_memory_equal(out, want, want_len);
}

#define BYTES(...)          ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })
#define EXPECT(ask, answer) expect_answer(ask, answer)

static void the_crc_is_that_of_the_standard(void **state)
{
	(void) state;
	/* Serial Line V1.02, appendix B: 02 07 is followed by 41 12. */
	assert_int_equal(line_crc(BYTES(0x02, 0x07)), 0x1241);
	assert_int_equal(line_crc(BYTES(0x11, 0x03, 0x00, 0x6b, 0x00, 0x03)), 0x8776);
}

static void reads_are_answered_as_in_the_specification(void **state)
{
	static const uint8_t coils[] = { 1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1 };

	(void) state;
	/* V1.1b3, 6.1: coils 20-38 (from 1). */
	for (size_t i = 0; i < sizeof(coils); i++)
		unit->tables[LINE_COIL][19 + i] = coils[i];
	EXPECT(BYTES(1, 0, 0x13, 0, 0x13), BYTES(1, 3, 0xcd, 0x6b, 0x05));
	/* 6.3: registers 108-110; 6.4: input register 9. */
	unit->tables[LINE_HOLDING][107] = 0x022b;
	unit->tables[LINE_HOLDING][108] = 0;
	unit->tables[LINE_HOLDING][109] = 0x0064;
	EXPECT(BYTES(3, 0, 0x6b, 0, 3), BYTES(3, 6, 2, 0x2b, 0, 0, 0, 0x64));
	unit->tables[LINE_INPUT][8] = 0x000a;
	EXPECT(BYTES(4, 0, 8, 0, 1), BYTES(4, 2, 0, 0x0a));
}

static void writes_are_done_as_in_the_specification(void **state)
{
	(void) state;
	/* 6.5, 6.6, 6.11, 6.12 */
	EXPECT(BYTES(5, 0, 0xac, 0xff, 0), BYTES(5, 0, 0xac, 0xff, 0));
	assert_int_equal(unit->tables[LINE_COIL][172], 1);
	EXPECT(BYTES(6, 0, 1, 0, 3), BYTES(6, 0, 1, 0, 3));
	assert_int_equal(unit->tables[LINE_HOLDING][1], 3);
	EXPECT(BYTES(15, 0, 0x13, 0, 0x0a, 2, 0xcd, 1), BYTES(15, 0, 0x13, 0, 0x0a));
	assert_int_equal(unit->tables[LINE_COIL][19], 1);
	assert_int_equal(unit->tables[LINE_COIL][20], 0);
	assert_int_equal(unit->tables[LINE_COIL][27], 1);
	EXPECT(BYTES(16, 0, 1, 0, 2, 4, 0, 0x0a, 1, 2), BYTES(16, 0, 1, 0, 2));
	assert_int_equal(unit->tables[LINE_HOLDING][2], 0x0102);
	assert_int_equal(unit->writes, 4);
}

static void what_is_no_right_request_is_refused(void **state)
{
	(void) state;
	EXPECT(BYTES(7, 0, 0, 0, 0), BYTES(0x87, 1));
	EXPECT(BYTES(3, 7, 0xff, 0, 2), BYTES(0x83, 2));
	EXPECT(BYTES(3, 0, 0, 0, 126), BYTES(0x83, 3));
	EXPECT(BYTES(3, 0, 0, 0, 0), BYTES(0x83, 3));
	EXPECT(BYTES(5, 0, 0, 0x12, 0x34), BYTES(0x85, 3));
	EXPECT(BYTES(16, 0, 1, 0, 2, 3, 0, 0x0a, 1), BYTES(0x90, 3));
	assert_int_equal(unit->writes, 0);
}

/* --- misdeeds --- */

static struct line_exchange exchange(enum line_kind kind)
{
	struct line_exchange x = {
		.kind = kind, .unit = 17, .transaction = 0x1234, .argument = 3, .pdu_len = 8
	};

	memcpy(x.pdu, (const uint8_t[]){ 3, 6, 2, 0x2b, 0, 0, 0, 0x64 }, 8);
	if (kind == LINE_TCP) {
		x.asked_len = 12;
		memcpy(x.asked, (const uint8_t[]){ 0x12, 0x34, 0, 0, 0, 6, 17, 3, 0, 0x6b, 0, 3 },
		       12);
	} else {
		x.asked_len = 8;
		memcpy(x.asked, (const uint8_t[]){ 17, 3, 0, 0x6b, 0, 3, 0x76, 0x87 }, 8);
	}
	x.before = (const uint8_t *) "\x03\x02\x11\x11";
	x.before_len = 4;
	return x;
}

static void expect_frame(enum line_kind kind, const uint8_t *want, size_t len)
{
	struct line_exchange x = exchange(kind);

	line_misdeed_commit(NULL, &x, &right);
	assert_int_equal(right.n, 1);
	assert_int_equal(right.len, len);
	assert_memory_equal(right.bytes, want, len);
}

static void a_right_answer_is_framed_as_the_transport_has_it(void **state)
{
	(void) state;
	expect_frame(LINE_TCP, BYTES(0x12, 0x34, 0, 0, 0, 9, 17, 3, 6, 2, 0x2b, 0, 0, 0, 0x64));
	expect_frame(LINE_RTU, BYTES(17, 3, 6, 2, 0x2b, 0, 0, 0, 0x64, 0xc8, 0xba));
}

static bool is_same(const struct line_reply *a, const struct line_reply *b)
{
	return a->len == b->len && a->n == b->n && a->end == b->end && a->deaf_us == b->deaf_us &&
	       memcmp(a->bytes, b->bytes, a->len) == 0 &&
	       (a->n == 0 || a->segments[0].pause_us == b->segments[0].pause_us);
}

static void every_misdeed_changes_the_answer_and_stays_within_bounds(void **state)
{
	static const enum line_kind kinds[] = { LINE_RTU, LINE_TCP };
	const struct line_misdeed *m;

	(void) state;
	for (size_t k = 0; k < 2; k++) {
		struct line_exchange x = exchange(kinds[k]);

		line_misdeed_commit(NULL, &x, &right);
		for (size_t i = 0; (m = line_misdeed_at(i)); i++) {
			if (!(m->kinds & kinds[k]))
				continue;
			x = exchange(kinds[k]);
			line_misdeed_commit(m, &x, &wrong);
			if (is_same(&right, &wrong))
				fail_msg("%s does nothing", m->name);
			assert_true(wrong.len <= LINE_REPLY_MAX && wrong.n <= LINE_SEGMENTS_MAX);
		}
	}
}

static void even_the_longest_answers_are_spoilt_within_bounds(void **state)
{
	const struct line_misdeed *m;

	(void) state;
	for (size_t i = 0; (m = line_misdeed_at(i)); i++) {
		struct line_exchange x = exchange(m->kinds & LINE_RTU ? LINE_RTU : LINE_TCP);

		x.argument = UINT32_MAX / 100;
		x.pdu_len = LINE_PDU_MAX;
		memset(x.pdu + 1, 0xfb, LINE_PDU_MAX - 1);
		line_misdeed_commit(m, &x, &wrong);
		assert_true(wrong.len <= LINE_REPLY_MAX && wrong.n <= LINE_SEGMENTS_MAX);
	}
}

static void there_are_more_than_forty_and_each_has_a_name_of_its_own(void **state)
{
	const struct line_misdeed *m;
	unsigned rtu = 0, tcp = 0;

	(void) state;
	for (size_t i = 0; (m = line_misdeed_at(i)); i++) {
		rtu += (m->kinds & LINE_RTU) != 0;
		tcp += (m->kinds & LINE_TCP) != 0;
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(m->name, line_misdeed_at(j)->name);
	}
	assert_true(rtu >= 40 && tcp >= 40);
	assert_null(line_misdeed_find("length-zero", LINE_RTU));
	assert_null(line_misdeed_find("no such thing", LINE_TCP));
	assert_non_null(line_misdeed_find("crc-wrong", LINE_RTU));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_crc_is_that_of_the_standard),
		TEST(reads_are_answered_as_in_the_specification),
		TEST(writes_are_done_as_in_the_specification),
		TEST(what_is_no_right_request_is_refused),
		TEST(a_right_answer_is_framed_as_the_transport_has_it),
		TEST(every_misdeed_changes_the_answer_and_stays_within_bounds),
		TEST(even_the_longest_answers_are_spoilt_within_bounds),
		TEST(there_are_more_than_forty_and_each_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
