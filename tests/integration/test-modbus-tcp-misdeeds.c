/* SPDX-License-Identifier: Apache-2.0 */

/* Every misdeed of a Modbus TCP server or of a unit behind it, against the driver (tests/unit/misdeeds.h). */
#include "tests/unit/misdeeds.h"

#include "tests/fakes/line/misdeed.h"

static struct misdeed_bench bench;

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
	ROW("exception-of-another", 0, LOST, "wrong answer: function 131, asked for 1"),
	ROW("wrong-function", 0, LOST, "wrong answer: function 3, asked for 1"),
	ROW("unknown-function", 0, LOST, "wrong answer: function 101"),
	ROW("wrong-unit", 0, LOST, "wrong answer: from unit 4, asked 3"),
	ROW("unit-zero", 0, LOST, "wrong answer: from unit 0, asked 3"),
	ROW("request-returned", 0, LOST, "wrong answer: byte count 0"),
	ROW("fewer-data", 0, LOST, "wrong answer: byte count"),
	ROW("more-data", 0, LOST, "wrong answer: byte count"),
	ROW("count-low", 0, LOST, "wrong answer: byte count"),
	ROW("count-high", 0, LOST, "timeout"),
	ROW("count-odd", 0, LOST, "timeout"),
	ROW("confirms-another", 0, LOST, "wrong answer: byte count"),
	ROW("count-zero", 0, LOST, "wrong answer: byte count 0"),
	ROW("count-255", 0, LOST, "wrong answer: too long"),
	ROW("no-data", 0, LOST, "wrong answer: byte count 0"),
	ROW("bare-function", 0, LOST, "timeout"),
	ROW("nothing-said", 0, LOST, "timeout"),
	/* What was asked before may have been the same. */
	ROW("stale", 0, HARMLESS, ""),
	ROW("next-transaction", 0, LOST, "wrong answer: to another request"),
	ROW("transaction-before", 0, LOST, "wrong answer: to another request"),
	ROW("transaction-swapped", 0, LOST, "wrong answer: to another request"),
	ROW("wrong-protocol", 0, LOST, "wrong answer: protocol 1"),
	ROW("length-short", 0, LOST, "wrong answer: header says"),
	ROW("length-long", 0, LOST, "wrong answer: header says"),
	ROW("length-zero", 0, LOST, "wrong answer: header says 0"),
	ROW("length-most", 0, LOST, "wrong answer: header says 65535"),
	ROW("first-byte-lost", 0, LOST, ""),
	ROW("last-byte-lost", 0, LOST, "timeout"),
	ROW("byte-lost", 0, LOST, ""),
	ROW("bytes-doubled", 0, LOST, "wrong answer"),
	ROW("reversed", 0, LOST, ""),
	LOUD("crc-appended", 0, HARMLESS, ""),
	ROW("other-framing", 0, LOST, ""),
	ROW("zeros", 0, LOST, "wrong answer"),
	ROW("ones", 0, LOST, "wrong answer"),
	ROW("noise", 1, LOST, ""),
	ROW("noise", 2, LOST, ""),
	ROW("noise", 3, LOST, ""),
	ROW("zero-before", 0, LOST, "wrong answer"),
	ROW("noise-before", 9, LOST, ""),
	LOUD("noise-after", 9, HARMLESS, ""),
	ROW("echo", 0, LOST, "wrong answer"),
	ROW("echo-only", 0, LOST, "wrong answer"),
	ROW("http", 0, LOST, "wrong answer"),
	ROW("tls-alert", 0, LOST, ""),
	ROW("silence", 0, LOST, "timeout"),
	ROW("late", 10, READ, ""),
	ROW("late", TIMEOUT_MS + 150, LOST, "timeout"),
	ROW("dribble", 1, READ, ""),
	ROW("dribble", 40, LOST, "timeout"),
	ROW("split", 1, READ, ""),
	ROW("split", 6, READ, ""),
	ROW("split", 7, READ, ""),
	ROW("split", 8, READ, ""),
	ROW("pause-first", 20, READ, ""),
	ROW("pause-first", TIMEOUT_MS + 50, LOST, "timeout"),
	ROW("pause-middle", 20, READ, ""),
	ROW("pause-last", 20, READ, ""),
	ROW("pause-last", TIMEOUT_MS + 50, LOST, "timeout"),
	/* The second answer may come while the next block is asked, which is then refused. */
	LOUD("twice", 0, HARMLESS, ""),
	LOUD("twice-apart", 0, HARMLESS, ""),
	LOUD("twice-apart", 3, HARMLESS, ""),
	LOUD("huge", 0, HARMLESS, ""),
	ROW("babble", 1000, LOST, "wrong answer"),
	ROW("half", 0, LOST, "timeout"),
	ROW("half-restart", 200, LOST, "timeout"),
	ROW("half-close", 0, LOST, "connection closed by the server"),
	ROW("half-reset", 0, LOST, "connection closed by the server"),
	ROW("close", 0, LOST, "connection closed by the server"),
	ROW("reset", 0, LOST, "connection closed by the server"),
	ROW("answer-and-close", 0, READ, ""),
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
	ROW("next-transaction", 0, BAD, "wrong answer: to another request"),
	ROW("length-short", 0, BAD, "wrong answer"),
	ROW("close", 0, BAD, "connection closed by the server"),
	ROW("half-reset", 0, BAD, "connection closed by the server"),
};

static int start(void **state)
{
	char *const argv[] = { (char *) (uintptr_t) TIDEGATE_MODBUS_LINE,
			       (char *) (uintptr_t) "tcp", NULL };
	uint64_t port;

	(void) state;
	if (line_start(&bench.line, argv) < 0 || tg_parse_u64(bench.line.port, &port) < 0)
		return -1;
	line_do(&bench.line, "unit %d 0", VICTIM);
	line_do(&bench.line, "unit %d 0", NEIGHBOUR);
	bench.driver = &tg_modbus_tcp_driver;
	bench.bus_cfg = (struct tg_config_bus){
		.type = TG_BUS_MODBUS_TCP,
		.modbus_tcp = { .host = (char *) (uintptr_t) "127.0.0.1",
				.port = (uint16_t) port,
				.connect_timeout_us = 2000 * MS },
	};
	bench_describe(&bench);
	bench_open(&bench);
	return 0;
}

static int stop(void **state)
{
	(void) state;
	bench_close(&bench);
	return line_stop(&bench.line);
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

/* A misdeed that the simulator learns has to be tried here too. */
static void every_misdeed_of_the_simulator_is_tried(void **state)
{
	const struct line_misdeed *m;

	(void) state;
	for (size_t i = 0; (m = line_misdeed_at(i)); i++) {
		bool tried = !(m->kinds & LINE_TCP);

		for (size_t k = 0; k < TG_ARRAY_SIZE(rows); k++)
			tried |= strcmp(rows[k].name, m->name) == 0;
		if (!tried)
			fail_msg("%s is not tried", m->name);
	}
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_misdeed_of_the_simulator_is_tried),
		cmocka_unit_test(every_misdeed_costs_its_own_unit_only_and_is_told_in_words),
		cmocka_unit_test(a_write_is_on_the_wire_once_and_done_when_it_was_confirmed),
	};

	(void) signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start, stop);
}
