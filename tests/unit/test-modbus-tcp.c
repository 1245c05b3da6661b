/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver against a server that misbehaves on command (tests/fakes/modbus-server.c): each fault
 * gets the right reason, costs nobody else a reading, and never puts a value where it does not
 * belong.
 */
#include "agent/bus/drivers.h"
#include "base/clock.h"
#include "base/parse.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS     TG_US_PER_MS
#define POINTS 8

extern char **environ;

static struct {
	pid_t pid;
	FILE *to, *from;
	uint16_t port;
} fake;

static struct tg_config_point points[POINTS];
static struct tg_config_device device;
static struct tg_config_bus bus_cfg;
static struct tg_config cfg = {
	.buses = &bus_cfg, .n_buses = 1, .devices = &device, .n_devices = 1
};
static struct tg_bus *bus;
static void *plan;
static struct tg_sample samples[POINTS];
static struct tg_fault fault;

/* --- the fake --- */

static const char *tell(const char *command)
{
	static char line[128];

	assert_true(fprintf(fake.to, "%s\n", command) > 0 && fflush(fake.to) == 0);
	assert_non_null(fgets(line, sizeof(line), fake.from));
	return line;
}

static void ask_fake(const char *command)
{
	assert_string_equal(tell(command), "ok\n");
}

/* The n-th number of "requests N connections N exceptions N". */
static unsigned stat_of(const char *name)
{
	char line[128], *save = NULL;
	uint64_t n = 0;

	(void) snprintf(line, sizeof(line), "%s", tell("stats"));
	for (const char *w = strtok_r(line, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		if (strcmp(w, name) == 0)
			assert_int_equal(tg_parse_u64(strtok_r(NULL, " \n", &save), &n), 0);
	}
	return (unsigned) n;
}

static int start_fake(void **state)
{
	char *const argv[] = { (char *) (uintptr_t) TIDEGATE_FAKE_MODBUS,
			       (char *) (uintptr_t) "--still", (char *) (uintptr_t) "--until-eof",
			       NULL };
	int in[2], out[2];
	char line[32];
	uint64_t port;
	posix_spawn_file_actions_t acts;

	(void) state;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    posix_spawn_file_actions_init(&acts) != 0)
		return -1;
	(void) posix_spawn_file_actions_adddup2(&acts, in[0], 0);
	(void) posix_spawn_file_actions_adddup2(&acts, out[1], 1);
	if (posix_spawn(&fake.pid, argv[0], &acts, NULL, argv, environ) != 0)
		return -1;
	(void) posix_spawn_file_actions_destroy(&acts);
	(void) close(in[0]);
	(void) close(out[1]);
	fake.to = fdopen(in[1], "w");
	fake.from = fdopen(out[0], "r");
	if (!fgets(line, sizeof(line), fake.from) || strncmp(line, "port ", 5) != 0)
		return -1;
	line[strcspn(line, "\n")] = '\0';
	if (tg_parse_u64(line + 5, &port) < 0)
		return -1;
	fake.port = (uint16_t) port;
	return 0;
}

static int stop_fake(void **state)
{
	(void) state;
	(void) fclose(fake.to);
	(void) fclose(fake.from);
	return waitpid(fake.pid, NULL, 0) == fake.pid ? 0 : -1;
}

/* --- the device: four points side by side, one apart, a bit, a coil, one that is no number --- */

static void set_point(size_t i, const char *name, enum tg_modbus_table table, uint16_t address,
		      enum tg_modbus_type type)
{
	points[i] = (struct tg_config_point){
		.name = (char *) (uintptr_t) name,
		.unit = (char *) (uintptr_t) "",
		.modbus = { .table = table, .address = address, .type = type, .bit = -1 },
		.scale = 1,
	};
}

static void open_device(void)
{
	assert_int_equal(tg_modbus_tcp_driver.open(&cfg, 0, &bus, &fault), 0);
	assert_int_equal(tg_modbus_tcp_driver.plan(bus, &device, &plan, &fault), 0);
}

static void close_device(void)
{
	tg_modbus_tcp_driver.plan_free(plan);
	tg_modbus_tcp_driver.close(bus);
	bus = NULL;
	plan = NULL;
}

static int set_up(void **state)
{
	(void) state;
	set_point(0, "a", TG_MODBUS_HOLDING, 43, TG_MODBUS_UINT16);
	set_point(1, "b", TG_MODBUS_HOLDING, 44, TG_MODBUS_UINT16);
	set_point(2, "c", TG_MODBUS_HOLDING, 45, TG_MODBUS_UINT16);
	set_point(3, "d", TG_MODBUS_HOLDING, 46, TG_MODBUS_UINT16);
	set_point(4, "far", TG_MODBUS_HOLDING, 900, TG_MODBUS_UINT16);
	set_point(5, "input", TG_MODBUS_INPUT, 41, TG_MODBUS_UINT16);
	set_point(6, "coil", TG_MODBUS_COIL, 7, TG_MODBUS_BOOL);
	set_point(7, "nan", TG_MODBUS_HOLDING, 36, TG_MODBUS_FLOAT32);
	device = (struct tg_config_device){
		.name = (char *) (uintptr_t) "dev",
		.timeout_us = 300 * MS,
		.retries = 0,
		.points = points,
		.n_points = POINTS,
		.modbus = { .unit = 3, .max_gap = 8 },
	};
	bus_cfg = (struct tg_config_bus){
		.type = TG_BUS_MODBUS_TCP,
		.modbus_tcp = { .host = (char *) (uintptr_t) "127.0.0.1",
				.port = fake.port,
				.connect_timeout_us = 1000 * MS },
	};
	fault = (struct tg_fault){ 0 };
	open_device();
	ask_fake("fault none");
	ask_fake("only all");
	ask_fake("times 0");
	ask_fake("hole none");
	ask_fake("limit 0");
	ask_fake("mute none");
	return 0;
}

static int tear_down(void **state)
{
	(void) state;
	close_device();
	return 0;
}

static int poll_bus(void)
{
	memset(samples, 0xa5, sizeof(samples));
	return tg_modbus_tcp_driver.poll(bus, &device, plan, device.retries, samples, &fault);
}

static void expect_good(size_t i, uint64_t want)
{
	assert_int_equal(samples[i].quality, TG_GOOD);
	assert_int_equal(samples[i].value.u, want);
	assert_in_range(tg_clock_boot_us() - samples[i].boot_us, 0, 60 * TG_US_PER_S);
}

static void expect_bad(size_t i, const char *reason)
{
	assert_int_equal(samples[i].quality, TG_BAD);
	assert_int_equal(samples[i].value.type, TG_VALUE_NONE);
	assert_string_equal(samples[i].reason, reason);
}

static void expect_all_right(void)
{
	assert_int_equal(poll_bus(), 0);
	for (size_t i = 0; i < 4; i++)
		expect_good(i, 43 + i);
	expect_good(4, 900);
	expect_good(5, 0x1234);
	assert_true(samples[6].value.b);
	expect_bad(7, "not a number");
}

/* --- tests --- */

static void neighbours_are_read_in_one_request(void **state)
{
	unsigned before;

	(void) state;
	before = stat_of("requests");
	expect_all_right();
	/* coil, input, 36-46, 900 */
	assert_int_equal(stat_of("requests") - before, 4);
}

static void one_bad_address_costs_its_own_point_only(void **state)
{
	unsigned before;

	(void) state;
	ask_fake("hole 45 45");
	assert_int_equal(poll_bus(), 0);
	expect_good(0, 43);
	expect_good(1, 44);
	expect_bad(2, "illegal data address (exception 2)");
	expect_good(3, 46);
	expect_good(4, 900);

	/* The second poll joins what is good; from then on the bad block is not asked again. */
	assert_int_equal(poll_bus(), 0);
	before = stat_of("requests") + stat_of("exceptions");
	assert_int_equal(poll_bus(), 0);
	expect_good(1, 44);
	expect_bad(2, "illegal data address (exception 2)");
	expect_good(3, 46);
	/* coil, input, 36-44, 45 (refused), 46, 900 */
	assert_int_equal(stat_of("requests") + stat_of("exceptions") - before, 6);
}

static void a_hole_between_points_costs_nothing(void **state)
{
	(void) state;
	ask_fake("hole 39 40");
	for (int i = 0; i < 3; i++)
		expect_all_right();
}

static void a_device_with_a_smaller_limit_is_read_in_smaller_blocks(void **state)
{
	unsigned before;

	(void) state;
	ask_fake("limit 3");
	for (int i = 0; i < 3; i++)
		expect_all_right();
	before = stat_of("exceptions");
	expect_all_right();
	assert_int_equal(stat_of("exceptions"), before);
}

static void an_exception_is_told_in_words(void **state)
{
	(void) state;
	ask_fake("fault exception 4");
	assert_int_equal(poll_bus(), 0);
	expect_bad(0, "device failure (exception 4)");
	ask_fake("fault exception 1");
	assert_int_equal(poll_bus(), 0);
	expect_bad(0, "illegal function (exception 1)");
	ask_fake("fault exception 99");
	assert_int_equal(poll_bus(), 0);
	expect_bad(0, "unknown exception (exception 99)");
	ask_fake("fault exception 11");
	assert_int_equal(poll_bus(), -EHOSTUNREACH);
	expect_bad(0, "gateway target did not answer (exception 11)");
	ask_fake("fault none");
	expect_all_right();
}

/* Every fault that makes an answer wrong: all points are bad with this reason, none has a value,
 * and the next poll is right. */
static void wrong_answers_are_refused_with_their_reason(void **state)
{
	static const struct {
		const char *command, *reason;
		int result;
	} rows[] = {
		{ "fault silence", "timeout", -ETIMEDOUT },
		{ "fault late 450", "timeout", -ETIMEDOUT },
		{ "fault dribble 40", "timeout", -ETIMEDOUT },
		{ "fault close", "connection closed by the server", -ECONNRESET },
		{ "fault half", "connection closed by the server", -ECONNRESET },
		{ "fault unit", "wrong answer: from unit 4, asked 3", -EPROTO },
		{ "fault function", "wrong answer: function 2, asked for 1", -EPROTO },
		{ "fault protocol", "wrong answer: protocol 1", -EPROTO },
		{ "fault bytes 0", "wrong answer: byte count 0, not 1", -EPROTO },
		{ "fault bytes 3", "timeout", -ETIMEDOUT },
		{ "fault bytes 255", "wrong answer: too long", -EPROTO },
		{ "fault length 0", "wrong answer: header says 0 bytes, got 4", -EPROTO },
		{ "fault length 65535", "wrong answer: header says 65535 bytes, got 4", -EPROTO },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
		ask_fake(rows[i].command);
		if (poll_bus() != rows[i].result)
			fail_msg("%s: %s", rows[i].command, fault.text);
		for (size_t k = 0; k < POINTS; k++)
			expect_bad(k, rows[i].reason);
		ask_fake("fault none");
		expect_all_right();
	}
}

static void foreign_transactions_and_garbage_are_refused(void **state)
{
	static const char *const commands[] = { "fault transaction", "fault garbage",
						"fault flood" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(commands); i++) {
		ask_fake(commands[i]);
		assert_int_equal(poll_bus(), -EPROTO);
		assert_non_null(strstr(fault.text, "wrong answer: to another request"));
		ask_fake("fault none");
		expect_all_right();
	}
}

static void a_late_answer_is_never_taken_for_the_next(void **state)
{
	(void) state;
	for (int i = 0; i < 5; i++) {
		ask_fake("fault late 320");
		ask_fake("times 1");
		assert_int_equal(poll_bus(), -ETIMEDOUT);
		expect_all_right();
		(void) usleep(30000);
		expect_all_right();
	}
}

static void two_answers_to_one_request_do_no_harm(void **state)
{
	(void) state;
	ask_fake("fault twice");
	for (int i = 0; i < 10; i++)
		expect_all_right();
}

static void retries_get_the_reading_and_are_told(void **state)
{
	(void) state;
	device.retries = 2;
	ask_fake("fault silence");
	ask_fake("times 2");
	assert_int_equal(poll_bus(), 2);
	expect_good(0, 43);
	ask_fake("fault exception 6");
	ask_fake("times 1");
	assert_int_equal(poll_bus(), 1);
	expect_good(0, 43);
}

static void a_server_that_closed_while_idle_costs_no_retry(void **state)
{
	(void) state;
	expect_all_right();
	for (int i = 0; i < 5; i++) {
		ask_fake("drop");
		expect_all_right();
	}
}

static void a_silent_device_costs_its_time_out_and_no_other_device_anything(void **state)
{
	struct tg_config_device other = device;
	void *other_plan;
	uint64_t start;

	(void) state;
	other.modbus.unit = 9;
	assert_int_equal(tg_modbus_tcp_driver.plan(bus, &other, &other_plan, &fault), 0);
	ask_fake("only 3");
	ask_fake("fault silence");
	for (int i = 0; i < 3; i++) {
		start = tg_clock_boot_us();
		assert_int_equal(poll_bus(), -ETIMEDOUT);
		/* One time-out, not one for each of the four blocks. */
		assert_in_range(tg_clock_boot_us() - start, 290 * MS, 1100 * MS);
		assert_non_null(strstr(fault.text, "unit 3 did not answer within 300 ms"));
		assert_int_equal(
			tg_modbus_tcp_driver.poll(bus, &other, other_plan, other.retries, samples, &fault), 0);
		expect_good(0, 43);
	}
	tg_modbus_tcp_driver.plan_free(other_plan);
}

static void a_device_that_ignores_some_registers_is_read_where_it_answers(void **state)
{
	int r = -1;

	(void) state;
	/* Its first block, the coil: the second poll begins with another. */
	ask_fake("mute 7 7");
	assert_int_equal(poll_bus(), -ETIMEDOUT);
	for (int i = 0; i < 3; i++) {
		r = poll_bus();
		assert_true(r >= 0);
		expect_good(0, 43);
		expect_good(4, 900);
		expect_good(5, 0x1234);
		expect_bad(6, "timeout");
	}
	/* When it falls silent as a whole, and is back, and answers for all: nothing is held
	 * against it. */
	ask_fake("fault silence");
	for (int i = 0; i < 6; i++)
		assert_int_equal(poll_bus(), -ETIMEDOUT);
	ask_fake("fault none");
	ask_fake("mute none");
	expect_all_right();
}

static void a_device_that_falls_silent_in_the_middle_keeps_what_it_said(void **state)
{
	uint64_t start = tg_clock_boot_us();

	(void) state;
	ask_fake("mute 36 900");
	assert_int_equal(poll_bus(), 0);
	assert_true(samples[6].value.b);
	expect_bad(5, "timeout");
	expect_bad(0, "timeout");
	expect_bad(4, "not asked: the device stopped answering");
	assert_in_range(tg_clock_boot_us() - start, 590 * MS, 1800 * MS);
}

static void no_server_is_told_as_such(void **state)
{
	(void) state;
	bus_cfg.modbus_tcp.port = 1; /* tcpmux: nobody has it */
	assert_int_equal(poll_bus(), -ENOTCONN);
	expect_bad(0, "not connected: 127.0.0.1 port 1: Connection refused");
	bus_cfg.modbus_tcp.port = fake.port;
	expect_all_right();
}

static void a_name_that_does_not_exist_is_told_as_such(void **state)
{
	(void) state;
	bus_cfg.modbus_tcp.host = (char *) (uintptr_t) "no such host.invalid";
	assert_int_equal(poll_bus(), -ENOTCONN);
	assert_non_null(strstr(fault.text, "not connected: no such host.invalid: "));
}

static void host_names_work_as_well_as_addresses(void **state)
{
	(void) state;
	bus_cfg.modbus_tcp.host = (char *) (uintptr_t) "localhost";
	expect_all_right();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(neighbours_are_read_in_one_request),
		TEST(one_bad_address_costs_its_own_point_only),
		TEST(a_hole_between_points_costs_nothing),
		TEST(a_device_with_a_smaller_limit_is_read_in_smaller_blocks),
		TEST(an_exception_is_told_in_words),
		TEST(wrong_answers_are_refused_with_their_reason),
		TEST(foreign_transactions_and_garbage_are_refused),
		TEST(a_late_answer_is_never_taken_for_the_next),
		TEST(two_answers_to_one_request_do_no_harm),
		TEST(retries_get_the_reading_and_are_told),
		TEST(a_server_that_closed_while_idle_costs_no_retry),
		TEST(a_silent_device_costs_its_time_out_and_no_other_device_anything),
		TEST(a_device_that_ignores_some_registers_is_read_where_it_answers),
		TEST(a_device_that_falls_silent_in_the_middle_keeps_what_it_said),
		TEST(no_server_is_told_as_such),
		TEST(a_name_that_does_not_exist_is_told_as_such),
		TEST(host_names_work_as_well_as_addresses),
	};

	(void) signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start_fake, stop_fake);
}
