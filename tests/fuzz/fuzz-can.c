/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Arbitrary points and arbitrary datagrams from a CAN interface and from can-j1939. The input is a number of `read` values,
 * one a line, an empty line, and then datagrams: a byte for the socket and a length, and the bytes. Whatever comes, a good
 * sample has a value and a bad one has none but a reason.
 */
#include "agent/bus/can/socket.h"
#include "agent/bus/drivers.h"
#include "config/bus/can_read.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define POINTS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t left;
static int near[2] = { -1, -1 }, far[2] = { -1, -1 }; /* raw, groups */
static bool j1939;

static uint8_t take(void)
{
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

enum tg_can_link tg_can_link_state(const char *interface)
{
	(void) interface;
	return TG_CAN_UP;
}

static int open_pair(int which, int *ret_fd)
{
	int pair[2];

	if (far[which] >= 0)
		(void) close(far[which]);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	*ret_fd = near[which] = pair[0];
	far[which] = pair[1];
	return 0;
}

int tg_can_open_raw(const char *interface, const struct can_filter *filters, size_t n, bool errors,
		    int *ret_fd, struct tg_fault *reterr)
{
	(void) interface;
	(void) filters;
	(void) n;
	(void) errors;
	(void) reterr;
	return open_pair(0, ret_fd);
}

int tg_can_open_groups(const char *interface, const struct j1939_filter *filters, size_t n,
		       int *ret_fd, struct tg_fault *reterr)
{
	(void) interface;
	(void) filters;
	(void) n;
	return j1939 ? open_pair(1, ret_fd) : tg_fault_set(reterr, -EAFNOSUPPORT, "none");
}

/* Four bytes of group, one of source. */
int tg_can_take_group(int fd, struct tg_can_message *out)
{
	uint8_t buf[5 + TG_J1939_SIZE];
	struct sockaddr_can from;
	ssize_t n = tg_can_receive(fd, buf, sizeof(buf), &from, out);

	if (n < 5)
		return 0;
	memcpy(&out->id, buf, 4);
	out->source = buf[4];
	out->len = (size_t) n - 5;
	memcpy(out->data, buf + 5, out->len);
	return 1;
}

static void heard(void *user, const struct tg_config_device *dev, size_t point,
		  const struct tg_sample *s)
{
	bool has_value = s->value.type != TG_VALUE_NONE;

	(void) user;
	if (point >= dev->n_points || !s->reason || has_value != (s->quality == TG_GOOD) ||
	    (s->reason[0] == '\0') != has_value)
		abort();
	if (s->value.type == TG_VALUE_REAL && !isfinite(s->value.real))
		abort();
	if (s->value.type == TG_VALUE_TEXT && strlen(s->value.text) > TG_TEXT_MAX)
		abort();
}

static void dropped(void *user, uint64_t n)
{
	(void) user;
	(void) n;
}

static void take_points(struct tg_config_device *dev)
{
	char line[256];

	while (dev->n_points < POINTS && left > 0) {
		size_t n = 0;
		uint8_t c;

		while (left > 0 && (c = take()) != '\n')
			if (n < sizeof(line) - 1)
				line[n++] = (char) c;
		line[n] = '\0';
		if (n == 0)
			return;
		if (tg_can_read_parse(line, &dev->points[dev->n_points].can, NULL) == 0)
			dev->n_points++;
	}
}

static void send_datagram(void)
{
	uint8_t how = take(), buf[5 + 255];
	size_t n = take();
	int to = far[how & 1];

	/* Mostly of the sizes that frames have. */
	if (how & 2)
		n = how & 4 ? CANFD_MTU : CAN_MTU;
	memset(buf, 0, sizeof(buf));
	for (size_t i = 0; i < n && left > 0; i++)
		buf[i] = take();
	if (to >= 0 && n > 0)
		(void) send(to, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tg_bus_ear ear = { .heard = heard, .dropped = dropped };
	struct tg_config_point points[POINTS] = { 0 };
	struct tg_config_device dev = { .name = (char *) (uintptr_t) "d", .points = points,
					.can.source = TG_CAN_ANY };
	struct tg_config_bus bus_cfg = { .can.interface = (char *) (uintptr_t) "can0" };
	struct tg_config cfg = { .buses = &bus_cfg, .n_buses = 1, .devices = &dev, .n_devices = 1 };
	struct tg_bus_note note;
	struct tg_bus *bus = NULL;

	input = data;
	left = size;
	j1939 = take() & 1;
	take_points(&dev);
	if (tg_can_driver.open(&cfg, 0, &bus, NULL) < 0)
		return 0;
	while (left > 0) {
		(void) tg_can_driver.listen(bus, &ear, NULL);
		for (int i = 0; i < 4 && left > 0; i++)
			send_datagram();
	}
	(void) tg_can_driver.listen(bus, &ear, NULL);
	tg_can_driver.describe(bus, &note);
	if (strlen(note.text) > TG_REASON_MAX)
		abort();
	tg_can_driver.close(bus);
	for (int i = 0; i < 2; i++) {
		if (far[i] >= 0)
			(void) close(far[i]);
		far[i] = near[i] = -1;
	}
	return 0;
}
