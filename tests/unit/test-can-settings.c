/* SPDX-License-Identifier: Apache-2.0 */
#include "udev/can/settings.h"

#include "base/buffer.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void write_down(void *user, unsigned line, const char *text)
{
	tg_buffer_addf(user, "%u: %s\n", line, text);
}

/* Reads a copy with nothing behind it, so that a sanitizer sees every byte too far. */
static int read_exactly(const char *text, struct tg_buffer *told, struct tg_can_settings *ret)
{
	size_t len = strlen(text);
	tg_autofree char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return tg_can_settings_read(copy, len, write_down, told, ret);
}

static struct tg_can_settings accepts(const char *text)
{
	struct tg_buffer told = TG_BUFFER_INIT(4096);
	struct tg_can_settings s;

	if (read_exactly(text, &told, &s) < 0)
		fail_msg("%s", tg_buffer_text(&told));
	assert_string_equal(tg_buffer_text(&told), "");
	tg_buffer_done(&told);
	return s;
}

static void refuses(const char *text, const char *expected)
{
	struct tg_buffer told = TG_BUFFER_INIT(4096);
	struct tg_can_settings s = { .bit_rate = 7 };

	assert_int_equal(read_exactly(text, &told, &s), -EINVAL);
	assert_string_equal(tg_buffer_text(&told), expected);
	assert_int_equal(s.bit_rate, 7); /* outputs untouched */
	tg_buffer_done(&told);
}

static void a_bit_rate_is_enough(void **state)
{
	struct tg_can_settings s = accepts("# the engine\n[can]\nbit-rate = 250000\n");

	(void) state;
	assert_int_equal(s.bit_rate, 250000);
	assert_int_equal(s.restart_ms, 500);
	assert_int_equal(s.sample_point, 0);
	assert_int_equal(s.data_bit_rate, 0);
	assert_false(s.listen_only);
	assert_false(s.loopback);
}

static void every_key_counts(void **state)
{
	struct tg_can_settings s = accepts("[can]\nbit-rate=500k\nsample-point=87.5%\ndata-bit-"
					   "rate=2M\n"
					   "data-sample-point=75%\nrestart-after=1s\nlisten-only="
					   "yes\n");

	(void) state;
	assert_int_equal(s.bit_rate, 500000);
	assert_int_equal(s.sample_point, 875);
	assert_int_equal(s.data_bit_rate, 2000000);
	assert_int_equal(s.data_sample_point, 750);
	assert_int_equal(s.restart_ms, 1000);
	assert_true(s.listen_only);
	s = accepts("[can]\nbit-rate = 125K\nrestart-after = 0\nloopback = on\n");
	assert_int_equal(s.bit_rate, 125000);
	assert_int_equal(s.restart_ms, 0);
	assert_true(s.loopback);
}

static void rates_are_decimal_and_have_bounds(void **state)
{
	(void) state;
	assert_int_equal(accepts("[can]\nbit-rate = 1k\n").bit_rate, 1000);
	assert_int_equal(accepts("[can]\nbit-rate = 1M\n").bit_rate, 1000000);
	assert_int_equal(accepts("[can]\nbit-rate = 83333\n").bit_rate, 83333);
	for (size_t i = 0;; i++) {
		static const char *const bad[] = { "999",
						   "1000001",
						   "2M",
						   "0",
						   "-5",
						   "250 k",
						   "250kbit",
						   "2.5k",
						   "k",
						   "1e5",
						   "M",
						   "1kk",
						   "4294967297",
						   "18446744073709551615k",
						   "111111111111111111111" };
		char text[80], expected[160];

		if (i == TG_ARRAY_SIZE(bad))
			break;
		(void) snprintf(text, sizeof(text), "[can]\nbit-rate = %s\n", bad[i]);
		(void) snprintf(expected, sizeof(expected),
				"2: bit-rate = %s: expected 1k to 1M, such as 250000 or 250k\n",
				bad[i]);
		refuses(text, expected);
	}
	refuses("[can]\nbit-rate=1M\ndata-bit-rate=21M\n", "3: data-bit-rate = 21M: expected 1k to "
							   "20M, such as 2M\n");
}

static void other_values_have_bounds_too(void **state)
{
	(void) state;
	refuses("[can]\nbit-rate=1M\nsample-point=49%\n", "3: sample-point = 49%: expected a "
							  "percentage from 50% to 99.9%\n");
	refuses("[can]\nbit-rate=1M\nsample-point=100%\n", "3: sample-point = 100%: expected a "
							   "percentage from 50% to 99.9%\n");
	refuses("[can]\nbit-rate=1M\nsample-point=0.875\n", "3: sample-point = 0.875: expected a "
							    "percentage from 50% to 99.9%\n");
	refuses("[can]\nbit-rate=1M\nrestart-after=9ms\n", "3: restart-after = 9ms: expected 10ms "
							   "to 1h, or 0 for never\n");
	refuses("[can]\nbit-rate=1M\nrestart-after=500\n", "3: restart-after = 500: expected 10ms "
							   "to 1h, or 0 for never\n");
	refuses("[can]\nbit-rate=1M\nrestart-after=2h\n", "3: restart-after = 2h: expected 10ms to "
							  "1h, or 0 for never\n");
	refuses("[can]\nbit-rate=1M\nlisten-only=maybe\n", "3: listen-only = maybe: expected yes "
							   "or no\n");
}

static void what_does_not_belong_there_is_told_with_its_line(void **state)
{
	(void) state;
	refuses("", "0: bit-rate is missing\n");
	refuses("[can]\n", "0: bit-rate is missing\n");
	refuses("[can]\nbitrate = 250000\n", "2: unknown key 'bitrate'; did you mean "
					     "'bit-rate'?\n");
	refuses("[can]\nspeed = 250000\n", "2: unknown key 'speed'\n");
	refuses("[CAN]\nbit-rate = 250000\n", "1: unknown section [CAN]; there is [can] alone\n");
	refuses("bit-rate = 250000\n", "1: a setting before [can]\n");
	refuses("[can]\nbit-rate=1M\nbit-rate=1M\n", "3: bit-rate is set in line 2 already\n");
	refuses("[can]\nbit-rate=x\nlisten-only=x\n[more]\nbit-rate=1M\n",
		"2: bit-rate = x: expected 1k to 1M, such as 250000 or 250k\n"
		"3: listen-only = x: expected yes or no\n"
		"4: unknown section [more]; there is [can] alone\n");
}

static void keys_that_contradict_each_other_are_refused(void **state)
{
	(void) state;
	refuses("[can]\nbit-rate=500k\ndata-bit-rate=250k\n", "0: data-bit-rate is below "
							      "bit-rate\n");
	refuses("[can]\nbit-rate=500k\ndata-sample-point=75%\n", "0: data-sample-point without "
								 "data-bit-rate\n");
	refuses("[can]\nbit-rate=500k\nlisten-only=yes\nloopback=yes\n", "0: listen-only and "
									 "loopback exclude each "
									 "other\n");
}

/* Leaves the file and its directory in @path of PATH_MAX. */
static void make_file(char *path, size_t size, const char *text, mode_t mode)
{
	char dir[] = "/tmp/test-can-settings-XXXXXX";
	FILE *file;

	assert_non_null(mkdtemp(dir));
	(void) snprintf(path, size, "%s/can0.conf", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void drop_file(char *path)
{
	assert_int_equal(unlink(path), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0);
}

static void a_file_that_everybody_may_write_to_is_refused(void **state)
{
	struct tg_buffer told = TG_BUFFER_INIT(4096);
	struct tg_can_settings s;
	char path[64];

	(void) state;
	make_file(path, sizeof(path), "[can]\nbit-rate = 250k\n", 0646);
	assert_int_equal(tg_can_settings_load(path, write_down, &told, &s), -EINVAL);
	assert_string_equal(tg_buffer_text(&told), "0: everybody may write to it: chmod o-w\n");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(tg_can_settings_load(path, write_down, &told, &s), 0);
	assert_int_equal(s.bit_rate, 250000);
	drop_file(path);
	assert_int_equal(tg_can_settings_load(path, write_down, &told, &s), -ENOENT);
	assert_non_null(strstr(tg_buffer_text(&told), "cannot be read: No such file"));
	tg_buffer_done(&told);
}

static void settings_are_said_in_words(void **state)
{
	struct tg_can_settings s = { .bit_rate = 250000, .restart_ms = 500 };
	char text[160], little[12];

	(void) state;
	assert_string_equal(tg_can_settings_text(&s, text, sizeof(text)), "250000 bit/s, restart "
									  "after 500 ms");
	s = (struct tg_can_settings){ .bit_rate = 500000,
				      .sample_point = 875,
				      .data_bit_rate = 2000000,
				      .data_sample_point = 750,
				      .listen_only = true };
	assert_string_equal(tg_can_settings_text(&s, text, sizeof(text)), "500000 bit/s, sample "
									  "point 87.5 %, data "
									  "2000000 bit/s, sample "
									  "point 75.0 %, "
									  "no restart after "
									  "bus-off, listen-only");
	assert_string_equal(tg_can_settings_text(&s, little, sizeof(little)), "500000 bit/");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bit_rate_is_enough),
		cmocka_unit_test(every_key_counts),
		cmocka_unit_test(rates_are_decimal_and_have_bounds),
		cmocka_unit_test(other_values_have_bounds_too),
		cmocka_unit_test(what_does_not_belong_there_is_told_with_its_line),
		cmocka_unit_test(keys_that_contradict_each_other_are_refused),
		cmocka_unit_test(a_file_that_everybody_may_write_to_is_refused),
		cmocka_unit_test(settings_are_said_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
