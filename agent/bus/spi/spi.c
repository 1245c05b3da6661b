/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = spi`: chips that no kernel driver knows, by transfers
 * that the configuration describes. The device is opened for each poll, as
 * its mode is that of whoever opened it last.
 *
 * SPI has no acknowledgement: a chip that is not there reads as ff or 00, and
 * only the values can tell.
 */
#include "agent/bus/spi/spi.h"

#include "agent/bus/drivers.h"
#include "agent/bus/raw_value.h"
#include "agent/bus/spi/port.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFER_US (2 * TG_US_PER_S) /* 96 bytes at the slowest clock take 0.8 s */

struct spi_plan {
	char reason[TG_REASON_MAX + 1];
	size_t same_as[1]; /* of each point: the first with the same transfer; more behind it */
};

static bool same(const struct tg_spi_transfer *a, const struct tg_spi_transfer *b)
{
	return a->n_bytes == b->n_bytes && memcmp(a->bytes, b->bytes, a->n_bytes) == 0 &&
	       a->n_read == b->n_read && a->delay_us == b->delay_us;
}

static int open_port(struct tg_bus *bus, const struct tg_config_device *dev,
		     struct tg_fault *reterr)
{
	struct tg_fault why = { .text = "" };
	int fd = tg_spi_open(bus->cfg->spi.device, &dev->spi, &why);

	(void) tg_printable(bus->note, sizeof(bus->note), why.text, strlen(why.text));
	return fd < 0 ? tg_fault_set(reterr, fd, "%s", why.text) : fd;
}

static int run(struct tg_bus *bus, int fd, const struct tg_config_device *dev,
	       const struct tg_spi_transfer *t, unsigned retries, uint8_t *answer,
	       struct tg_fault *reterr)
{
	for (unsigned tries = 0;; tries++) {
		int r;

		memset(answer, 0, TG_RAW_BYTES_MAX);
		bus->requests++;
		r = tg_spi_transfer(fd, &dev->spi, t, answer, reterr);
		if (r == 0)
			return (int) tries;
		bus->errors++;
		if (r == -ENOTCONN || r == -EINVAL || r == -EMSGSIZE || tries == retries)
			return r;
	}
}

static void decode(const struct tg_config_point *point, const uint8_t *answer, uint64_t us,
		   struct tg_sample *s)
{
	s->boot_us = us;
	if (tg_raw_value_get(&point->spi.raw, answer, tg_spi_answer(&point->spi.transfer),
			     &s->value) < 0) {
		s->reason = "not a finite number";
		return;
	}
	s->quality = TG_GOOD;
	s->reason = "";
}

/* All points with the transfer of the point @first. Returns as run() does. */
static int read_points(struct tg_bus *bus, int fd, const struct tg_config_device *dev,
		       struct spi_plan *plan, size_t first, unsigned retries, struct tg_sample *out,
		       struct tg_fault *why)
{
	uint8_t answer[TG_RAW_BYTES_MAX];
	int r = run(bus, fd, dev, &dev->points[first].spi.transfer, retries, answer, why);
	uint64_t now = tg_clock_boot_us();

	if (r < 0)
		(void) tg_printable(plan->reason, sizeof(plan->reason), why->text,
				    strlen(why->text));
	for (size_t i = first; i < dev->n_points; i++) {
		if (plan->same_as[i] != first)
			continue;
		if (r < 0)
			out[i].reason = plan->reason;
		else
			decode(&dev->points[i], answer, now, &out[i]);
	}
	return r;
}

static int spi_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *plan,
		    unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	tg_autoclose int fd = open_port(bus, dev, reterr);
	struct tg_fault why = { .text = "" };
	int spent = 0, failure = 0;
	bool answered = false;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < dev->n_points; i++) {
		int r = ((struct spi_plan *) plan)->same_as[i] != i
				? 0
				: read_points(bus, fd, dev, plan, i, retries, out, &why);

		if (r == -ENOTCONN)
			return tg_fault_set(reterr, r, "%s", why.text);
		failure = r < 0 ? r : failure;
		spent += r > 0 ? r : 0;
		answered |= out[i].quality == TG_GOOD;
	}
	return answered || !failure ? spent : tg_fault_set(reterr, failure, "%s", why.text);
}

/* --- commands --- */

static int compose(struct tg_bus *bus, int fd, const struct tg_config_device *dev,
		   const struct tg_config_point *point, const struct tg_value *value,
		   struct tg_spi_transfer *ret, struct tg_fault *reterr)
{
	const struct tg_raw_set *set = &point->spi.set;
	struct tg_spi_transfer t = { .n_bytes = set->n_before };
	struct tg_raw raw = point->spi.raw;
	uint8_t answer[TG_RAW_BYTES_MAX];
	int r;

	memcpy(t.bytes, set->before, set->n_before);
	if (!tg_raw_whole(&raw)) {
		r = run(bus, fd, dev, &point->spi.transfer, 0, answer, reterr);
		if (r < 0)
			return tg_fault_prefix(reterr, "not written, as the other bits cannot be "
						       "read");
		memcpy(t.bytes + t.n_bytes, answer + raw.at, raw.size);
	}
	if ((size_t) set->n_before + raw.size + set->n_after > sizeof(t.bytes))
		return tg_fault_set(reterr, -EMSGSIZE, "more than %d bytes", TG_SPI_WRITE_MAX);
	raw.at = 0;
	r = tg_raw_value_put(&raw, value, t.bytes + t.n_bytes, raw.size);
	if (r < 0)
		return tg_fault_set(reterr, r, "the value does not fit");
	t.n_bytes = (uint8_t) (t.n_bytes + raw.size);
	memcpy(t.bytes + t.n_bytes, set->after, set->n_after);
	t.n_bytes = (uint8_t) (t.n_bytes + set->n_after);
	*ret = t;
	return 0;
}

static int spi_write(struct tg_bus *bus, const struct tg_config_device *dev,
		     const struct tg_config_point *point, const struct tg_value *raw,
		     struct tg_fault *reterr)
{
	tg_autoclose int fd = open_port(bus, dev, reterr);
	uint8_t answer[TG_RAW_BYTES_MAX];
	struct tg_spi_transfer t;
	int r = fd < 0 ? fd : compose(bus, fd, dev, point, raw, &t, reterr);

	return r < 0 ? r : run(bus, fd, dev, &t, 0, answer, reterr);
}

static int spi_read_one(struct tg_bus *bus, const struct tg_config_device *dev,
			const struct tg_config_point *point, struct tg_sample *out,
			struct tg_fault *reterr)
{
	tg_autoclose int fd = open_port(bus, dev, reterr);
	uint8_t answer[TG_RAW_BYTES_MAX];
	int r = fd < 0 ? fd : run(bus, fd, dev, &point->spi.transfer, 0, answer, reterr);

	if (r < 0)
		return r;
	decode(point, answer, tg_clock_boot_us(), out);
	return 0;
}

/* --- the rest --- */

static int spi_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
		    struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = &cfg->buses[index];
	*ret = bus;
	return 0;
}

static int spi_plan(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
		    struct tg_fault *reterr)
{
	struct spi_plan *plan = calloc(1, sizeof(*plan) + dev->n_points * sizeof(plan->same_as[0]));

	(void) bus;
	if (!plan)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; i < dev->n_points; i++) {
		while (!same(&dev->points[plan->same_as[i]].spi.transfer,
			     &dev->points[i].spi.transfer))
			plan->same_as[i]++;
	}
	*ret_plan = plan;
	return 0;
}

static void spi_plan_free(void *plan)
{
	free(plan);
}

static uint64_t spi_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *plan)
{
	(void) bus;
	(void) plan;
	return dev->n_points * (dev->retries + 1) * TRANSFER_US;
}

static void spi_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	out->requests = bus->requests;
	out->errors = bus->errors;
	memcpy(out->text, bus->note, sizeof(bus->note));
}

static void spi_close(struct tg_bus *bus)
{
	free(bus);
}

const struct tg_bus_driver tg_spi_driver = {
	.name = "spi",
	.type = TG_BUS_SPI,
	.open = spi_open,
	.plan = spi_plan,
	.plan_free = spi_plan_free,
	.patience_us = spi_patience_us,
	.poll = spi_poll,
	.write = spi_write,
	.read_one = spi_read_one,
	.probe = tg_spi_probe,
	.describe = spi_describe,
	.close = spi_close,
};
