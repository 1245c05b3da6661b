/* SPDX-License-Identifier: Apache-2.0 */

/* Writing and reading back, over both transports, against the simulated units, whose registers are looked at by hand. */
#include "agent/bus/drivers.h"
#include "config/bus/modbus_read.h"
#include "tests/unit/modbus-line-bench.h"

#include <errno.h>
#include <stdlib.h>

#define UNIT   3
#define ARG(s) ((char *) (uintptr_t) (s))

#define TRUTH(v)                                                                                   \
	{                                                                                          \
		.type = TG_VALUE_BOOL, .b = (v)                                                    \
	}
#define INT(v)                                                                                     \
	{                                                                                          \
		.type = TG_VALUE_INT, .i = (v)                                                     \
	}
#define REAL(v)                                                                                    \
	{                                                                                          \
		.type = TG_VALUE_REAL, .real = (v)                                                 \
	}
#define STRING(v)                                                                                  \
	{                                                                                          \
		.type = TG_VALUE_TEXT, .text = (v)                                                 \
	}

struct bench {
	struct line_bench line;
	const struct tg_bus_driver *driver;
	struct tg_config_bus bus_cfg;
	struct tg_config_device device;
	struct tg_bus *bus;
	char folder[32], link_path[64];
};

static struct bench bench;

static int start(const char *transport)
{
	struct bench *b = &bench;
	char *const argv[] = { ARG(TIDEGATE_MODBUS_LINE),
			       ARG(transport),
			       ARG("--link"),
			       b->link_path,
			       ARG("--baud"),
			       ARG("115200"),
			       NULL };
	char *const tcp[] = { ARG(TIDEGATE_MODBUS_LINE), ARG(transport), NULL };
	bool rtu = strcmp(transport, "rtu") == 0;
	struct tg_config cfg = { .buses = &b->bus_cfg, .n_buses = 1 };
	uint64_t port = 0;

	memset(b, 0, sizeof(*b));
	(void) snprintf(b->folder, sizeof(b->folder), "/tmp/tg-cmd-XXXXXX");
	if (!mkdtemp(b->folder))
		return -1;
	(void) snprintf(b->link_path, sizeof(b->link_path), "%.31s/tty", b->folder);
	if (line_start(&b->line, rtu ? argv : tcp) < 0)
		return -1;
	line_do(&b->line, "unit %d 500", UNIT);
	if (rtu) {
		b->driver = &tg_modbus_rtu_driver;
		b->bus_cfg.type = TG_BUS_MODBUS_RTU;
		b->bus_cfg.modbus_rtu.line = (struct tg_tty_line){ .port = b->link_path,
								   .baud = 115200,
								   .parity = TG_PARITY_EVEN,
								   .data_bits = 8,
								   .stop_bits = 1 };
	} else {
		assert_int_equal(tg_parse_u64(b->line.port, &port), 0);
		b->driver = &tg_modbus_tcp_driver;
		b->bus_cfg.type = TG_BUS_MODBUS_TCP;
		b->bus_cfg.modbus_tcp = (struct tg_modbus_tcp_bus){ .host = ARG("127.0.0.1"),
								    .port = (uint16_t) port,
								    .connect_timeout_us = 5000000 };
	}
	b->device = (struct tg_config_device){ .name = ARG("d"),
					       .timeout_us = 3000000,
					       .modbus = { .unit = UNIT } };
	return b->driver->open(&cfg, 0, &b->bus, NULL);
}

static int start_rtu(void **state)
{
	(void) state;
	return start("rtu");
}

static int start_tcp(void **state)
{
	(void) state;
	return start("tcp");
}

static int stop(void **state)
{
	int r;

	(void) state;
	bench.driver->close(bench.bus);
	r = line_stop(&bench.line);
	(void) unlink(bench.link_path);
	(void) rmdir(bench.folder);
	return r;
}

static struct tg_config_point point_of(const char *read)
{
	struct tg_config_point p = { .name = ARG("p"), .scale = 1, .write = true };

	assert_int_equal(tg_modbus_read_parse(read, &p.modbus, NULL), 0);
	return p;
}

static int write_value(const char *read, struct tg_value v, struct tg_fault *fault)
{
	const struct tg_config_point p = point_of(read);

	return bench.driver->write(bench.bus, &bench.device, &p, &v, fault);
}

static struct tg_sample read_back(const char *read)
{
	const struct tg_config_point p = point_of(read);
	struct tg_sample s = { .reason = "" };
	struct tg_fault fault = { 0 };

	if (bench.driver->read_one(bench.bus, &bench.device, &p, &s, &fault) < 0)
		fail_msg("%s: %s", read, fault.text);
	return s;
}

/* The functions of the requests since the last look, as "3 16". */
static const char *functions(void)
{
	static char all[64];
	char line[160], *save;
	uint64_t n = 0;
	size_t used = 0;

	(void) snprintf(line, sizeof(line), "%s", line_tell(&bench.line, "log"));
	line[strcspn(line, "\n")] = '\0';
	assert_int_equal(tg_parse_u64(line + strlen("entries "), &n), 0);
	all[0] = '\0';
	while (n-- > 0) {
		assert_non_null(fgets(line, sizeof(line), bench.line.from));
		(void) strtok_r(line, " ", &save);
		(void) strtok_r(NULL, " ", &save);
		(void) strtok_r(NULL, " ", &save);
		used += (size_t) snprintf(all + used, sizeof(all) - used, used ? " %s" : "%s",
					  strtok_r(NULL, " ", &save));
		assert_true(used < sizeof(all));
	}
	return all;
}

static void what_is_set_is_there_and_reads_back(void **state)
{
	static const struct {
		const char *read;
		struct tg_value v;
		const char *look, *words, *functions;
		enum tg_modbus_write_function how;
	} rows[] = {
		{ "coil 5", TRUTH(true), "coil 5 1", "0001\n", "5", TG_MODBUS_WRITE_AUTO },
		{ "coil 5", TRUTH(false), "coil 5 1", "0000\n", "15", TG_MODBUS_WRITE_MULTIPLE },
		{ "holding 10", INT(4660), "holding 10 1", "1234\n", "6", TG_MODBUS_WRITE_AUTO },
		{ "holding 10 int16", INT(-2), "holding 10 1", "FFFE\n", "16",
		  TG_MODBUS_WRITE_MULTIPLE },
		{ "holding 10 float32 order=CDAB", REAL(21.5), "holding 10 2", "0000 41AC\n", "16",
		  TG_MODBUS_WRITE_AUTO },
		{ "holding 10 uint64 order=DCBA", INT(0x123456789abcdef0), "holding 10 4",
		  "F0DE BC9A 7856 3412\n", "16", TG_MODBUS_WRITE_AUTO },
		{ "holding 20 string 7 order=BADC", STRING("TIDE-7"), "holding 20 4",
		  "4954 4544 372D 0000\n", "16", TG_MODBUS_WRITE_AUTO },
		/* Into 0xA55A, which is read first. */
		{ "holding 30 bit=0", TRUTH(true), "holding 30 1", "A55B\n", "3 6",
		  TG_MODBUS_WRITE_AUTO },
		{ "holding 30 bits=4..7", INT(0xc), "holding 30 1", "A5CB\n", "3 16",
		  TG_MODBUS_WRITE_MULTIPLE },
		{ "holding 30 int8 order=BADC", INT(-1), "holding 30 1", "FFCB\n", "3 6",
		  TG_MODBUS_WRITE_SINGLE },
	};

	(void) state;
	line_do(&bench.line, "set %d holding 30 A55A", UNIT);
	for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
		struct tg_fault fault = { 0 };
		struct tg_sample s;
		char got[64];

		bench.device.modbus.write_function = rows[i].how;
		(void) functions();
		if (write_value(rows[i].read, rows[i].v, &fault) < 0)
			fail_msg("%s: %s", rows[i].read, fault.text);
		assert_string_equal(functions(), rows[i].functions);
		(void) snprintf(got, sizeof(got), "%s",
				line_tell(&bench.line, "get %d %s", UNIT, rows[i].look));
		if (strcasecmp(got, rows[i].words) != 0)
			fail_msg("%s: %s instead of %s", rows[i].read, got, rows[i].words);
		s = read_back(rows[i].read);
		assert_int_equal(s.quality, TG_GOOD);
		if (rows[i].v.type == TG_VALUE_TEXT)
			assert_string_equal(s.value.text, rows[i].v.text);
		else if (rows[i].v.type == TG_VALUE_BOOL)
			assert_int_equal(s.value.b, rows[i].v.b);
		else
			assert_true(s.value.u == rows[i].v.u);
	}
}

static void what_cannot_be_set_is_refused_before_anything_is_sent(void **state)
{
	struct tg_fault fault = { 0 };

	(void) state;
	(void) functions();
	assert_int_equal(write_value("holding 10", (struct tg_value) INT(70000), &fault), -ERANGE);
	assert_int_equal(write_value("holding 10 bits=0..3", (struct tg_value) INT(16), &fault),
			 -ERANGE);
	assert_int_equal(write_value("coil 1", (struct tg_value) STRING("on"), &fault), -EINVAL);
	assert_int_equal(write_value("input 1", (struct tg_value) INT(1), &fault), -EINVAL);
	assert_int_equal(write_value("holding 1 string 250", (struct tg_value) STRING("x"), &fault),
			 -EINVAL);
	bench.device.modbus.write_function = TG_MODBUS_WRITE_SINGLE;
	assert_int_equal(write_value("holding 1 float32", (struct tg_value) REAL(1), &fault),
			 -EINVAL);
	assert_string_equal(functions(), "");
}

/* Whatever a device does with a write, it is asked once. */
static void a_write_is_never_repeated(void **state)
{
	static const struct {
		const char *misdeed;
		int r;
		const char *words;
	} rows[] = {
		{ "exception 2", -EREMOTEIO, "illegal data address (exception 2)" },
		{ "exception 6", -EBUSY, "device busy" },
		{ "exception 5", 0, "" },
		{ "silence", -ETIMEDOUT, "timeout" },
	};

	(void) state;
	bench.device.retries = 3;
	bench.device.timeout_us = 300000;
	for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
		struct tg_fault fault = { 0 };

		(void) functions();
		line_do(&bench.line, "misdeed %d %s", UNIT, rows[i].misdeed);
		assert_int_equal(write_value("holding 10", (struct tg_value) INT(7), &fault),
				 rows[i].r);
		if (!strstr(fault.text, rows[i].words))
			fail_msg("'%s' does not say '%s'", fault.text, rows[i].words);
		assert_string_equal(functions(), "6");
		line_do(&bench.line, "misdeed %d none", UNIT);
	}
}

/* A line that echoes: what comes back first is no confirmation. */
static void an_echo_is_not_taken_for_the_answer_to_a_write(void **state)
{
	struct tg_fault fault = { 0 };

	(void) state;
	line_do(&bench.line, "echo on");
	bench.bus_cfg.modbus_rtu.echo = true;
	bench.device.timeout_us = 300000;
	assert_int_equal(write_value("holding 10", (struct tg_value) INT(9), &fault), 0);
	line_do(&bench.line, "dead %d", UNIT);
	assert_int_equal(write_value("holding 10", (struct tg_value) INT(9), &fault), -ETIMEDOUT);
}

#define BOTH(test)                                                                                 \
	cmocka_unit_test_setup_teardown(test, start_rtu, stop),                                    \
		cmocka_unit_test_setup_teardown(test, start_tcp, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(what_is_set_is_there_and_reads_back),
		BOTH(what_cannot_be_set_is_refused_before_anything_is_sent),
		BOTH(a_write_is_never_repeated),
		cmocka_unit_test_setup_teardown(an_echo_is_not_taken_for_the_answer_to_a_write,
						start_rtu, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
