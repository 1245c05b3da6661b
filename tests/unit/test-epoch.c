/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline/pipeline.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LAST ((UINT32_C(1) << 21) - 1)

/* The epoch needs no spool, but it is linked with what does. */
int tg_spool_put(struct tg_spool *s, struct tg_parcel *p)
{
	(void) s;
	(void) p;
	return -EAGAIN;
}

static char dir[] = "/tmp/tidegate-epoch-XXXXXX";
static char path[sizeof(dir) + sizeof("/seq-epoch")];

static int make_dir(void **state)
{
	(void) state;
	if (!mkdtemp(dir))
		return -1;
	(void) snprintf(path, sizeof(path), "%s/seq-epoch", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void) state;
	(void) unlink(path);
	return rmdir(dir);
}

static int remove_file(void **state)
{
	(void) state;
	return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void put_file(const char *text, size_t len)
{
	tg_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
}

static uint32_t raise_epoch(uint32_t at_least)
{
	struct tg_fault why = { .text = "" };
	uint32_t epoch = 0;

	if (tg_epoch_raise(dir, at_least, &epoch, &why) < 0)
		fail_msg("%s", why.text);
	return epoch;
}

static void the_first_start_begins_above_zero(void **state)
{
	(void) state;
	assert_int_equal(raise_epoch(0), 1);
}

static void every_start_raises_it(void **state)
{
	(void) state;
	for (uint32_t i = 1; i < 20; i++)
		assert_int_equal(raise_epoch(0), i);
}

static void what_the_spool_has_seen_counts_too(void **state)
{
	(void) state;
	assert_int_equal(raise_epoch(41), 42);
	assert_int_equal(raise_epoch(7), 43);
}

static void a_damaged_file_never_leads_back(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		uint32_t above;
	} files[] = {
		{ "", 0, 0 },
		{ "12", 2, 12 },
		{ "\n", 1, 0 },
		{ "1000\n1001\n", 10, 1001 },
		{ "\0\0\0\0\0\0\0", 7, 0 },
		{ "1\0003\n", 4, 3 },
		{ "-5\n", 3, 5 },
		{ " 5\n", 3, 5 },
		{ "0x10\n", 5, 10 },
		{ "\xff\xfe"
		  "77 rubbish 78",
		  15, 78 },
		{ "9999999\n", 8, 0 },
		{ "99999999999999999999999999999999999999\n", 39, 0 },
		{ "18446744073709551617\n", 21, 0 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(files); i++) {
		uint32_t epoch;

		put_file(files[i].text, files[i].len);
		epoch = raise_epoch(20);
		/* Not by one only: what cannot be read any more may have been higher. */
		if (epoch < files[i].above + 10000 || epoch < 10020 || epoch > 70000)
			fail_msg("file %zu gave %u", i, epoch);
		/* It was replaced by a whole one. */
		assert_int_equal(raise_epoch(0), epoch + 1);
	}
}

static void a_file_too_long_is_damaged(void **state)
{
	char digits[5000];

	(void) state;
	memset(digits, '1', sizeof(digits));
	put_file(digits, sizeof(digits));
	assert_true(raise_epoch(3) > 10000);
}

static void damage_near_the_end_still_gives_an_epoch(void **state)
{
	(void) state;
	put_file("2097000", 7);
	assert_int_equal(raise_epoch(0), 2097001);
}

static void the_last_epoch_is_followed_by_a_refusal(void **state)
{
	struct tg_fault why = { .text = "" };
	uint32_t epoch = 77;

	(void) state;
	put_file("2097150\n", 8);
	assert_int_equal(raise_epoch(0), LAST);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tg_epoch_raise(dir, 0, &epoch, &why), -EOVERFLOW);
		assert_int_equal(epoch, 77);
		assert_non_null(strstr(why.text, "seq-epoch"));
	}
}

static void what_is_no_file_is_refused_and_left(void **state)
{
	struct tg_fault why = { .text = "" };
	struct stat st;
	uint32_t epoch;

	(void) state;
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(tg_epoch_raise(dir, 0, &epoch, &why) < 0);
	assert_true(why.text[0] != '\0');
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(rmdir(path), 0);
}

static void a_missing_directory_is_named(void **state)
{
	struct tg_fault why = { .text = "" };
	uint32_t epoch;

	(void) state;
	assert_int_equal(tg_epoch_raise("/nonexistent/state", 0, &epoch, &why), -ENOENT);
	assert_non_null(strstr(why.text, "/nonexistent/state"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_first_start_begins_above_zero, remove_file),
		cmocka_unit_test_teardown(every_start_raises_it, remove_file),
		cmocka_unit_test_teardown(what_the_spool_has_seen_counts_too, remove_file),
		cmocka_unit_test_teardown(a_damaged_file_never_leads_back, remove_file),
		cmocka_unit_test_teardown(a_file_too_long_is_damaged, remove_file),
		cmocka_unit_test_teardown(damage_near_the_end_still_gives_an_epoch, remove_file),
		cmocka_unit_test_teardown(the_last_epoch_is_followed_by_a_refusal, remove_file),
		cmocka_unit_test(what_is_no_file_is_refused_and_left),
		cmocka_unit_test(a_missing_directory_is_named),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
