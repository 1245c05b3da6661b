/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = sim`: generated signals, for trying things out and for
 * tests. Faults are brought about from outside, by files: a device is silent
 * while its silent-while is there, the bus is down while away-while is there.
 *
 * It has both natures of a bus: it is asked, or (speaks = unasked) its devices
 * speak by themselves each `every`.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/sim/sim_value.h"
#include "agent/bus/table.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define AWAY_LOOK_US   (100 * TG_US_PER_MS) /* how often an unasked bus looks whether it is away */
#define WRITE_LINE_MAX (2 * TG_NAME_MAX + TG_TEXT_MAX + 40)

struct sim_device {
	const struct tg_config_device *cfg;
	struct tg_sim_state *points;
	uint64_t writes;
	uint64_t next_us; /* of its next word, where it speaks unasked */
};

struct tg_bus {
	const struct tg_config *cfg;
	const struct tg_config_bus *bus_cfg;
	struct sim_device *
		devices; /* as many as the configuration has; cfg is NULL for those of other buses */
	char *room;      /* of the texts of one poll: TG_TEXT_MAX + 1 for each point */
	uint64_t opened_us;
	struct tg_bus_note note;
};

static void sim_close(struct tg_bus *bus)
{
	if (!bus)
		return;
	for (size_t i = 0; bus->devices && i < bus->cfg->n_devices; i++) {
		struct sim_device *d = &bus->devices[i];

		for (size_t k = 0; d->points && k < d->cfg->n_points; k++) {
			if (d->points[k].value.type == TG_VALUE_TEXT)
				free((char *) d->points[k].value.text);
		}
		free(d->points);
	}
	free(bus->devices);
	free(bus->room);
	free(bus);
}

static void closep(struct tg_bus **bus)
{
	sim_close(*bus);
}

static int make_room(struct tg_bus *bus, size_t index)
{
	size_t most = 1;

	for (size_t i = 0; i < bus->cfg->n_devices; i++) {
		const struct tg_config_device *cfg = &bus->cfg->devices[i];
		struct sim_device *d = &bus->devices[i];

		if (cfg->bus != index || !cfg->n_points)
			continue;
		d->cfg = cfg;
		d->next_us = bus->opened_us;
		d->points = calloc(cfg->n_points, sizeof(*d->points));
		if (!d->points)
			return -ENOMEM;
		if (cfg->n_points > most)
			most = cfg->n_points;
	}
	bus->room = calloc(most, TG_TEXT_MAX + 1);
	return bus->room ? 0 : -ENOMEM;
}

static int sim_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
		    struct tg_fault *reterr)
{
	tg_cleanup(closep) struct tg_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = cfg;
	bus->bus_cfg = &cfg->buses[index];
	bus->opened_us = tg_clock_boot_us();
	bus->devices = calloc(cfg->n_devices + 1, sizeof(*bus->devices));
	if (!bus->devices || make_room(bus, index) < 0)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	*ret = tg_take(bus);
	return 0;
}

static uint64_t sim_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *plan)
{
	(void) bus;
	(void) plan;
	return 2 * dev->sim.takes_us + TG_US_PER_S;
}

static bool sim_asked(struct tg_bus *bus, const struct tg_config_device *dev)
{
	(void) dev;
	return !bus->bus_cfg->sim.unasked;
}

static bool is_there(const char *path)
{
	return *path && access(path, F_OK) == 0;
}

static void pass_time(uint64_t us)
{
	struct timespec ts = { .tv_sec = (time_t) (us / TG_US_PER_S),
			       .tv_nsec = (long) (us % TG_US_PER_S * 1000) };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* What every request meets first. */
static int reach(struct tg_bus *bus, const struct tg_config_device *dev, struct tg_fault *reterr)
{
	bus->note.requests++;
	if (is_there(bus->bus_cfg->sim.away_while)) {
		bus->note.errors++;
		return tg_fault_set(reterr, -ENOTCONN, "the simulated bus is unplugged");
	}
	if (dev->sim.takes_us)
		pass_time(dev->sim.takes_us);
	if (is_there(dev->sim.silent_while)) {
		bus->note.errors++;
		return tg_fault_set(reterr, -ETIMEDOUT, "timeout");
	}
	return 0;
}

static void read_point(struct tg_bus *bus, const struct tg_config_device *dev, size_t i,
		       struct tg_sample *out)
{
	struct sim_device *d = &bus->devices[dev - bus->cfg->devices];
	uint64_t now = tg_clock_boot_us();

	tg_sim_value(&dev->points[i].sim, &d->points[i], now - bus->opened_us, d->writes,
		     bus->room + i * (TG_TEXT_MAX + 1), out);
	out->boot_us = now;
}

static int sim_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *plan,
		    unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	int r = reach(bus, dev, reterr);

	(void) plan;
	(void) retries;
	for (size_t i = 0; r == 0 && i < dev->n_points; i++)
		read_point(bus, dev, i, &out[i]);
	return r;
}

/* --- unasked --- */

static int sim_listen_fd(struct tg_bus *bus, uint64_t *ret_wake_us)
{
	uint64_t wake = tg_us_add(tg_clock_boot_us(), AWAY_LOOK_US);

	if (!bus->bus_cfg->sim.unasked) {
		*ret_wake_us = TG_US_FOREVER;
		return -1;
	}
	for (size_t i = 0; i < bus->cfg->n_devices; i++) {
		if (bus->devices[i].cfg && bus->devices[i].next_us < wake)
			wake = bus->devices[i].next_us;
	}
	*ret_wake_us = wake;
	return -1;
}

/* At most TG_LISTEN_MAX points a call; what is due after that is spoken in the next one. */
static int sim_listen(struct tg_bus *bus, const struct tg_bus_ear *ear, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us();
	size_t told = 0;

	if (!bus->bus_cfg->sim.unasked)
		return 0;
	if (is_there(bus->bus_cfg->sim.away_while))
		return tg_fault_set(reterr, -ENOTCONN, "the simulated bus is unplugged");
	for (size_t i = 0; i < bus->cfg->n_devices && told < TG_LISTEN_MAX; i++) {
		struct sim_device *d = &bus->devices[i];

		if (!d->cfg || d->next_us > now)
			continue;
		d->next_us = tg_us_add(now, d->cfg->every_us);
		for (size_t k = 0; k < d->cfg->n_points && !is_there(d->cfg->sim.silent_while);
		     k++) {
			struct tg_sample s = { .point = d->cfg->points[k].name,
					       .unit = "",
					       .reason = "" };

			read_point(bus, d->cfg, k, &s);
			ear->heard(ear->user, d->cfg, k, &s);
			told++;
		}
		bus->note.requests++;
	}
	return 0;
}

/* --- commands --- */

static int log_write(const struct tg_bus *bus, const struct tg_config_device *dev,
		     const struct tg_config_point *point, const struct tg_value *v,
		     struct tg_fault *reterr)
{
	const char *path = bus->bus_cfg->sim.write_log;
	tg_autoclose int fd = -1;
	char line[WRITE_LINE_MAX], text[64];
	int n;

	if (!*path)
		return 0;
	switch (v->type) {
	case TG_VALUE_BOOL:
		(void) snprintf(text, sizeof(text), "%s", v->b ? "true" : "false");
		break;
	case TG_VALUE_INT:
		(void) snprintf(text, sizeof(text), "%" PRId64, v->i);
		break;
	case TG_VALUE_UINT:
		(void) snprintf(text, sizeof(text), "%" PRIu64, v->u);
		break;
	case TG_VALUE_REAL:
		(void) snprintf(text, sizeof(text), "%.15g", v->real);
		break;
	case TG_VALUE_TEXT:
	case TG_VALUE_NONE:
		text[0] = '\0';
		break;
	}
	n = snprintf(line, sizeof(line), "%s/%s %s\n", dev->name, point->name,
		     v->type == TG_VALUE_TEXT ? v->text : text);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t) n) != n)
		return tg_fault_set(reterr, -EIO, "cannot log to %s: %s", path, strerror(errno));
	return 0;
}

static bool is_number(const struct tg_value *v)
{
	return v->type == TG_VALUE_INT || v->type == TG_VALUE_UINT || v->type == TG_VALUE_REAL;
}

/* Whether @v is this number. */
static bool is_the_number(const struct tg_value *v, unsigned n)
{
	switch (v->type) {
	case TG_VALUE_INT:
		return v->i == (int64_t) n;
	case TG_VALUE_UINT:
		return v->u == n;
	case TG_VALUE_REAL:
		return v->real == (double) n;
	case TG_VALUE_NONE:
	case TG_VALUE_BOOL:
	case TG_VALUE_TEXT:
		break;
	}
	return false;
}

/* Makes of @v what a point of this form holds: as with a coil, 1 and 0 are truth values where one is wanted. */
static int take_value(const struct tg_sim_read *read, struct tg_value *v, struct tg_fault *reterr)
{
	if (read->form == TG_SIM_TEXT)
		return v->type == TG_VALUE_TEXT && strnlen(v->text, TG_TEXT_MAX + 1) <= TG_TEXT_MAX
			       ? 0
			       : tg_fault_set(reterr, -ERANGE, "the point takes a text");
	if (!read->truth)
		return is_number(v) ? 0 : tg_fault_set(reterr, -ERANGE, "the point takes a number");
	if (v->type == TG_VALUE_BOOL)
		return 0;
	if (!is_the_number(v, 0) && !is_the_number(v, 1))
		return tg_fault_set(reterr, -ERANGE, "the point takes yes or no, 1 or 0");
	*v = (struct tg_value){ .type = TG_VALUE_BOOL, .b = is_the_number(v, 1) };
	return 0;
}

static int sim_write(struct tg_bus *bus, const struct tg_config_device *dev,
		     const struct tg_config_point *point, const struct tg_value *raw,
		     struct tg_fault *reterr)
{
	struct sim_device *d = &bus->devices[dev - bus->cfg->devices];
	struct tg_sim_state *state = &d->points[point - dev->points];
	struct tg_value value = *raw;
	int r = reach(bus, dev, reterr);

	if (r < 0)
		return r;
	r = take_value(&point->sim, &value, reterr);
	if (r < 0)
		return r;
	if (raw->type == TG_VALUE_TEXT)
		value.text = strdup(raw->text);
	if (raw->type == TG_VALUE_TEXT && !value.text)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (state->value.type == TG_VALUE_TEXT)
		free((char *) state->value.text);
	state->value = value;
	state->written = true;
	d->writes++;
	return log_write(bus, dev, point, raw, reterr);
}

static int sim_read_one(struct tg_bus *bus, const struct tg_config_device *dev,
			const struct tg_config_point *point, struct tg_sample *out,
			struct tg_fault *reterr)
{
	int r = reach(bus, dev, reterr);

	if (r == 0)
		read_point(bus, dev, (size_t) (point - dev->points), out);
	return r;
}

/* --- probe --- */

static void probe_device(const struct tg_config_device *dev, struct tg_table *out)
{
	for (size_t i = 0; i < dev->n_points; i++) {
		const char *const cells[] = { dev->name, dev->points[i].name, dev->points[i].read };

		tg_table_row(out, cells);
	}
}

static int sim_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		     struct tg_table *out, struct tg_fault *reterr)
{
	static const char *const heads[] = { "device", "point", "signal", NULL };

	if (*address)
		return tg_fault_set(reterr, -EINVAL,
				    "a simulated bus has no addresses; leave it out");
	tg_table_heads(out, heads);
	for (size_t i = 0; i < bus->cfg->n_devices; i++) {
		const struct sim_device *d = &bus->devices[i];

		if (d->cfg && (!dev || d->cfg == dev))
			probe_device(d->cfg, out);
	}
	tg_table_note(out, "nothing of this is real");
	return 0;
}

static void sim_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	*out = bus->note;
}

const struct tg_bus_driver tg_sim_driver = {
	.name = "sim",
	.type = TG_BUS_SIM,
	.open = sim_open,
	.patience_us = sim_patience_us,
	.asked = sim_asked,
	.poll = sim_poll,
	.listen_fd = sim_listen_fd,
	.listen = sim_listen,
	.write = sim_write,
	.read_one = sim_read_one,
	.probe = sim_probe,
	.describe = sim_describe,
	.close = sim_close,
};
