/* SPDX-License-Identifier: Apache-2.0 */
#include "wallclock/saved.h"

#include "base/clock.h"
#include "base/file.h"
#include "tests/unit/test.h"
#include "wallclock/look.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1795300000)

static char dir[64], path[PATH_MAX];

static int make_dir(void **state)
{
	(void) state;
	(void) snprintf(dir, sizeof(dir), "/tmp/tg-saved-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void) snprintf(path, sizeof(path), "%s/" TG_FILE_SAVED_TIME, dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void) state;
	(void) unlink(path);
	(void) rmdir(path);
	return rmdir(dir);
}

static void put(const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(close(fd), 0);
}

static struct tg_saved_time sample(void)
{
	return (struct tg_saved_time){ NOW, 123456789, { 1, 2, 3, 0xfe, 0xff } };
}

static void what_was_saved_is_read(void **state)
{
	struct tg_saved_time t = sample(), got;

	(void) state;
	assert_int_equal(tg_saved_time_read(dir, &got, NULL), -ENOENT);
	assert_int_equal(tg_saved_time_write(dir, &t, NULL), 0);
	assert_int_equal(tg_saved_time_read(dir, &got, NULL), 0);
	assert_memory_equal(&got, &t, sizeof(t));
	t.wall_s++;
	assert_int_equal(tg_saved_time_write(dir, &t, NULL), 0);
	assert_int_equal(tg_saved_time_read(dir, &got, NULL), 0);
	assert_true(got.wall_s == NOW + 1);
}

static void a_time_of_another_boot_had_passed_when_this_one_began(void **state)
{
	struct tg_saved_time t = sample();
	uint8_t other[16] = { 9 };

	(void) state;
	assert_true(tg_saved_time_boot_us(&t, t.boot_id) == t.boot_us);
	assert_true(tg_saved_time_boot_us(&t, other) == 0);
}

static void garbage_is_told_and_no_time(void **state)
{
	static const char *const lines[] = {
		"",
		"\n",
		"1\n",
		"1 2 3\n",
		"2 1795300000 5 0102030405060708090a0b0c0d0e0f10\n",
		"1 1795300000 5 0102030405060708090a0b0c0d0e0f10",
		"1 1795300000 5 0102030405060708090a0b0c0d0e0f10 \n",
		"1 1795300000 5 0102030405060708090a0b0c0d0e0f1\n",
		"1 1795300000 5 0102030405060708090A0B0C0D0E0F10\n",
		"1 -5 5 0102030405060708090a0b0c0d0e0f10\n",
		"1 0 5 0102030405060708090a0b0c0d0e0f10\n",
		"1 1795300000 -5 0102030405060708090a0b0c0d0e0f10\n",
		"1 99999999999999999999 5 0102030405060708090a0b0c0d0e0f10\n",
		"1 253402300800 5 0102030405060708090a0b0c0d0e0f10\n",
		"1 1795300000 18446744073709551615 0102030405060708090a0b0c0d0e0f10\n",
		"1  1795300000 5 0102030405060708090a0b0c0d0e0f10\n",
	};
	struct tg_saved_time got;
	struct tg_fault why = { .text = "" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(lines); i++) {
		put(lines[i], strlen(lines[i]));
		assert_int_equal(tg_saved_time_read(dir, &got, &why), -EBADMSG);
		assert_non_null(strstr(why.text, TG_FILE_SAVED_TIME));
	}
	put("1 1795300000 5 0102030405060708090a0b0c0d0e0f10\0\n", 50);
	assert_int_equal(tg_saved_time_read(dir, &got, NULL), -EBADMSG);
}

static void no_damaged_byte_makes_a_time_that_no_clock_shows(void **state)
{
	struct tg_saved_time t = sample(), got;
	tg_autofree char *text = NULL;
	size_t len = 0;

	(void) state;
	assert_int_equal(tg_saved_time_write(dir, &t, NULL), 0);
	assert_int_equal(tg_file_read(AT_FDCWD, path, 200, &text, &len, NULL), 0);
	for (size_t cut = 0; cut < len; cut++) {
		put(text, cut);
		assert_int_equal(tg_saved_time_read(dir, &got, NULL), -EBADMSG);
	}
	for (size_t i = 0; i < len * 8; i++) {
		char was = text[i / 8];
		struct tg_wallclock w;
		int r;

		text[i / 8] = (char) (was ^ 1 << i % 8);
		put(text, len);
		r = tg_saved_time_read(dir, &got, NULL);
		assert_true(r == 0 || r == -EBADMSG);
		assert_true(r < 0 || (got.wall_s > 0 && got.wall_s < INT64_C(253402300800)));
		(void) tg_wallclock_look(&w, dir, NULL, NULL);
		text[i / 8] = was;
	}
}

static void what_is_no_file_is_not_read(void **state)
{
	struct tg_saved_time got;

	(void) state;
	(void) unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(tg_saved_time_read(dir, &got, NULL) < 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_true(tg_saved_time_read(dir, &got, NULL) < 0);
	assert_int_equal(unlink(path), 0);
	assert_true(tg_saved_time_read("/nonexistent", &got, NULL) == -ENOENT);
}

static void the_saved_time_is_a_floor_at_the_next_start(void **state)
{
	struct tg_saved_time t = sample();
	struct tg_wallclock w;
	int64_t saved = 0, real = tg_clock_wall_us() / (int64_t) TG_US_PER_S;

	(void) state;
	t.wall_s = real + 3 * 365 * 86400;
	assert_int_equal(tg_saved_time_write(dir, &t, NULL), 0);
	assert_int_equal(tg_wallclock_look(&w, dir, &saved, NULL), 0);
	assert_true(saved == t.wall_s);
	assert_int_equal(tg_wallclock_floor_source(&w), TG_FLOOR_SAVED);
	assert_int_equal(tg_wallclock_judge(&w, tg_wallclock_instant()), TG_CLOCK_SUSPECT);
	assert_true(tg_wallclock_believed_s(&w, tg_wallclock_instant()) >= t.wall_s);
}

static void a_damaged_file_leaves_the_other_floors(void **state)
{
	struct tg_wallclock w;
	int64_t saved = 5;
	int r;

	(void) state;
	put("nonsense\n", 9);
	r = tg_wallclock_look(&w, dir, &saved, NULL);
	assert_int_equal(r, -EBADMSG);
	assert_true(saved == 0);
	assert_true(tg_wallclock_floor_s(&w, tg_clock_boot_us()) > 1790000000);
	/* A saved time that is further ahead than a gateway sleeps is none. */
	put("1 253402300799 5 0102030405060708090a0b0c0d0e0f10\n", 50);
	assert_int_equal(tg_wallclock_look(&w, dir, NULL, NULL), 0);
	assert_int_not_equal(tg_wallclock_floor_source(&w), TG_FLOOR_SAVED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_saved_is_read),
		cmocka_unit_test(a_time_of_another_boot_had_passed_when_this_one_began),
		cmocka_unit_test(garbage_is_told_and_no_time),
		cmocka_unit_test(no_damaged_byte_makes_a_time_that_no_clock_shows),
		cmocka_unit_test(what_is_no_file_is_not_read),
		cmocka_unit_test(the_saved_time_is_a_floor_at_the_next_start),
		cmocka_unit_test(a_damaged_file_leaves_the_other_floors),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
