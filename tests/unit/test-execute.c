/* SPDX-License-Identifier: Apache-2.0 */

/* Commands on a device that answers as it is told, with the real ledger. */
#include "agent/command/execute.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOW     (INT64_C(1795256110) * 1000000)
#define TEXT(s) ((char *) (uintptr_t) (s))

static char dir[] = "/tmp/tidegate-execute-XXXXXX";
static char path[sizeof(dir) + sizeof("/" TG_LEDGER_FILE)];

static struct tg_config_point points[] = {
	{ .name = TEXT("setpoint"),
	  .unit = TEXT("Cel"),
	  .scale = 0.1,
	  .write = true,
	  .has_min = true,
	  .min = 5,
	  .has_max = true,
	  .max = 30,
	  .has_safe = true,
	  .safe = 18 },
	{ .name = TEXT("pump"),
	  .unit = TEXT(""),
	  .scale = 1,
	  .write = true,
	  .has_safe = true,
	  .safe = 0 },
};
static struct tg_config_device device = { .name = TEXT("boiler"), .points = points, .n_points = 2 };
static struct tg_config cfg = { .devices = &device, .n_devices = 1 };

/* The device. */
static struct {
	struct tg_value value;
	int write_result, read_result;
	bool bad, deaf; /* reads badly; takes a write and does nothing */
	const char *silence;
	unsigned writes, reads, entered; /* writes that found their id in the ledger */
	enum tg_clock_trust trust;
} dev;

static int write_point(struct tg_bus *bus, const struct tg_config_device *d,
		       const struct tg_config_point *p, const struct tg_value *raw,
		       struct tg_fault *reterr)
{
	char text[512] = "";
	FILE *f = fopen(path, "r");

	(void) bus;
	assert_ptr_equal(d, &device);
	(void) p;
	if (f) {
		/* The power fails here: what is on the disk must name the id already. */
		while (fgets(text, sizeof(text), f) && !strstr(text, "\tid-1\t"))
			;
		(void) fclose(f);
		dev.entered += strstr(text, "\tid-1\t") != NULL;
	}
	dev.writes++;
	if (!dev.deaf && (dev.write_result == 0 || dev.write_result == -ETIMEDOUT))
		dev.value = *raw;
	return dev.write_result < 0 ? tg_fault_set(reterr, dev.write_result, "no luck") : 0;
}

static int read_point(struct tg_bus *bus, const struct tg_config_device *d,
		      const struct tg_config_point *p, struct tg_sample *out,
		      struct tg_fault *reterr)
{
	(void) bus;
	(void) d;
	(void) p;
	dev.reads++;
	if (dev.read_result < 0)
		return tg_fault_set(reterr, dev.read_result, "no answer");
	out->quality = dev.bad ? TG_BAD : TG_GOOD;
	out->reason = dev.bad ? "broken wire" : "";
	out->value = dev.value;
	return 0;
}

static const struct tg_bus_driver driver = { .name = "fake",
					     .write = write_point,
					     .read_one = read_point };

static const char *silence(const struct tg_bus_hands *h, size_t index)
{
	(void) h;
	assert_int_equal(index, 0);
	return dev.silence;
}

static void progress(const struct tg_bus_hands *h)
{
	(void) h;
}

static struct tg_command_clock clock_now(void *user)
{
	(void) user;
	return (struct tg_command_clock){ .wall_us = NOW, .trust = dev.trust };
}

static const struct tg_bus_hands hands = {
	.driver = &driver, .cfg = &cfg, .silence = silence, .progress = progress
};
static struct tg_execution x = { .clock = clock_now };
static struct tg_result result;
static bool silent;

static int set_up(void **state)
{
	(void) state;
	memset(&dev, 0, sizeof(dev));
	dev.silence = "";
	dev.trust = TG_CLOCK_SYNCHRONISED;
	dev.value = (struct tg_value){ .type = TG_VALUE_INT, .i = 200 };
	return tg_ledger_new(dir, &x.ledger);
}

static int tear_down(void **state)
{
	(void) state;
	x.ledger = tg_ledger_free(x.ledger);
	return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

static struct tg_command command(double value)
{
	struct tg_command c = { .id = "id-1", .device = "boiler", .point = "setpoint" };

	tg_kept_set(&c.value, &(struct tg_value){ .type = TG_VALUE_REAL, .real = value });
	return c;
}

static enum tg_executed execute(double value)
{
	const struct tg_command c = command(value);

	return tg_execute(&x, &hands, &c, 0, 0, &result, &silent);
}

static void expect(enum tg_command_status status, const char *reason)
{
	if (result.status != status || !strstr(result.reason, reason))
		fail_msg("%s: %s", tg_command_status_name(result.status), result.reason);
}

static void it_is_entered_written_and_read_back(void **state)
{
	(void) state;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	expect(TG_COMMAND_DONE, "");
	assert_string_equal(result.reason, "");
	assert_true(dev.value.type == TG_VALUE_INT && dev.value.i == 215);
	assert_true(result.value.value.real == 21.5);
	assert_true(result.wall_us == NOW);
	assert_int_equal(dev.entered, 1);
	assert_int_equal(dev.writes, 1);
}

static void delivered_twice_it_is_executed_once(void **state)
{
	(void) state;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	dev.value.i = 0;
	/* Also when it would be refused by now. */
	assert_int_equal(execute(99), TG_EXECUTED_BEFORE);
	expect(TG_COMMAND_DONE, "");
	assert_true(result.value.value.real == 21.5);
	assert_int_equal(dev.writes, 1);
	x.ledger = tg_ledger_free(x.ledger);
	assert_int_equal(tg_ledger_new(dir, &x.ledger), 0);
	assert_int_equal(execute(21.5), TG_EXECUTED_BEFORE);
	assert_int_equal(dev.writes, 1);
}

static void what_may_not_be_is_refused_and_leaves_nothing(void **state)
{
	struct tg_command c = command(21.5);

	(void) state;
	assert_int_equal(execute(30.5), TG_EXECUTED_NOT);
	expect(TG_COMMAND_REFUSED, "above max");
	assert_int_equal(execute(-1), TG_EXECUTED_NOT);
	expect(TG_COMMAND_REFUSED, "below min");
	c.expires = true;
	c.expires_us = NOW - 1;
	assert_int_equal(tg_execute(&x, &hands, &c, 0, 0, &result, &silent), TG_EXECUTED_NOT);
	expect(TG_COMMAND_REFUSED, "expired");
	dev.trust = TG_CLOCK_SUSPECT;
	c.expires_us = NOW + 1;
	assert_int_equal(tg_execute(&x, &hands, &c, 0, 0, &result, &silent), TG_EXECUTED_NOT);
	expect(TG_COMMAND_REFUSED, "clock");
	assert_true(result.wall_us == 0);
	assert_int_equal(dev.writes + dev.reads, 0);
	assert_int_equal(access(path, F_OK), -1);
	/* The id is not used up. */
	assert_int_equal(execute(21.5), TG_EXECUTED);
}

static void a_device_says_what_it_cannot_hold(void **state)
{
	(void) state;
	dev.write_result = -ERANGE;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	expect(TG_COMMAND_REFUSED, "no luck");
	assert_int_equal(dev.reads, 0);
}

static void a_lost_answer_is_looked_into(void **state)
{
	(void) state;
	dev.write_result = -ETIMEDOUT;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	expect(TG_COMMAND_DONE, "no luck; but it has the value");
	assert_int_equal(dev.writes, 1);
}

static void a_lost_write_has_failed_when_the_value_is_another(void **state)
{
	(void) state;
	dev.write_result = -ETIMEDOUT;
	dev.deaf = true;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	expect(TG_COMMAND_FAILED, "no luck");
	assert_true(result.value.value.real == 20);
}

static void what_cannot_be_read_back_is_unknown(void **state)
{
	(void) state;
	dev.read_result = -ETIMEDOUT;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	expect(TG_COMMAND_UNKNOWN, "written, but not read back: no answer");
	assert_int_equal(result.value.value.type, TG_VALUE_NONE);
	assert_false(silent);
}

static void silence_after_a_write_is_unknown(void **state)
{
	(void) state;
	dev.write_result = dev.read_result = -ETIMEDOUT;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	expect(TG_COMMAND_UNKNOWN, "cannot be read back");
	assert_true(silent);
}

static void a_device_that_has_another_value_did_not_do_it(void **state)
{
	(void) state;
	dev.deaf = true;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	expect(TG_COMMAND_FAILED, "another value");
	assert_true(result.value.value.real == 20);
}

static void nothing_is_written_to_a_device_that_is_silent(void **state)
{
	(void) state;
	dev.silence = "timeout";
	dev.read_result = -ETIMEDOUT;
	assert_int_equal(execute(21.5), TG_EXECUTED_NOT);
	expect(TG_COMMAND_FAILED, "does not answer");
	assert_true(silent);
	assert_int_equal(dev.writes, 0);
	/* Back again: the id is not used up. */
	dev.read_result = 0;
	dev.bad = true;
	assert_int_equal(execute(21.5), TG_EXECUTED);
	assert_int_equal(dev.writes, 1);
	expect(TG_COMMAND_UNKNOWN, "broken wire");
}

static void without_a_ledger_nothing_is_written(void **state)
{
	(void) state;
	x.ledger = tg_ledger_free(x.ledger);
	assert_int_equal(tg_ledger_new("/nonexistent", &x.ledger), 0);
	assert_int_equal(execute(21.5), TG_EXECUTED_NOT);
	expect(TG_COMMAND_FAILED, "/nonexistent");
	assert_int_equal(dev.writes, 0);
}

/* Killed between ledger and write: at the next start the point is read back, and the command is never executed. */
static void after_a_crash_it_is_unknown_with_what_the_device_has(void **state)
{
	const struct tg_command c = command(21.5);
	struct tg_result r;

	(void) state;
	assert_int_equal(tg_ledger_begin(x.ledger, &c, NOW / 1000000, &r, NULL), TG_LEDGER_NEW);
	x.ledger = tg_ledger_free(x.ledger);
	assert_int_equal(tg_ledger_new(dir, &x.ledger), 0);
	assert_int_equal(execute(21.5), TG_EXECUTED_UNDER_WAY);
	tg_result_init(&result, &c);
	tg_execute_read_back(&x, &hands, 0, 0, &result);
	expect(TG_COMMAND_UNKNOWN, "stopped");
	assert_true(result.value.value.real == 20);
	assert_int_equal(execute(21.5), TG_EXECUTED_BEFORE);
	expect(TG_COMMAND_UNKNOWN, "stopped");
	assert_int_equal(dev.writes, 0);
}

static void a_float_that_the_device_holds_narrower_is_the_same(void **state)
{
	(void) state;
	points[0].scale = 1;
	dev.deaf = true;
	dev.value = (struct tg_value){ .type = TG_VALUE_REAL, .real = 21.350000381469727 };
	assert_int_equal(execute(21.35), TG_EXECUTED);
	points[0].scale = 0.1;
	expect(TG_COMMAND_DONE, "");
}

static void safe_values_are_of_the_points_type(void **state)
{
	struct tg_fault why;

	(void) state;
	assert_int_equal(tg_execute_safe(&hands, 0, 0, &why), 0);
	assert_true(dev.value.type == TG_VALUE_INT && dev.value.i == 180);
	dev.value = (struct tg_value){ .type = TG_VALUE_BOOL, .b = true };
	assert_int_equal(tg_execute_safe(&hands, 0, 1, &why), 0);
	assert_true(dev.value.type == TG_VALUE_BOOL && !dev.value.b);
	dev.deaf = true;
	dev.value.b = true;
	assert_int_equal(tg_execute_safe(&hands, 0, 1, &why), -EREMOTEIO);
	dev.read_result = -ETIMEDOUT;
	assert_int_equal(tg_execute_safe(&hands, 0, 1, &why), -ETIMEDOUT);
}

static void an_output_that_cannot_be_read_falls_all_the_same(void **state)
{
	struct tg_fault why;

	(void) state;
	dev.read_result = -ETIMEDOUT;
	/* Not known to be there, so it is tried again; but it was written. */
	assert_int_equal(tg_execute_safe(&hands, 0, 0, &why), -ETIMEDOUT);
	assert_int_equal(dev.writes, 1);
	assert_true(dev.value.type == TG_VALUE_INT && dev.value.i == 180);
}

static int make_dir(void **state)
{
	(void) state;
	if (!mkdtemp(dir))
		return -1;
	(void) snprintf(path, sizeof(path), "%s/" TG_LEDGER_FILE, dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void) state;
	return rmdir(dir);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_is_entered_written_and_read_back),
		TEST(delivered_twice_it_is_executed_once),
		TEST(what_may_not_be_is_refused_and_leaves_nothing),
		TEST(a_device_says_what_it_cannot_hold),
		TEST(a_lost_answer_is_looked_into),
		TEST(a_lost_write_has_failed_when_the_value_is_another),
		TEST(what_cannot_be_read_back_is_unknown),
		TEST(silence_after_a_write_is_unknown),
		TEST(a_device_that_has_another_value_did_not_do_it),
		TEST(nothing_is_written_to_a_device_that_is_silent),
		TEST(without_a_ledger_nothing_is_written),
		TEST(after_a_crash_it_is_unknown_with_what_the_device_has),
		TEST(a_float_that_the_device_holds_narrower_is_the_same),
		TEST(safe_values_are_of_the_points_type),
		TEST(an_output_that_cannot_be_read_falls_all_the_same),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
