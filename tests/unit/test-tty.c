/* SPDX-License-Identifier: Apache-2.0 */

/* Serial ports on pseudo terminals, which take every setting, and what lines can carry, which is arithmetic. */
#include "agent/bus/tty.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT(s) ((char *) (uintptr_t) (s))

struct bench {
	int master;
	struct tg_tty_line line;
};

static int set_up(void **state)
{
	static struct bench b;

	b.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(b.master >= 0);
	assert_int_equal(grantpt(b.master), 0);
	assert_int_equal(unlockpt(b.master), 0);
	b.line = (struct tg_tty_line){
		.port = ptsname(b.master),
		.baud = 9600,
		.parity = TG_PARITY_EVEN,
		.data_bits = 8,
		.stop_bits = 1,
	};
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	if (b->master >= 0)
		(void) close(b->master);
	return 0;
}

static int open_line(const struct bench *b)
{
	struct tg_fault fault = { 0 };
	int fd = -1;

	if (tg_tty_open(&b->line, &fd, &fault) < 0)
		fail_msg("%s", fault.text);
	return fd;
}

static void carries_every_byte_as_it_is(void **state)
{
	const struct bench *b = *state;
	uint8_t all[256], got[256];
	int fd = open_line(b);

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t) i;
	assert_int_equal(write(fd, all, sizeof(all)), sizeof(all));
	assert_int_equal(read(b->master, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, all, sizeof(all));
	assert_int_equal(write(b->master, all, sizeof(all)), sizeof(all));
	assert_int_equal(read(fd, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, all, sizeof(all));
	assert_int_equal(tg_tty_close(fd), -1);
}

static void tells_an_empty_port_from_one_that_has_gone(void **state)
{
	struct bench *b = *state;
	int fd = open_line(b);
	uint8_t byte;
	ssize_t n;

	assert_int_equal(read(fd, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(tg_tty_is_gone(errno));

	(void) close(b->master);
	b->master = -1;
	n = read(fd, &byte, 1);
	assert_true(n == 0 || (n < 0 && tg_tty_is_gone(errno)));
	(void) tg_tty_close(fd);
}

static void has_the_port_alone_until_it_gives_it_back(void **state)
{
	const struct bench *b = *state;
	struct tg_fault fault = { 0 };
	int fd = open_line(b), other = -1;

	assert_int_equal(tg_tty_open(&b->line, &other, &fault), -EBUSY);
	assert_non_null(strstr(fault.text, "another program"));
	assert_int_equal(other, -1);
	(void) tg_tty_close(fd);
	fd = open_line(b);
	(void) tg_tty_close(fd);
}

static void says_in_words_what_is_no_port(void **state)
{
	struct bench *b = *state;
	struct tg_fault fault = { 0 };
	int fd = -1;

	b->line.port = TEXT("/dev/serial/by-id/usb-nobody");
	assert_int_equal(tg_tty_open(&b->line, &fd, &fault), -ENOENT);
	assert_non_null(strstr(fault.text, "not plugged in"));
	b->line.port = TEXT("/dev/null");
	assert_int_equal(tg_tty_open(&b->line, &fd, &fault), -ENOTTY);
	assert_non_null(strstr(fault.text, "not a serial port"));
	assert_int_equal(fd, -1);
}

static void says_in_words_that_a_port_knows_no_rs485(void **state)
{
	struct bench *b = *state;
	struct tg_fault fault = { 0 };
	int fd = -1;

	b->line.rs485 = TG_RS485_RTS_HIGH;
	assert_int_equal(tg_tty_open(&b->line, &fd, &fault), -ENOTSUP);
	assert_non_null(strstr(fault.text, "rs485 = no"));
	/* And has given it back. */
	b->line.rs485 = TG_RS485_NO;
	(void) tg_tty_close(open_line(b));
}

static void knows_how_long_characters_take(void **state)
{
	struct tg_tty_line line = {
		.baud = 9600, .parity = TG_PARITY_EVEN, .data_bits = 8, .stop_bits = 1
	};
	char text[24];

	(void) state;
	/* 11 bits of 104.17 us, rounded up */
	assert_int_equal(tg_tty_time_us(&line, 1), 1146);
	assert_int_equal(tg_tty_time_us(&line, 245), 280730);
	assert_int_equal(tg_tty_time_us(&line, 0), 0);
	assert_string_equal(tg_tty_describe(&line, text), "9600 8E1");
	line.parity = TG_PARITY_NONE;
	assert_int_equal(tg_tty_time_us(&line, 96), 100000);
	line.parity = TG_PARITY_ODD;
	line.baud = 115200;
	line.data_bits = 7;
	line.stop_bits = 2;
	assert_int_equal(tg_tty_time_us(&line, 11), 1051);
	assert_string_equal(tg_tty_describe(&line, text), "115200 7O2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(carries_every_byte_as_it_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tells_an_empty_port_from_one_that_has_gone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(has_the_port_alone_until_it_gives_it_back, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(says_in_words_what_is_no_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(says_in_words_that_a_port_knows_no_rs485, set_up,
						tear_down),
		cmocka_unit_test(knows_how_long_characters_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
