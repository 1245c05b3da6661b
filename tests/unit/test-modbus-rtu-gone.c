/* SPDX-License-Identifier: Apache-2.0 */

/* A serial port that goes while a request is under way: what was asked may have been done. */
#include "agent/bus/modbus/transport.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT_US UINT64_C(5000000)

/* The other end: unplugged as soon as something has come. */
static void *unplug(void *user)
{
	const int *master = user;
	char byte;

	(void) !read(*master, &byte, 1);
	(void) close(*master);
	return NULL;
}

static int ask(enum tg_modbus_function function)
{
	static const uint8_t data[2] = { 0, 1 };
	const struct tg_modbus_request q = {
		.unit = 1, .function = function, .count = 1, .data = data
	};
	int r, master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct tg_config_bus bus = { .modbus_rtu = { .line = { .baud = 115200,
							       .data_bits = 8,
							       .stop_bits = 1 } } };
	struct tg_modbus_answer answer;
	struct tg_modbus_link *link;
	pthread_t thread;

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	bus.modbus_rtu.line.port = ptsname(master);
	assert_int_equal(tg_modbus_rtu.open(&bus, &link, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, unplug, &master), 0);
	r = tg_modbus_rtu.transact(link, &q, TIMEOUT_US, &answer, NULL);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* Next time it is plainly not there. */
	assert_int_equal(tg_modbus_rtu.transact(link, &q, TIMEOUT_US, &answer, NULL), -ENOTCONN);
	tg_modbus_rtu.close(link);
	return r;
}

static void a_read_says_that_the_bus_is_down(void **state)
{
	(void) state;
	assert_int_equal(ask(TG_MODBUS_READ_HOLDING), -ENOTCONN);
}

static void a_write_does_not_say_that_nothing_was_sent(void **state)
{
	(void) state;
	assert_int_equal(ask(TG_MODBUS_WRITE_REGISTER), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_says_that_the_bus_is_down),
		cmocka_unit_test(a_write_does_not_say_that_nothing_was_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
