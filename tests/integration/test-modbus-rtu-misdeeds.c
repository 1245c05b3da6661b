/* SPDX-License-Identifier: Apache-2.0 */

/* Every misdeed of a unit on a serial line, of the line and of the adapter, against the driver (tests/unit/misdeeds.h). */
#include "tests/unit/misdeeds.h"

#include "tests/fakes/line/misdeed.h"

#define BAUD 115200

static struct misdeed_bench bench;
static char folder[] = "/tmp/tg-line-XXXXXX", link_path[64];

static const struct misdeed_row rows[] = {
	ROW("exception", 1, BAD, "illegal function (exception 1)"),
	ROW("exception", 2, BAD, "illegal data address (exception 2)"),
	ROW("exception", 3, BAD, "illegal data value (exception 3)"),
	ROW("exception", 4, BAD, "device failure (exception 4)"),
	ROW("exception", 5, BAD, "acknowledged, not ready (exception 5)"),
	ROW("exception", 6, BAD, "device busy (exception 6)"),
	ROW("exception", 7, BAD, "negative acknowledge (exception 7)"),
	ROW("exception", 8, BAD, "memory parity error (exception 8)"),
	ROW("exception", 10, LOST, "gateway path unavailable (exception 10)"),
	ROW("exception", 11, LOST, "gateway target did not answer (exception 11)"),
	ROW("exception", 99, BAD, "unknown exception (exception 99)"),
	ROW("exception", 0, LOST, "wrong answer: exception 0"),
	ROW("exception-long", 0, LOST, "wrong answer"),
	ROW("exception-of-another", 0, LOST, "wrong answer: function 3, asked for 1"),
	ROW("wrong-function", 0, LOST, "wrong answer: function 3, asked for 1"),
	ROW("unknown-function", 0, LOST, "wrong answer: function 101"),
	ROW("wrong-unit", 0, LOST, "wrong answer: from unit 4, asked 3"),
	ROW("unit-zero", 0, LOST, "wrong answer: from unit 0, asked 3"),
	ROW("request-returned", 0, LOST, "own request came back"),
	ROW("fewer-data", 0, LOST, "wrong answer: byte count"),
	ROW("more-data", 0, LOST, "wrong answer: byte count"),
	ROW("count-low", 0, LOST, "wrong answer: byte count"),
	ROW("count-high", 0, LOST, "wrong answer: byte count"),
	ROW("count-odd", 0, LOST, "wrong answer: byte count"),
	ROW("confirms-another", 0, LOST, "wrong answer: byte count"),
	ROW("count-zero", 0, LOST, "wrong answer: byte count 0"),
	ROW("count-255", 0, LOST, "wrong answer: byte count 255"),
	ROW("no-data", 0, LOST, "wrong answer: byte count 0"),
	ROW("bare-function", 0, LOST, "wrong answer"),
	ROW("nothing-said", 0, LOST, "wrong answer"),
	/* What was asked before may have been the same. */
	ROW("stale", 0, HARMLESS, ""),
	ROW("crc-wrong", 0, LOST, "wrong answer: checksum wrong"),
	ROW("crc-swapped", 0, LOST, "wrong answer: checksum wrong"),
	ROW("crc-zero", 0, LOST, "wrong answer: checksum wrong"),
	ROW("crc-missing", 0, LOST, "wrong answer: only 4 of 6 bytes came"),
	ROW("bit-flip", 3, LOST, "wrong answer"),
	ROW("bit-flip", 10, LOST, "wrong answer"),
	ROW("bit-flip", 17, LOST, "wrong answer"),
	ROW("bit-flip", 24, LOST, "wrong answer: checksum wrong"),
	ROW("bit-flip", 32, LOST, "wrong answer: checksum wrong"),
	ROW("first-byte-lost", 0, LOST, "wrong answer"),
	ROW("last-byte-lost", 0, LOST, "wrong answer: only 5 of 6 bytes came"),
	ROW("byte-lost", 0, LOST, "wrong answer"),
	ROW("bytes-doubled", 0, LOST, "wrong answer"),
	ROW("reversed", 0, LOST, "wrong answer"),
	ROW("inverted", 0, LOST, "wrong answer"),
	ROW("ascii", 0, LOST, "wrong answer"),
	ROW("other-framing", 0, LOST, "wrong answer"),
	ROW("zeros", 0, LOST, "wrong answer"),
	ROW("ones", 0, LOST, "wrong answer"),
	ROW("noise", 1, LOST, "wrong answer"),
	ROW("noise", 2, LOST, "wrong answer"),
	ROW("noise", 3, LOST, "wrong answer"),
	ROW("two-talk", 0, LOST, "wrong answer"),
	/* Real lines have these, and the answer is there. */
	ROW("zero-before", 0, READ, ""),
	ROW("noise-before", 3, READ, ""),
	LOUD("noise-after", 9, READ, ""),
	ROW("echo", 0, READ, ""),
	ROW("echo-only", 0, LOST, "own request came back"),
	ROW("silence", 0, LOST, "timeout"),
	ROW("late", 10, READ, ""),
	LOUD("late", TIMEOUT_MS + 150, LOST, "timeout"),
	ROW("dribble", 2, READ, ""),
	LOUD("dribble", 40, HARMLESS, ""),
	LOUD("dribble", 100, LOST, "wrong answer"),
	ROW("split", 1, READ, ""),
	ROW("split", 4, READ, ""),
	ROW("pause-first", 20, READ, ""),
	LOUD("pause-first", TIMEOUT_MS + 50, LOST, "wrong answer"),
	ROW("pause-middle", 20, READ, ""),
	LOUD("pause-middle", TIMEOUT_MS + 50, LOST, "wrong answer: only 3 of 6 bytes came"),
	ROW("pause-last", 20, READ, ""),
	LOUD("pause-last", TIMEOUT_MS + 50, LOST, "wrong answer: only 5 of 6 bytes came"),
	/* The second answer collides with the next request, which costs that block. */
	LOUD("twice", 0, HARMLESS, ""),
	LOUD("twice-apart", 0, HARMLESS, ""),
	LOUD("twice-apart", 3, HARMLESS, ""),
	LOUD("huge", 0, HARMLESS, ""),
	JAM("babble", 600, LOST, "wrong answer: babble"),
	ROW("half", 0, LOST, "wrong answer: only 3 of 6 bytes came"),
	ROW("half-restart", 200, LOST, "wrong answer: only 3 of 6 bytes came"),
};

static const struct misdeed_row writes[] = {
	/* The simulator does what it is told before it misbehaves; the device of the world may not have. */
	ROW("late", 10, READ, ""),
	ROW("exception", 1, BAD, "illegal function (exception 1)"),
	ROW("exception", 4, BAD, "device failure (exception 4)"),
	ROW("exception", 6, BAD, "device busy (exception 6)"),
	/* "Acknowledge" is a yes. */
	ROW("exception", 5, READ, ""),
	ROW("exception-of-another", 0, BAD, "wrong answer"),
	ROW("wrong-function", 0, BAD, "wrong answer"),
	ROW("confirms-another", 0, BAD, "wrong answer: confirms"),
	ROW("wrong-unit", 0, BAD, "wrong answer: from unit 4, asked 3"),
	ROW("silence", 0, BAD, "timeout"),
	ROW("late", TIMEOUT_MS + 150, BAD, "timeout"),
	ROW("bare-function", 0, BAD, ""),
	ROW("byte-lost", 0, BAD, ""),
	ROW("noise", 4, BAD, "wrong answer"),
	ROW("zeros", 0, BAD, "wrong answer"),
	ROW("half", 0, BAD, ""),
	ROW("crc-wrong", 0, BAD, "wrong answer: checksum wrong"),
	ROW("bit-flip", 35, BAD, "wrong answer: checksum wrong"),
	ROW("zero-before", 0, READ, ""),
};

static int start(void **state)
{
	char *const argv[] = { (char *) (uintptr_t) TIDEGATE_MODBUS_LINE,
			       (char *) (uintptr_t) "rtu",
			       (char *) (uintptr_t) "--link",
			       link_path,
			       (char *) (uintptr_t) "--baud",
			       (char *) (uintptr_t) "115200",
			       NULL };

	(void) state;
	if (!mkdtemp(folder))
		return -1;
	(void) snprintf(link_path, sizeof(link_path), "%s/usb-adapter", folder);
	if (line_start(&bench.line, argv) < 0)
		return -1;
	line_do(&bench.line, "unit %d 500", VICTIM);
	line_do(&bench.line, "unit %d 500", NEIGHBOUR);
	bench.driver = &tg_modbus_rtu_driver;
	bench.bus_cfg = (struct tg_config_bus){
		.type = TG_BUS_MODBUS_RTU,
		.modbus_rtu = { .line = { .port = link_path,
					  .baud = BAUD,
					  .parity = TG_PARITY_EVEN,
					  .data_bits = 8,
					  .stop_bits = 1 } },
	};
	bench_describe(&bench);
	return 0;
}

static int stop(void **state)
{
	int r = line_stop(&bench.line);

	(void) state;
	(void) unlink(link_path);
	(void) rmdir(folder);
	return r;
}

static int set_up(void **state)
{
	(void) state;
	line_do(&bench.line, "misdeed %d none", VICTIM);
	line_do(&bench.line, "hush");
	line_do(&bench.line, "echo off");
	line_do(&bench.line, "plug");
	bench.bus_cfg.modbus_rtu.line.baud = BAUD;
	bench.bus_cfg.modbus_rtu.echo = false;
	bench.wrong = 0;
	bench_describe(&bench);
	bench_open(&bench);
	return 0;
}

static int tear_down(void **state)
{
	(void) state;
	bench_close(&bench);
	return 0;
}

static void every_misdeed_costs_its_own_unit_only_and_is_told_in_words(void **state)
{
	(void) state;
	(void) expect_read(&bench, 0, 1, "at first");
	for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
		run_misdeed(&bench, &rows[i]);
	assert_int_equal(bench.wrong, 0);
	assert_in_range(bench.retries, 0, RETRIES_MAX);
}

/* A misdeed that the simulator learns has to be tried here too; pulling out the adapter is a story of its own. */
static void every_misdeed_of_the_simulator_is_tried(void **state)
{
	const struct line_misdeed *m;

	(void) state;
	for (size_t i = 0; (m = line_misdeed_at(i)); i++) {
		bool tried = !(m->kinds & LINE_RTU) || strcmp(m->name, "half-unplug") == 0;

		for (size_t k = 0; k < TG_ARRAY_SIZE(rows); k++)
			tried |= strcmp(rows[k].name, m->name) == 0;
		if (!tried)
			fail_msg("%s is not tried", m->name);
	}
}

/* Requests on a line that nobody disturbs keep their distance, and none meets an answer. */
static void the_silence_between_frames_is_kept(void **state)
{
	uint64_t early = line_stat(&bench.line, "early"), collisions = line_stat(&bench.line, "coll"
											      "isio"
											      "ns");

	(void) state;
	for (int i = 0; i < 20; i++) {
		(void) expect_read(&bench, 0, 1, "victim");
		(void) expect_read(&bench, 1, 1, "neighbour");
	}
	assert_int_equal(bench.wrong, 0);
	assert_int_equal(line_stat(&bench.line, "early"), early);
	assert_int_equal(line_stat(&bench.line, "collisions"), collisions);
}

/*
 * A serial line has no transactions: an answer that comes when the next register of the same unit has been asked for
 * looks right in every byte. Four registers, each a block, and answers that are late by more and more.
 */
static void a_late_answer_is_never_taken_for_that_of_another_register(void **state)
{
	static const uint16_t far_apart[] = { 100, 300, 500, 700, 900 };

	(void) state;
	bench_close(&bench);
	for (size_t i = 0; i < TG_ARRAY_SIZE(far_apart); i++)
		bench_point(&bench.points[i], "r", TG_MODBUS_HOLDING, far_apart[i]);
	bench.devices[0].timeout_us = 100 * MS;
	bench_open(&bench);
	for (unsigned late = 95; late < 160; late += 24) {
		char what[32];

		(void) snprintf(what, sizeof(what), "late by %u ms", late);
		line_do(&bench.line, "misdeed %d late %u", VICTIM, late);
		for (unsigned retries = 0; retries < 3; retries++) {
			(void) bench_poll(&bench, 0, retries);
			(void) count_right(&bench, 0, what);
		}
		line_do(&bench.line, "misdeed %d late %u 1", VICTIM, late);
		for (int k = 0; k < 3; k++) {
			(void) bench_poll(&bench, 0, 0);
			(void) count_right(&bench, 0, "late once");
		}
	}
	assert_int_equal(bench.wrong, 0);
}

static void an_adapter_that_is_pulled_out_is_told_and_found_again(void **state)
{
	(void) state;
	(void) expect_read(&bench, 0, 1, "at first");
	line_do(&bench.line, "unplug");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(bench_poll(&bench, 0, 0), -ENOTCONN);
		assert_non_null(strstr(bench.fault.text, "not connected"));
		assert_int_equal(count_right(&bench, 0, "unplugged"), 0);
	}
	line_do(&bench.line, "plug");
	(void) expect_read(&bench, 0, 1, "plugged in again");

	line_do(&bench.line, "misdeed %d half-unplug", VICTIM);
	assert_int_equal(bench_poll(&bench, 0, 1), -ENOTCONN);
	assert_int_equal(bench_poll(&bench, 1, 0), -ENOTCONN);
	line_do(&bench.line, "misdeed %d none", VICTIM);
	line_do(&bench.line, "plug");
	(void) expect_read(&bench, 1, 1, "plugged in again");
	(void) expect_read(&bench, 0, 1, "plugged in again");
	assert_int_equal(bench.wrong, 0);
}

static void a_line_at_another_speed_or_parity_is_silent_and_the_error_says_so(void **state)
{
	(void) state;
	bench_close(&bench);
	bench.bus_cfg.modbus_rtu.line.baud = 9600;
	bench_open(&bench);
	assert_int_equal(bench_poll(&bench, 0, 0), -ETIMEDOUT);
	if (!strstr(bench.fault.text, "9600 8E1"))
		fail_msg("%s", bench.fault.text);
	assert_int_not_equal(line_stat(&bench.line, "mismatched"), 0);

	bench_close(&bench);
	bench.bus_cfg.modbus_rtu.line.baud = BAUD;
	bench_open(&bench);
	line_do(&bench.line, "parity other");
	assert_int_equal(bench_poll(&bench, 0, 0), -ETIMEDOUT);
	if (!strstr(bench.fault.text, "115200 8E1"))
		fail_msg("%s", bench.fault.text);
	line_do(&bench.line, "parity same");
	(void) expect_read(&bench, 0, 1, "the right parity");
	/* Once the line has been heard, a silent unit is a silent unit. */
	line_do(&bench.line, "misdeed %d silence", VICTIM);
	assert_int_equal(bench_poll(&bench, 0, 0), -ETIMEDOUT);
	assert_null(strstr(bench.fault.text, "115200 8E1"));
	assert_int_equal(bench.wrong, 0);
}

static void a_line_that_echoes_is_read(void **state)
{
	(void) state;
	line_do(&bench.line, "echo on");
	for (int i = 0; i < 2; i++) {
		(void) expect_read(&bench, 0, 1, "echo");
		(void) expect_read(&bench, 1, 1, "echo");
		bench_close(&bench);
		bench.bus_cfg.modbus_rtu.echo = true;
		bench_open(&bench);
	}
	assert_int_equal(bench.wrong, 0);
}

/* An answer that lies in the buffer before the request, right in every byte, with another unit's or an old value. */
static void what_came_before_the_request_is_never_its_answer(void **state)
{
	static const uint8_t lie[] = { VICTIM, 1, 1, 0 };
	uint16_t crc = line_crc(lie, sizeof(lie));

	(void) state;
	for (int i = 0; i < 10; i++) {
		line_do(&bench.line, "send %02x010100%02x%02x", VICTIM, crc & 0xff, crc >> 8);
		(void) usleep(20000);
		(void) expect_read(&bench, 0, 1, "an answer before the request");
	}
	assert_int_equal(bench.wrong, 0);
}

/* A write may have been done although nobody said so: it is never tried again behind anybody's back. */
static void a_write_is_on_the_wire_once_and_done_when_it_was_confirmed(void **state)
{
	(void) state;
	bench.wrong = 0;
	run_writes(&bench, writes, TG_ARRAY_SIZE(writes));
	assert_int_equal(bench.wrong, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_misdeed_of_the_simulator_is_tried),
		TEST(every_misdeed_costs_its_own_unit_only_and_is_told_in_words),
		TEST(a_write_is_on_the_wire_once_and_done_when_it_was_confirmed),
		TEST(the_silence_between_frames_is_kept),
		TEST(a_late_answer_is_never_taken_for_that_of_another_register),
		TEST(an_adapter_that_is_pulled_out_is_told_and_found_again),
		TEST(a_line_at_another_speed_or_parity_is_silent_and_the_error_says_so),
		TEST(a_line_that_echoes_is_read),
		TEST(what_came_before_the_request_is_never_its_answer),
	};

	(void) signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start, stop);
}
