/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = can`: SocketCAN. It listens, and asks for J1939 groups that the configuration wants to be asked for.
 *
 * One raw socket takes the frames of the points (the kernel filters) and the
 * error frames; J1939 groups come from a second socket, for which the kernel
 * puts groups of several packets together. Without can-j1939 the raw socket
 * takes the groups of one frame as well.
 *
 * An interface that is down, absent or bus-off is a bus that is down. The
 * first two cost the sockets, which are opened anew when it is back (maybe as
 * another interface of the same name); a controller that is bus-off says in
 * an error frame when it has been restarted, by the kernel after restart-ms
 * or by hand. The agent never configures an interface.
 */
#include "agent/bus/can/can_internal.h"
#include "agent/bus/drivers.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define RETRY_US    (1 * TG_US_PER_S) /* until an interface that was away is looked for again */
#define FILTERS_MAX 512               /* CAN_RAW_FILTER_MAX and J1939_FILTER_MAX */
#define ASK_MAX     8                 /* requests of one call */
#define LOG_BURST   6
#define LOG_WINDOW  (600 * TG_US_PER_S)

/* --- attached or not --- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
	*fd = -1;
}

static void detach(struct tg_bus *bus)
{
	close_fd(&bus->raw);
	close_fd(&bus->groups);
	bus->retry_us = tg_clock_boot_us() + RETRY_US;
}

static int is_down(struct tg_bus *bus, struct tg_fault *reterr)
{
	return tg_fault_set(reterr, -ENOTCONN, "%s", bus->why.text);
}

static int watch(struct tg_bus *bus, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(bus->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return tg_fault_set(&bus->why, -errno, "epoll: %s", strerror(errno));
	return 0;
}

static int attach_groups(struct tg_bus *bus)
{
	struct j1939_filter filters[FILTERS_MAX];
	size_t n = tg_can_index_group_filters(&bus->index, filters, FILTERS_MAX);
	int r;

	bus->no_groups = false;
	if (n == 0)
		return 0;
	r = tg_can_open_groups(bus->cfg->can.interface, filters, n, &bus->groups, &bus->why);
	if (r == -EAFNOSUPPORT) {
		bus->no_groups = true;
		return 0;
	}
	return r < 0 ? r : watch(bus, bus->groups);
}

static int attach_frames(struct tg_bus *bus)
{
	struct can_filter filters[FILTERS_MAX];
	size_t n = tg_can_index_filters(&bus->index, bus->no_groups, filters, FILTERS_MAX);
	int r;

	r = tg_can_open_raw(bus->cfg->can.interface, filters, n, true, &bus->raw, &bus->why);
	return r < 0 ? r : watch(bus, bus->raw);
}

static int check_link(struct tg_bus *bus)
{
	const char *name = bus->cfg->can.interface;

	switch (tg_can_link_state(name)) {
	case TG_CAN_ABSENT:
		return tg_fault_set(&bus->why, -ENODEV, "there is no interface %s", name);
	case TG_CAN_DOWN:
		return tg_fault_set(&bus->why, -ENETDOWN,
				    TG_CAN_IS_DOWN, name, name);
	case TG_CAN_NO_CARRIER:
		bus->no_carrier = true;
		return 0;
	case TG_CAN_UP:
		break;
	}
	bus->no_carrier = false;
	return 0;
}

static int attach(struct tg_bus *bus, const struct tg_bus_ear *ear)
{
	int r = check_link(bus);

	if (r == 0)
		r = attach_groups(bus);
	if (r == 0)
		r = attach_frames(bus);
	if (r < 0) {
		detach(bus);
		return r;
	}
	bus->lost_raw = bus->lost_groups = 0;
	bus->state.mode = TG_CAN_ACTIVE;
	bus->state.counted = false;
	tg_can_requests_restart(&bus->requests, tg_clock_boot_us());
	if (bus->no_groups)
		tg_can_deliver_no_groups(bus, ear);
	return 0;
}

/* --- what comes in --- */

static void note_lost(const struct tg_can_message *m, uint32_t *before, const struct tg_bus_ear *ear)
{
	if (!m->has_lost || m->lost == *before)
		return;
	ear->dropped(ear->user, m->lost - *before);
	*before = m->lost;
}

static void take_error(struct tg_bus *bus, const struct tg_can_message *m,
		       const struct tg_bus_ear *ear)
{
	enum tg_can_mode before = bus->state.mode;
	char text[TG_REASON_MAX + 1];
	unsigned lost;

	if (m->len < CAN_MAX_DLEN)
		return;
	lost = tg_can_state_take(&bus->state, m->id, m->data);
	if (lost)
		ear->dropped(ear->user, lost);
	if (bus->state.mode == before)
		return;
	bus->no_carrier = false;
	if (!tg_log_allowed(&bus->log_limit, tg_clock_boot_us(), LOG_BURST, LOG_WINDOW))
		return;
	tg_can_state_text(&bus->state, text);
	tg_log(bus->state.mode > TG_CAN_WARNING ? LOG_WARNING : LOG_INFO, "can", "%s: %s",
	       bus->cfg->can.interface, text);
}

static void take(struct tg_bus *bus, const struct tg_can_message *m, bool is_group,
		 const struct tg_bus_ear *ear)
{
	note_lost(m, is_group ? &bus->lost_groups : &bus->lost_raw, ear);
	if (!is_group && m->id & CAN_ERR_FLAG) {
		take_error(bus, m, ear);
		return;
	}
	if (!is_group && m->id & CAN_RTR_FLAG)
		return;
	bus->frames++;
	/* A controller that receives is on the bus. */
	bus->no_carrier = false;
	if (bus->state.mode == TG_CAN_OFF)
		bus->state.mode = TG_CAN_ACTIVE;
	tg_can_deliver(bus, m, is_group, ear);
}

/* At most @max messages. Returns 0, or -errno with the reason in bus->why. */
static int drain(struct tg_bus *bus, int fd, bool is_group, unsigned max,
		 const struct tg_bus_ear *ear)
{
	for (unsigned i = 0; fd >= 0 && i < max; i++) {
		int r = is_group ? tg_can_take_group(fd, &bus->message) :
				   tg_can_take_frame(fd, &bus->message);

		if (r == 0)
			return 0;
		if (r == -ENETDOWN)
			return tg_fault_set(&bus->why, r, "%s went down", bus->cfg->can.interface);
		if (r < 0)
			return tg_fault_set(&bus->why, r, "%s: %s", bus->cfg->can.interface,
					    r == -ENODEV ? "removed" : strerror(-r));
		take(bus, &bus->message, is_group, ear);
	}
	return 0;
}

static bool is_off(const struct tg_bus *bus)
{
	return bus->state.mode == TG_CAN_OFF || bus->no_carrier;
}

static int check_bus_off(struct tg_bus *bus)
{
	/* Told by no frame, as it happened before the socket was there: asked each time until it is over. */
	if (bus->no_carrier && tg_can_link_state(bus->cfg->can.interface) == TG_CAN_UP)
		bus->no_carrier = false;
	if (!is_off(bus))
		return 0;
	return tg_fault_set(&bus->why, -ENOTCONN,
			    "%s is bus-off: wiring, termination or bit rate; without restart-ms it "
			    "stays so",
			    bus->cfg->can.interface);
}

/* A request that the queue has no room for is sent next time. */
static void ask(struct tg_bus *bus)
{
	uint8_t data[TG_CAN_REQUEST_LEN];
	uint32_t id;

	for (int i = 0; i < ASK_MAX; i++) {
		if (!tg_can_requests_take(&bus->requests, tg_clock_boot_us(), &id, data) ||
		    tg_can_send_frame(bus->raw, id, data, sizeof(data)) < 0)
			return;
	}
}

static int can_listen(struct tg_bus *bus, const struct tg_bus_ear *ear, struct tg_fault *reterr)
{
	int r = 0;

	if (bus->raw < 0) {
		if (tg_clock_boot_us() < bus->retry_us)
			return is_down(bus, reterr);
		r = attach(bus, ear);
	}
	if (r == 0)
		r = drain(bus, bus->raw, false, TG_LISTEN_MAX / 2, ear);
	if (r == 0)
		r = drain(bus, bus->groups, true, TG_LISTEN_MAX / 2, ear);
	if (r < 0) {
		detach(bus);
		return is_down(bus, reterr);
	}
	if (check_bus_off(bus) < 0)
		return is_down(bus, reterr);
	ask(bus);
	return 0;
}

static int can_listen_fd(struct tg_bus *bus, uint64_t *ret_wake_us)
{
	if (bus->raw < 0) {
		*ret_wake_us = bus->retry_us;
		return -1;
	}
	*ret_wake_us = is_off(bus) ? tg_clock_boot_us() + RETRY_US :
				     tg_can_requests_next_us(&bus->requests);
	return bus->epoll;
}

/* --- birth and death --- */

static void can_close(struct tg_bus *bus)
{
	if (!bus)
		return;
	close_fd(&bus->raw);
	close_fd(&bus->groups);
	close_fd(&bus->epoll);
	tg_can_index_done(&bus->index);
	tg_can_requests_done(&bus->requests);
	free(bus);
}

static int can_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
		    struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = &cfg->buses[index];
	bus->raw = bus->groups = -1;
	bus->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = bus->epoll < 0 ? -errno : tg_can_index_init(&bus->index, cfg, index);
	if (r == 0)
		r = tg_can_requests_init(&bus->requests, cfg, index);
	if (r < 0) {
		can_close(bus);
		return tg_fault_set(reterr, r, "%s", strerror(-r));
	}
	(void) tg_fault_set(&bus->why, -ENOTCONN, "not tried yet");
	*ret = bus;
	return 0;
}

/* Nothing here waits but a probe, which has a limit of its own. */
static uint64_t can_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *plan)
{
	(void) bus;
	(void) dev;
	(void) plan;
	return TG_US_PER_S;
}

static void can_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	tg_can_state_text(&bus->state, out->text);
	out->requests = bus->frames;
	out->errors = bus->state.errors;
}

const struct tg_bus_driver tg_can_driver = {
	.name = "can",
	.type = TG_BUS_CAN,
	.open = can_open,
	.patience_us = can_patience_us,
	.listen_fd = can_listen_fd,
	.listen = can_listen,
	.probe = tg_can_probe,
	.describe = can_describe,
	.close = can_close,
};
