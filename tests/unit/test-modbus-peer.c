/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver against a server made by other people: libmodbus' own. And what a hundred points cost.
 */
#include "agent/bus/drivers.h"
#include "base/clock.h"

#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REGISTERS 210
#define TEXT(s)   ((char *) (uintptr_t) (s))

static struct {
	modbus_t *ctx;
	modbus_mapping_t *map;
	int listener;
	pthread_t thread;
	_Atomic unsigned requests;
} server;

static struct tg_config_point points[100];
static struct tg_config_device device = {
	.name = TEXT("d"), .timeout_us = 5000000, .points = points, .modbus = { .unit = 1 }
};
static struct tg_config_bus bus_cfg = { .type = TG_BUS_MODBUS_TCP };
static struct tg_config cfg = {
	.buses = &bus_cfg, .n_buses = 1, .devices = &device, .n_devices = 1
};

/* One client, until it hangs up. */
static void *serve(void *user)
{
	uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
	int n;

	(void) user;
	if (modbus_tcp_accept(server.ctx, &server.listener) < 0)
		return NULL;
	while ((n = modbus_receive(server.ctx, query)) >= 0) {
		server.requests++;
		if (n > 0 && modbus_reply(server.ctx, query, n, server.map) < 0)
			break;
	}
	modbus_close(server.ctx);
	return NULL;
}

static int set_up(void **state)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	(void) state;
	server.ctx = modbus_new_tcp("127.0.0.1", 0);
	server.map = modbus_mapping_new(300, 300, REGISTERS, REGISTERS);
	if (!server.ctx || !server.map)
		return -1;
	for (unsigned i = 0; i < REGISTERS; i++) {
		server.map->tab_registers[i] = (uint16_t) (i * 3);
		server.map->tab_input_registers[i] = (uint16_t) (i * 5);
	}
	for (unsigned i = 0; i < 300; i++) {
		server.map->tab_bits[i] = i % 3 == 0;
		server.map->tab_input_bits[i] = i % 5 == 0;
	}
	server.requests = 0;
	server.listener = modbus_tcp_listen(server.ctx, 1);
	if (server.listener < 0 || getsockname(server.listener, (struct sockaddr *) &sa, &len) < 0)
		return -1;
	bus_cfg.modbus_tcp.host = TEXT("127.0.0.1");
	bus_cfg.modbus_tcp.port = ntohs(sa.sin_port);
	bus_cfg.modbus_tcp.connect_timeout_us = 5000000;
	return pthread_create(&server.thread, NULL, serve, NULL) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void) state;
	(void) pthread_join(server.thread, NULL);
	(void) close(server.listener);
	modbus_mapping_free(server.map);
	modbus_free(server.ctx);
	return 0;
}

static void set_point(size_t i, enum tg_modbus_table table, unsigned address,
		      enum tg_modbus_type type)
{
	points[i] = (struct tg_config_point){
		.name = TEXT("p"),
		.unit = TEXT(""),
		.modbus = { .table = table,
			    .address = (uint16_t) address,
			    .type = type,
			    .bit = -1 },
		.scale = 1,
	};
}

/* Polls once with a bus of its own, and hangs up. */
static int poll_once(struct tg_sample *samples)
{
	struct tg_bus *bus = NULL;
	void *plan = NULL;
	int r;

	assert_int_equal(tg_modbus_tcp_driver.open(&cfg, 0, &bus, NULL), 0);
	assert_int_equal(tg_modbus_tcp_driver.plan(bus, &device, &plan, NULL), 0);
	r = tg_modbus_tcp_driver.poll(bus, &device, plan, device.retries, samples, NULL);
	tg_modbus_tcp_driver.plan_free(plan);
	tg_modbus_tcp_driver.close(bus);
	return r;
}

static void all_four_tables_of_libmodbus_are_read(void **state)
{
	struct tg_sample s[16];

	(void) state;
	device.n_points = 16;
	for (unsigned i = 0; i < 4; i++) {
		set_point(4 * i, TG_MODBUS_COIL, 2 * i, TG_MODBUS_BOOL);
		set_point(4 * i + 1, TG_MODBUS_DISCRETE, 200 + i, TG_MODBUS_BOOL);
		set_point(4 * i + 2, TG_MODBUS_HOLDING, 7 + i, TG_MODBUS_UINT16);
		set_point(4 * i + 3, TG_MODBUS_INPUT, 100 + i, TG_MODBUS_UINT16);
	}
	device.modbus.max_gap = 8;
	assert_int_equal(poll_once(s), 0);
	assert_int_equal(server.requests, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(s[4 * i].value.b, 2 * i % 3 == 0);
		assert_int_equal(s[4 * i + 1].value.b, (200 + i) % 5 == 0);
		assert_int_equal(s[4 * i + 2].value.u, (7 + i) * 3);
		assert_int_equal(s[4 * i + 3].value.u, (100 + i) * 5);
	}
}

static void a_register_that_libmodbus_does_not_have_costs_itself_only(void **state)
{
	struct tg_sample s[4];

	(void) state;
	device.n_points = 4;
	for (unsigned i = 0; i < 4; i++)
		set_point(i, TG_MODBUS_HOLDING, REGISTERS - 3 + i, TG_MODBUS_UINT16);
	assert_int_equal(poll_once(s), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(s[i].value.u, (REGISTERS - 3 + i) * 3);
	assert_int_equal(s[3].quality, TG_BAD);
}

static void a_hundred_float_points_take_two_requests(void **state)
{
	struct tg_sample s[100];

	(void) state;
	device.n_points = 100;
	for (unsigned i = 0; i < 100; i++)
		set_point(i, TG_MODBUS_HOLDING, 2 * i, TG_MODBUS_FLOAT32);
	assert_int_equal(poll_once(s), 0);
	assert_int_equal(server.requests, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(all_four_tables_of_libmodbus_are_read),
		TEST(a_register_that_libmodbus_does_not_have_costs_itself_only),
		TEST(a_hundred_float_points_take_two_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
