/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/totals.h"

#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define S       UINT64_C(1000000)
#define TEXT(s) ((char *) (uintptr_t) (s))

static struct tg_config_point points[] = {
	{ .name = TEXT("energy"), .counter_bits = 16 },
	{ .name = TEXT("level") },
	{ .name = TEXT("pulses") },
};
static const struct tg_config_device device = { .name = TEXT(".."), /* a legal name */
						.totals_interval_us = 300 * S,
						.points = points,
						.n_points = 3 };
static char dir[64], file[128];

static bool counts(const struct tg_config_point *p)
{
	return p == &points[2];
}

static int set_up(void **state)
{
	(void) state;
	(void) snprintf(dir, sizeof(dir), "/tmp/tg-totals-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void) snprintf(file, sizeof(file), "%s/totals/...txt", dir);
	return 0;
}

static int tear_down(void **state)
{
	char bad[160];

	(void) state;
	(void) snprintf(bad, sizeof(bad), "%s.bad", file);
	(void) unlink(bad);
	(void) unlink(file);
	(void) snprintf(bad, sizeof(bad), "%s/totals", dir);
	(void) rmdir(bad);
	return rmdir(dir);
}

static struct tg_totals start(void)
{
	struct tg_totals t;

	assert_int_equal(tg_totals_init(&t, &device, counts, dir, 1000 * S), 0);
	return t;
}

static struct tg_sample apply(struct tg_totals *t, size_t i, uint64_t raw)
{
	struct tg_sample s = { .value = { .type = TG_VALUE_UINT, .u = raw },
			       .quality = TG_GOOD,
			       .reason = "" };

	tg_totals_apply(t, i, &s);
	return s;
}

static void totals_survive_a_restart(void **state)
{
	struct tg_totals t = start();

	(void) state;
	assert_int_equal(apply(&t, 0, 65530).value.u, 65530);
	assert_int_equal(apply(&t, 0, 4).value.u, 65540);
	assert_int_equal(apply(&t, 2, 100).value.u, 100);
	tg_totals_save(&t, 1000 * S);
	tg_totals_done(&t);

	t = start();
	assert_int_equal(apply(&t, 0, 10).value.u, 65546);
	/* The driver counts from 0 again; more than last time is no step of the difference. */
	assert_int_equal(apply(&t, 2, 150).value.u, 250);
	tg_totals_done(&t);
}

static void the_disk_is_written_when_something_changed_and_not_too_often(void **state)
{
	struct tg_totals t = start();
	struct stat st;

	(void) state;
	assert_true(tg_totals_next_us(&t) == UINT64_MAX);
	(void) apply(&t, 0, 0);
	assert_true(tg_totals_next_us(&t) == 1300 * S);
	tg_totals_save(&t, 1300 * S);
	assert_true(tg_totals_next_us(&t) == UINT64_MAX);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void) apply(&t, 0, 0);
	assert_true(tg_totals_next_us(&t) == UINT64_MAX);
	(void) apply(&t, 0, 1);
	assert_true(tg_totals_next_us(&t) == 1600 * S);
	tg_totals_done(&t);
}

static void what_is_no_count_is_bad_and_what_is_no_counter_is_left_alone(void **state)
{
	struct tg_totals t = start();
	struct tg_sample s = apply(&t, 0, 65536);

	(void) state;
	assert_int_equal(s.quality, TG_BAD);
	assert_int_equal(s.value.type, TG_VALUE_NONE);
	s = (struct tg_sample){ .value = { .type = TG_VALUE_REAL, .real = 1.5 },
				.quality = TG_GOOD };
	tg_totals_apply(&t, 0, &s);
	assert_int_equal(s.quality, TG_BAD);
	s = (struct tg_sample){ .value = { .type = TG_VALUE_REAL, .real = 15 },
				.quality = TG_GOOD };
	tg_totals_apply(&t, 0, &s);
	assert_int_equal(s.value.u, 15);
	s = (struct tg_sample){ .value = { .type = TG_VALUE_INT, .i = -1 }, .quality = TG_GOOD };
	tg_totals_apply(&t, 1, &s);
	assert_int_equal(s.value.i, -1);
	tg_totals_done(&t);
}

static void a_damaged_file_is_set_aside(void **state)
{
	struct tg_totals t = start();
	char bad[160];
	int fd;

	(void) state;
	(void) apply(&t, 0, 77);
	tg_totals_save(&t, 1000 * S);
	tg_totals_done(&t);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && pwrite(fd, "9", 1, 25) == 1);
	(void) close(fd);

	t = start();
	assert_int_equal(apply(&t, 0, 80).value.u, 80);
	tg_totals_done(&t);
	(void) snprintf(bad, sizeof(bad), "%s.bad", file);
	assert_int_equal(access(bad, F_OK), 0);
	assert_int_not_equal(access(file, F_OK), 0);
}

static void without_counters_there_is_no_file(void **state)
{
	struct tg_config_device plain = device;
	struct tg_totals t;
	char path[128];

	(void) state;
	plain.n_points = 1;
	plain.points = &points[1];
	assert_int_equal(tg_totals_init(&t, &plain, NULL, dir, 0), 0);
	assert_int_equal(apply(&t, 0, 70000).value.u, 70000);
	tg_totals_save(&t, 1000 * S);
	tg_totals_done(&t);
	(void) snprintf(path, sizeof(path), "%s/totals", dir);
	assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(totals_survive_a_restart),
		TEST(the_disk_is_written_when_something_changed_and_not_too_often),
		TEST(what_is_no_count_is_bad_and_what_is_no_counter_is_left_alone),
		TEST(a_damaged_file_is_set_aside),
		TEST(without_counters_there_is_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
