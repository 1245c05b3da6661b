/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = gpio`: lines of one chip, by version 2 of the kernel's
 * character device ABI.
 *
 * Levels are read at each poll. Edges are told by the kernel, with the time at
 * which they came, through one epoll descriptor. Counts are made of edges and
 * published with the polls. A chip that is unplugged is seen at the next poll
 * or within LOOK_US, and found again by its label.
 */
#include "agent/bus/gpio/gpio.h"

#include "agent/bus/drivers.h"
#include "agent/bus/gpio/kernel.h"
#include "agent/bus/gpio/park.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define LOOK_US (2 * TG_US_PER_S)
#define TAKE    16 /* edges read in one go */
#define READY   16 /* lines looked at in one go */

struct gpio_plan {
	size_t line_of[1]; /* of each point; more behind it */
};

/* --- the chip --- */

static void lose(struct tg_bus *bus, uint64_t now)
{
	tg_gpio_lines_release(&bus->lines, &bus->chip, false, now);
	tg_gpio_chip_close(&bus->chip);
	bus->errors++;
}

static int find(struct tg_bus *bus, uint64_t now, struct tg_fault *reterr)
{
	struct tg_fault why = { .text = "" };
	int r;

	/* The worker may ask more often than it makes sense to look. */
	if (bus->look_us > now && *bus->note)
		return tg_fault_set(reterr, -ENOTCONN, "%s", bus->note);
	bus->look_us = now + LOOK_US;
	r = tg_gpio_chip_open(bus->dev, bus->cfg->gpio.chip, &bus->chip, &why);
	(void) tg_printable(bus->note, sizeof(bus->note), why.text, strlen(why.text));
	return r < 0 ? tg_fault_set(reterr, r, "%s", why.text) : 0;
}

int tg_gpio_ready(struct tg_bus *bus, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us();
	int r = 0;

	if (bus->chip.fd >= 0 && !tg_gpio_chip_there(&bus->chip)) {
		lose(bus, now);
		bus->look_us = 0;
	}
	if (bus->chip.fd < 0)
		r = find(bus, now, reterr);
	if (r < 0)
		return r;
	tg_gpio_lines_request(&bus->lines, &bus->chip, bus->epoll, now);
	/* Whatever the configuration before had and this one has not. */
	tg_gpio_park_sweep(now);
	return 0;
}

/* --- polls --- */

/* Returns 0 or -errno; the sample is good or has its reason. */
static int read_line(const struct tg_bus *bus, const struct tg_gpio_held *h,
		     const struct tg_config_point *point, struct tg_sample *s)
{
	bool active;
	int r;

	(void) bus;
	if (h->fd < 0) {
		s->reason = h->reason;
		return -EIO;
	}
	s->boot_us = tg_clock_boot_us();
	if (point->gpio.count) {
		s->value = (struct tg_value){
			.type = TG_VALUE_UINT,
			.u = tg_gpio_edges_count(&h->edges, point->gpio.count),
		};
	} else {
		r = tg_gpio_get(h->fd, &active);
		if (r < 0) {
			s->reason = "the chip does not answer";
			return r;
		}
		s->value = (struct tg_value){ .type = TG_VALUE_BOOL, .b = active };
	}
	s->quality = TG_GOOD;
	s->reason = "";
	return 0;
}

static int gpio_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *user,
		     unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	const struct gpio_plan *plan = user;
	int r = tg_gpio_ready(bus, reterr);
	size_t good = 0;

	(void) retries;
	if (r < 0)
		return r;
	for (size_t i = 0; i < dev->n_points; i++)
		good += read_line(bus, &bus->lines.items[plan->line_of[i]], &dev->points[i],
				  &out[i]) == 0;
	if (good)
		return 0;
	/* An expander on a bus that is gone says so at its lines before it goes itself. */
	if (!tg_gpio_chip_there(&bus->chip)) {
		lose(bus, tg_clock_boot_us());
		return tg_fault_set(reterr, -ENOTCONN, "the chip was unplugged");
	}
	bus->errors++;
	return tg_fault_set(reterr, -EIO, "%s", out[0].reason);
}

/* --- edges --- */

static void tell(const struct tg_gpio_held *h, unsigned edge, uint64_t boot_us,
		 const struct tg_bus_ear *ear)
{
	const struct tg_sample s = {
		.reason = "",
		.quality = TG_GOOD,
		.value = { .type = TG_VALUE_BOOL, .b = edge == TG_GPIO_RISING },
		.boot_us = boot_us,
	};

	for (const struct tg_gpio_point *p = h->points; p; p = p->next) {
		if (p->dev->points[p->point].gpio.edges & edge)
			ear->heard(ear->user, p->dev, p->point, &s);
	}
}

/* One go at one line. Returns how many edges there were, or -errno. */
static int take_edges(struct tg_bus *bus, struct tg_gpio_held *h, const struct tg_bus_ear *ear)
{
	struct gpio_v2_line_event events[TAKE];
	int n = tg_gpio_take_events(h->fd, events, TAKE);

	for (int i = 0; i < n; i++) {
		unsigned edge;
		uint32_t lost = tg_gpio_edges_take(&h->edges, h->wanted, &events[i], &edge);

		bus->lost += lost;
		if (lost)
			ear->dropped(ear->user, lost);
		if (edge)
			tell(h, edge,
			     tg_clock_boot_from_monotonic_us(events[i].timestamp_ns / 1000), ear);
	}
	if (n > 0)
		bus->edges += (uint64_t) n;
	return n;
}

/* Takes what is there, a handful of each line in turn, so that one that chatters holds up no other. */
static int take_all(struct tg_bus *bus, const struct tg_bus_ear *ear)
{
	struct epoll_event ready[READY];
	int taken = 0;

	while (taken + TAKE <= TG_LISTEN_MAX) {
		int n = epoll_wait(bus->epoll, ready, READY, 0), before = taken;

		for (int i = 0; i < n && taken + TAKE <= TG_LISTEN_MAX; i++) {
			int r = take_edges(bus, &bus->lines.items[ready[i].data.u64], ear);

			if (r < 0 || (ready[i].events & (EPOLLHUP | EPOLLERR)))
				return -ENODEV;
			taken += r;
		}
		if (taken == before)
			break;
	}
	return 0;
}

static int gpio_listen_fd(struct tg_bus *bus, uint64_t *ret_wake_us)
{
	if (!bus->watched) {
		*ret_wake_us = TG_US_FOREVER;
		return -1;
	}
	*ret_wake_us = bus->look_us;
	return bus->epoll;
}

static int gpio_listen(struct tg_bus *bus, const struct tg_bus_ear *ear, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us();
	int r = 0;

	if (bus->look_us <= now || bus->chip.fd < 0)
		r = tg_gpio_ready(bus, reterr);
	if (r < 0)
		return r;
	if (bus->look_us <= now)
		bus->look_us = now + LOOK_US;
	if (take_all(bus, ear) == 0)
		return 0;
	/* A line of which the kernel lets go would be ready for ever. */
	lose(bus, now);
	bus->look_us = now + LOOK_US / 4;
	(void) snprintf(bus->note, sizeof(bus->note), "the chip was unplugged");
	return tg_fault_set(reterr, -ENOTCONN, "%s", bus->note);
}

/* --- commands --- */

static const struct tg_gpio_held *held_of(const struct tg_bus *bus,
					  const struct tg_config_device *dev,
					  const struct tg_config_point *point)
{
	for (size_t i = 0; i < bus->lines.n; i++) {
		for (const struct tg_gpio_point *p = bus->lines.items[i].points; p; p = p->next) {
			if (p->dev == dev && &dev->points[p->point] == point)
				return &bus->lines.items[i];
		}
	}
	return NULL;
}

static int level_of(const struct tg_value *v, bool *ret)
{
	double n = v->type == TG_VALUE_BOOL   ? v->b
		   : v->type == TG_VALUE_INT  ? (double) v->i
		   : v->type == TG_VALUE_UINT ? (double) v->u
		   : v->type == TG_VALUE_REAL ? v->real
					      : -1;

	*ret = n > 0;
	return n == 0 || n == 1 ? 0 : -ERANGE;
}

static int gpio_write(struct tg_bus *bus, const struct tg_config_device *dev,
		      const struct tg_config_point *point, const struct tg_value *raw,
		      struct tg_fault *reterr)
{
	const struct tg_gpio_held *h;
	bool active;
	int r = level_of(raw, &active);

	if (r < 0)
		return tg_fault_set(reterr, r, "a line is 0 or 1, false or true");
	r = tg_gpio_ready(bus, reterr);
	if (r < 0)
		return r;
	h = held_of(bus, dev, point);
	if (!h || h->fd < 0)
		return tg_fault_set(reterr, -EIO, "%s", h ? h->reason : "no such line");
	r = tg_gpio_set(h->fd, active);
	return r < 0 ? tg_fault_set(reterr, r, "line %u: %s", h->offset, strerror(-r)) : 0;
}

static int gpio_read_one(struct tg_bus *bus, const struct tg_config_device *dev,
			 const struct tg_config_point *point, struct tg_sample *out,
			 struct tg_fault *reterr)
{
	const struct tg_gpio_held *h;
	int r = tg_gpio_ready(bus, reterr);

	if (r < 0)
		return r;
	h = held_of(bus, dev, point);
	if (!h)
		return tg_fault_set(reterr, -EIO, "no such line");
	r = read_line(bus, h, point, out);
	return r < 0 ? tg_fault_set(reterr, r, "%s", out->reason) : 0;
}

/* --- the rest --- */

static void gpio_close(struct tg_bus *bus)
{
	if (!bus)
		return;
	tg_gpio_lines_release(&bus->lines, &bus->chip, true, tg_clock_boot_us());
	tg_gpio_lines_done(&bus->lines);
	tg_gpio_chip_close(&bus->chip);
	if (bus->epoll >= 0)
		(void) close(bus->epoll);
	free(bus);
}

static int gpio_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
		     struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = &cfg->buses[index];
	bus->dev = "/dev";
	bus->chip = (struct tg_gpio_chip) TG_GPIO_CHIP_NULL;
	bus->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (bus->epoll < 0) {
		int r = tg_fault_set(reterr, -errno, "no epoll: %s", strerror(errno));

		gpio_close(bus);
		return r;
	}
	tg_gpio_park_sweep(tg_clock_boot_us());
	*ret = bus;
	return 0;
}

void tg_gpio_bus_dev(struct tg_bus *bus, const char *dev)
{
	bus->dev = dev;
}

static int gpio_plan(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
		     struct tg_fault *reterr)
{
	tg_autofree struct gpio_plan *plan =
		calloc(1, sizeof(*plan) + dev->n_points * sizeof(plan->line_of[0]));
	int r = plan ? 0 : tg_fault_set(reterr, -ENOMEM, "out of memory");

	for (size_t i = 0; i < dev->n_points && r == 0; i++)
		r = tg_gpio_lines_add(&bus->lines, dev, i, &plan->line_of[i], reterr);
	if (r < 0)
		return r;
	bus->watched = 0;
	for (size_t i = 0; i < bus->lines.n; i++)
		bus->watched += bus->lines.items[i].wanted != 0;
	*ret_plan = tg_take(plan);
	return 0;
}

static void gpio_plan_free(void *plan)
{
	free(plan);
}

/* Chips on I2C or USB may take that long when they do not answer. */
static uint64_t gpio_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *plan)
{
	(void) bus;
	(void) plan;
	return TG_US_PER_S + dev->n_points * TG_US_PER_S / 2;
}

static void gpio_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	out->requests = bus->edges;
	out->errors = bus->errors;
	if (bus->chip.fd < 0)
		(void) snprintf(out->text, sizeof(out->text), "%s", bus->note);
	else if (bus->lost)
		(void) snprintf(out->text, sizeof(out->text),
				"%.32s, %.32s, %" PRIu64 " edges came too fast",
				bus->chip.info.name, bus->chip.info.label, bus->lost);
	else
		(void) snprintf(out->text, sizeof(out->text), "%.32s, %.32s", bus->chip.info.name,
				bus->chip.info.label);
}

/* Since the lines were requested: the worker makes a total of it that goes on over restarts. */
static bool gpio_counts(const struct tg_config_point *point)
{
	return point->gpio.count != 0;
}

const struct tg_bus_driver tg_gpio_driver = {
	.name = "gpio",
	.type = TG_BUS_GPIO,
	.open = gpio_open,
	.plan = gpio_plan,
	.plan_free = gpio_plan_free,
	.patience_us = gpio_patience_us,
	.counts = gpio_counts,
	.poll = gpio_poll,
	.listen_fd = gpio_listen_fd,
	.listen = gpio_listen,
	.write = gpio_write,
	.read_one = gpio_read_one,
	.probe = tg_gpio_probe,
	.describe = gpio_describe,
	.close = gpio_close,
};
