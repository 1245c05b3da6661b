/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = serial`: devices that speak unasked on a serial line.
 *
 * It reads what is there, hands it to the framer, and what the frames say to
 * the ear. A port that goes (unplugged, or taken away by another program) is
 * closed and tried again every RETRY_US by its path; frames that were under way are
 * forgotten. The time of a reading is when the end of its frame was read.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/serial/extract.h"
#include "agent/bus/serial/framer.h"
#include "agent/bus/table.h"
#include "agent/bus/tty.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_US    (2 * TG_US_PER_S)
#define READ_BYTES  512               /* of one call of listen: no more frames than TG_LISTEN_MAX */
#define PATIENCE_US (2 * TG_US_PER_S) /* opening a port can take as long as its driver wants */
#define PROBE_US    (5 * TG_US_PER_S)
#define PROBE_ROWS  64
#define SHOWN_BYTES 48 /* of a binary frame, in a probe */

struct tg_bus {
	const struct tg_config *cfg;
	size_t index;
	const struct tg_serial_bus *serial;
	int fd; /* -1: the port is away */
	uint64_t retry_us;
	struct tg_framer framer;
	uint64_t told_lost; /* of the framer's counts, what the ear knows */
	uint64_t unknown;   /* frames that no device and no point wanted */
	struct tg_text_room room;
	struct tg_fault fault; /* why the port is away */
};

/* A frame on its way to the ear. */
struct delivery {
	struct tg_bus *bus;
	const struct tg_bus_ear *ear;
	uint64_t now_us;
};

static bool deliver_to(struct delivery *d, const struct tg_config_device *dev, const uint8_t *frame,
		       size_t len)
{
	bool any = false;

	for (size_t i = 0; i < dev->n_points; i++) {
		struct tg_sample s = { .boot_us = d->now_us, .reason = "" };

		if (!tg_serial_extract(dev, &dev->points[i], frame, len, &d->bus->room, &s))
			continue;
		d->ear->heard(d->ear->user, dev, i, &s);
		any = true;
	}
	return any;
}

static void deliver(void *user, const uint8_t *frame, size_t len)
{
	struct delivery *d = user;
	const struct tg_config *cfg = d->bus->cfg;
	bool any = false;

	for (size_t i = 0; i < cfg->n_devices; i++) {
		const struct tg_config_device *dev = &cfg->devices[i];

		if (dev->bus == d->bus->index && tg_serial_is_for(d->bus->serial, dev, frame, len))
			any |= deliver_to(d, dev, frame, len);
	}
	if (!any)
		d->bus->unknown++;
}

static uint64_t lost(const struct tg_framer_counts *c)
{
	return c->checksum + c->too_long + c->partial;
}

static void tell_lost(struct tg_bus *bus, const struct tg_bus_ear *ear)
{
	uint64_t now = lost(&bus->framer.counts);

	if (now > bus->told_lost && ear->dropped)
		ear->dropped(ear->user, now - bus->told_lost);
	bus->told_lost = now;
}

static int go_away(struct tg_bus *bus, struct tg_fault *reterr)
{
	bus->fd = tg_tty_close(bus->fd);
	bus->retry_us = tg_clock_boot_us() + RETRY_US;
	return tg_fault_set(reterr, -ENOTCONN, "%s", bus->fault.text);
}

static int open_port(struct tg_bus *bus, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us();

	if (bus->fd >= 0)
		return 0;
	if (now < bus->retry_us)
		return tg_fault_set(reterr, -ENOTCONN, "%s", bus->fault.text);
	if (tg_tty_open(&bus->serial->line, &bus->fd, &bus->fault) < 0) {
		bus->fd = -1;
		return go_away(bus, reterr);
	}
	tg_framer_reset(&bus->framer, tg_clock_boot_us());
	return 0;
}

/* Returns the bytes read, 0 when there is nothing, or -ENOTCONN. */
static ssize_t read_port(struct tg_bus *bus, uint8_t *data, size_t size, struct tg_fault *reterr)
{
	ssize_t n = read(bus->fd, data, size);

	if (n > 0)
		return n;
	if (n < 0 && !tg_tty_is_gone(errno))
		return 0;
	(void) tg_fault_set(&bus->fault, -ENOTCONN, "%s: %s", bus->serial->line.port,
			    n == 0 ? "hung up" : strerror(errno));
	return go_away(bus, reterr);
}

static int serial_listen(struct tg_bus *bus, const struct tg_bus_ear *ear, struct tg_fault *reterr)
{
	struct delivery d = { .bus = bus, .ear = ear };
	uint8_t data[READ_BYTES];
	ssize_t n;
	int r = open_port(bus, reterr);

	if (r < 0)
		return r;
	n = read_port(bus, data, sizeof(data), reterr);
	if (n < 0)
		return (int) n;
	d.now_us = tg_clock_boot_us();
	tg_framer_feed(&bus->framer, data, (size_t) n, d.now_us, deliver, &d);
	tell_lost(bus, ear);
	return 0;
}

static int serial_listen_fd(struct tg_bus *bus, uint64_t *ret_wake_us)
{
	*ret_wake_us = bus->fd < 0 ? bus->retry_us : tg_framer_due_us(&bus->framer);
	return bus->fd;
}

static void serial_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	const struct tg_framer_counts *c = &bus->framer.counts;
	char line[24];

	out->requests = c->frames;
	out->errors = lost(c);
	out->text[0] = '\0';
	if (bus->fd < 0)
		return;
	(void) snprintf(out->text, sizeof(out->text), "%s",
			tg_tty_describe(&bus->serial->line, line));
	if (out->errors || bus->unknown)
		(void) snprintf(out->text, sizeof(out->text),
				"%s, %" PRIu64 " wrong checksums, %" PRIu64 " too long, %" PRIu64
				" partial, %" PRIu64 " for nobody",
				line, c->checksum, c->too_long, c->partial, bus->unknown);
	/* Bytes come and no frame: the first thing to be wrong is the rate. */
	if (c->frames == 0 && (c->stray > 64 || out->errors > 3))
		(void) snprintf(out->text, sizeof(out->text),
				"%s, nothing but rubbish: are baud, parity and framing right?",
				line);
}

/* --- probe --------------------------------------------------------------------------------------
 */

struct look {
	struct tg_table *out;
	bool binary;
	unsigned rows;
};

static void look_at(void *user, const uint8_t *frame, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	struct look *l = user;
	char text[3 * SHOWN_BYTES + 1] = "", bytes[16];
	size_t n = len < SHOWN_BYTES ? len : SHOWN_BYTES;

	if (l->rows >= PROBE_ROWS)
		return;
	l->rows++;
	(void) snprintf(bytes, sizeof(bytes), "%zu", len);
	for (size_t i = 0; l->binary && i < n; i++) {
		text[3 * i] = digits[frame[i] >> 4];
		text[3 * i + 1] = digits[frame[i] & 15];
		text[3 * i + 2] = i + 1 < n ? ' ' : '\0';
	}
	if (!l->binary)
		(void) tg_printable(text, sizeof(text), frame, len);
	tg_table_row(l->out, (const char *[]){ bytes, text });
}

static void wait_readable(int fd, uint64_t until_us)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void) poll(&p, 1, tg_us_to_poll_ms(tg_clock_boot_us(), until_us));
}

static int serial_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
			struct tg_table *out, struct tg_fault *reterr)
{
	enum tg_serial_framing framing = bus->serial->framing;
	uint64_t end = tg_clock_boot_us() + PROBE_US;
	struct look l = { .out = out,
			  .binary = framing == TG_SERIAL_LENGTH || framing == TG_SERIAL_SOF };
	size_t bytes = 0;
	int r;

	(void) dev;
	if (*address)
		return tg_fault_set(reterr, -EINVAL, "a serial line has no addresses");
	tg_table_heads(out, (const char *[]){ "bytes", "frame", NULL });
	bus->retry_us = 0;
	r = open_port(bus, reterr);
	while (r == 0 && tg_clock_boot_us() < end && l.rows < PROBE_ROWS) {
		uint8_t data[READ_BYTES];
		ssize_t n;

		wait_readable(bus->fd, end);
		n = read_port(bus, data, sizeof(data), reterr);
		if (n < 0)
			return (int) n;
		bytes += (size_t) n;
		tg_framer_feed(&bus->framer, data, (size_t) n, tg_clock_boot_us(), look_at, &l);
	}
	if (r == 0)
		tg_table_note(out, "%zu bytes in %u s, %u frames", bytes,
			      (unsigned) (PROBE_US / TG_US_PER_S), l.rows);
	return r;
}

/* --- birth and death ----------------------------------------------------------------------------
 */

static uint64_t serial_patience(struct tg_bus *bus, const struct tg_config_device *dev, void *plan)
{
	(void) bus;
	(void) dev;
	(void) plan;
	return PATIENCE_US;
}

static void serial_close(struct tg_bus *bus)
{
	if (!bus)
		return;
	(void) tg_tty_close(bus->fd);
	tg_framer_done(&bus->framer);
	free(bus);
}

static int serial_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
		       struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));

	if (!bus || tg_framer_init(&bus->framer, &cfg->buses[index].serial) < 0) {
		free(bus);
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	}
	bus->cfg = cfg;
	bus->index = index;
	bus->serial = &cfg->buses[index].serial;
	bus->fd = -1;
	*ret = bus;
	return 0;
}

const struct tg_bus_driver tg_serial_driver = {
	.name = "serial",
	.type = TG_BUS_SERIAL,
	.open = serial_open,
	.patience_us = serial_patience,
	.listen_fd = serial_listen_fd,
	.listen = serial_listen,
	.probe = serial_probe,
	.describe = serial_describe,
	.close = serial_close,
};
