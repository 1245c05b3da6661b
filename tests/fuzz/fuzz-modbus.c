/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Modbus from both ends: arbitrary points, and a peer that answers arbitrary bytes.
 *
 * The input is a device (points, gap) and then the script of a peer: for each request a byte that
 * says how much of a good answer the peer gets right, a length, and the bytes. The driver runs over
 * socket pairs; that it asks is noticed by wrapping send(), as anything sent before the request
 * would be thrown away by the driver. Whatever comes back, a good sample has a value and a bad one
 * has none but a reason.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/modbus/pdu.h"
#include "agent/bus/modbus/value.h"
#include "agent/bus/tcp.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define POINTS      24
#define CONNECTIONS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);

static struct {
	const uint8_t *data;
	size_t len;
} script;
static int peer = -1;
static unsigned connections;

static uint8_t take(void)
{
	if (script.len == 0)
		return 0;
	script.len--;
	return *script.data++;
}

/* In place of the one in tcp.c. */
int tg_tcp_connect(const char *host, uint16_t port, uint64_t timeout_us, int *ret_fd,
		   struct tg_fault *reterr)
{
	int pair[2];

	(void) host;
	(void) port;
	(void) timeout_us;
	if (peer >= 0)
		(void) close(peer);
	peer = -1;
	if (script.len == 0 || connections++ >= CONNECTIONS ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return tg_fault_set(reterr, -ECONNREFUSED, "nobody there");
	peer = pair[1];
	*ret_fd = pair[0];
	return 0;
}

uint64_t tg_tcp_patience_us(const char *host, uint64_t timeout_us)
{
	(void) host;
	return timeout_us;
}

/* The peer's answer: random bytes, of which the bits of the first byte set some right. */
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
	const uint8_t *request = buf;
	uint8_t answer[300];
	uint8_t right = take();
	size_t n = take() + (right & 0x40 ? 44u : 0u);

	(void) fd;
	(void) flags;
	for (size_t i = 0; i < n; i++)
		answer[i] = take();
	if (n >= 9) {
		if (right & 1)
			memcpy(answer, request, 4);
		if (right & 2)
			answer[6] = request[6];
		if (right & 4)
			answer[7] = request[7] | (right & 0x20 ? 0x80 : 0);
		if (right & 8)
			answer[8] = (uint8_t) (n - 9);
		if (right & 0x10) {
			answer[4] = (uint8_t) ((n - 6) >> 8);
			answer[5] = (uint8_t) (n - 6);
		}
	}
	if (n > 0 && write(peer, answer, n) < 0)
		abort();
	if (right & 0x80 || script.len == 0)
		(void) shutdown(peer, SHUT_RDWR);
	return (ssize_t) len;
}

static void make_device(struct tg_config_device *dev, struct tg_config_point *points)
{
	*dev = (struct tg_config_device){
		.name = (char *) (uintptr_t) "d",
		.timeout_us = 1000,
		.points = points,
		.n_points = 1 + take() % POINTS,
		.modbus = { .unit = take(), .max_gap = take() },
	};
	dev->retries = dev->modbus.unit & 1;
	for (size_t i = 0; i < dev->n_points; i++) {
		uint8_t kind = take(), how = take();
		unsigned high = take();

		points[i] = (struct tg_config_point) {
			.name = (char *) (uintptr_t) "p",
			.modbus = {
				.table = (enum tg_modbus_table) (kind & 3),
				.type = (enum tg_modbus_type) (kind / 4 % 12),
				.order = (enum tg_modbus_order) (how & 3),
				.bit = how & 4 ? how >> 4 : -1,
				/* Near each other, now and then at the end of the address space. */
				.address = (uint16_t) (take() | (high & 1) << 8 | (high == 255 ? 0xff00 : 0)),
			},
			.scale = 1,
		};
		points[i].modbus.length = 1 + how;
		if (how & 8 && points[i].modbus.type >= TG_MODBUS_INT64 && how & 4)
			points[i].modbus.n_bits = 1 + kind % 8;
	}
}

static void check_sample(const struct tg_sample *s)
{
	bool has_value = s->value.type != TG_VALUE_NONE;

	if (has_value != (s->quality == TG_GOOD) || !s->reason ||
	    (s->reason[0] == '\0') != has_value)
		abort();
	if (s->value.type == TG_VALUE_REAL && !isfinite(s->value.real))
		abort();
}

/* Whatever a command says, and whatever becomes of it; then what the point says. */
static void try_write(struct tg_bus *bus, const struct tg_config_device *dev,
		      const struct tg_config_point *p)
{
	static const struct tg_value values[] = {
		{ .type = TG_VALUE_BOOL, .b = true },	{ .type = TG_VALUE_INT, .i = -3 },
		{ .type = TG_VALUE_UINT, .u = 200 },	{ .type = TG_VALUE_REAL, .real = 1e10 },
		{ .type = TG_VALUE_TEXT, .text = "abc" },
	};
	struct tg_sample s = { .reason = "", .quality = TG_BAD };
	struct tg_fault fault = { 0 };

	if (tg_modbus_tcp_driver.write(bus, dev, p, &values[take() % TG_ARRAY_SIZE(values)],
				       &fault) < 0 &&
	    !fault.text[0])
		abort();
	if (tg_modbus_tcp_driver.read_one(bus, dev, p, &s, NULL) == 0)
		check_sample(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tg_config_point points[POINTS];
	struct tg_config_device dev;
	struct tg_config_bus bus_cfg = { .modbus_tcp = { .host = (char *) (uintptr_t) "peer" } };
	struct tg_config cfg = { .buses = &bus_cfg, .n_buses = 1, .devices = &dev, .n_devices = 1 };
	struct tg_sample samples[POINTS];
	struct tg_bus *bus = NULL;
	void *plan = NULL;

	script.data = data;
	script.len = size;
	connections = 0;
	make_device(&dev, points);
	if (tg_modbus_tcp_driver.open(&cfg, 0, &bus, NULL) < 0)
		return 0;
	if (tg_modbus_tcp_driver.plan(bus, &dev, &plan, NULL) == 0) {
		for (unsigned polls = 0; polls < 8 && script.len > 0; polls++) {
			(void) tg_modbus_tcp_driver.poll(bus, &dev, plan, dev.retries, samples, NULL);
			for (size_t i = 0; i < dev.n_points; i++)
				check_sample(&samples[i]);
		}
		for (size_t i = 0; i < dev.n_points && script.len > 0; i++)
			try_write(bus, &dev, &points[i]);
		tg_modbus_tcp_driver.plan_free(plan);
	}
	tg_modbus_tcp_driver.close(bus);
	if (peer >= 0)
		(void) close(peer);
	peer = -1;
	return 0;
}
