/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = i2c`: chips that no kernel driver knows, by
 * transactions that the configuration describes.
 *
 * The adapter is opened for each poll (adapter.h says why), and every chip is
 * asked for by I2C_SLAVE first, as I2C_RDWR by itself would talk to one that a
 * driver of the kernel is using.
 */
#include "agent/bus/i2c/i2c.h"

#include "agent/bus/drivers.h"
#include "agent/bus/i2c/check.h"
#include "agent/bus/i2c/plan.h"
#include "agent/bus/raw_value.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSACTION_US                                                                             \
	(3 * TG_US_PER_S) /* adapters give up after about one second, some after two tries */

/* One poll under way. */
struct round {
	struct tg_bus *bus;
	const struct tg_config_device *dev;
	struct tg_i2c_plan *plan;
	struct tg_i2c_adapter *adapter;
	unsigned may_retry, retries;
	bool answered;
};

/* --- transactions --- */

static int exchange(struct tg_i2c_adapter *a, unsigned address, const struct tg_i2c_transfer *t,
		    uint8_t *answer, struct tg_fault *reterr)
{
	int r;

	if (!t->split)
		return tg_i2c_transact(a, address, t->write, t->n_write, answer, t->n_read, reterr);
	r = tg_i2c_transact(a, address, t->write, t->n_write, NULL, 0, reterr);
	if (r < 0)
		return r;
	tg_clock_sleep_until(tg_us_add(tg_clock_boot_us(), t->delay_us));
	return tg_i2c_transact(a, address, NULL, 0, answer, t->n_read, reterr);
}

int tg_i2c_run(struct tg_bus *bus, struct tg_i2c_adapter *a, unsigned address,
	       const struct tg_i2c_transfer *t, uint8_t answer[static TG_RAW_BYTES_MAX],
	       uint64_t *ret_us, struct tg_fault *reterr)
{
	int r;

	memset(answer, 0, TG_RAW_BYTES_MAX);
	bus->requests++;
	r = exchange(a, address, t, answer, reterr);
	if (r == 0) {
		*ret_us = tg_clock_boot_us();
		r = tg_i2c_strip(t, address, answer);
		if (r < 0)
			(void) tg_fault_set(reterr, r, "checksum wrong");
	}
	if (r < 0)
		bus->errors++;
	return r;
}

/* What another try may cure: not a missing adapter, nor one that cannot. */
static bool may_pass(int r)
{
	return r != -ENOTCONN && r != -EOPNOTSUPP && r != -EINVAL;
}

static int run_again(struct round *rd, const struct tg_i2c_transfer *t, uint8_t *answer,
		     uint64_t *ret_us, struct tg_fault *reterr)
{
	int r;

	for (unsigned tries = 0;; tries++) {
		r = tg_i2c_run(rd->bus, rd->adapter, rd->dev->i2c.address, t, answer, ret_us,
			       reterr);
		if (r == 0 || !may_pass(r) || tries == rd->may_retry)
			return r;
		rd->retries++;
	}
}

static int set_up(struct round *rd, struct tg_fault *reterr)
{
	const struct tg_i2c_device *chip = &rd->dev->i2c;

	for (unsigned i = 0; i < chip->n_init && !rd->plan->set_up; i++) {
		int r = tg_i2c_transact(rd->adapter, chip->address, chip->init[i].bytes,
					chip->init[i].n, NULL, 0, reterr);

		rd->bus->requests++;
		if (r < 0) {
			rd->bus->errors++;
			return r;
		}
	}
	rd->plan->set_up = true;
	return 0;
}

/* --- polls --- */

static const char *reason_of(char *out, const struct tg_fault *why)
{
	return tg_printable(out, TG_REASON_MAX + 1, why->text, strlen(why->text));
}

static void decode(const struct tg_config_point *point, const uint8_t *answer, size_t len,
		   uint64_t us, struct tg_sample *s)
{
	s->boot_us = us;
	if (tg_raw_value_get(&point->i2c.raw, answer, len, &s->value) < 0) {
		s->reason = "not a finite number";
		return;
	}
	s->quality = TG_GOOD;
	s->reason = "";
}

/* Runs the i-th transaction and fills the samples of its points. */
static int read_points(struct round *rd, size_t i, struct tg_sample *out, struct tg_fault *why)
{
	struct tg_i2c_planned *planned = &rd->plan->transfers[i];
	uint8_t answer[TG_RAW_BYTES_MAX];
	uint64_t us = 0;
	int r = run_again(rd, planned->transfer, answer, &us, why);

	if (r < 0)
		(void) reason_of(planned->reason, why);
	for (size_t p = 0; p < rd->dev->n_points; p++) {
		if (rd->plan->transfer_of[p] != i)
			continue;
		if (r < 0)
			out[p].reason = planned->reason;
		else
			decode(&rd->dev->points[p], answer, tg_i2c_payload(planned->transfer), us,
			       &out[p]);
	}
	return r;
}

/* Returns as poll does. */
static int poll_chip(struct round *rd, struct tg_sample *out, struct tg_fault *reterr)
{
	int first = 0, r = set_up(rd, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < rd->plan->n_transfers; i++) {
		struct tg_fault why = { .text = "" };

		r = read_points(rd, i, out, &why);
		if (r < 0 && !first)
			first = tg_fault_set(reterr, r, "%s", why.text);
		/* A checksum that is wrong is an answer too; who is not there need not be asked for the rest. */
		rd->answered |= r == 0 || r == -EBADMSG;
		if (r == -ENOTCONN || (r == -ENXIO && !rd->answered))
			return r;
	}
	return rd->answered ? (int) rd->retries : first;
}

static int find(struct tg_bus *bus, struct tg_i2c_adapter *ret, struct tg_fault *reterr)
{
	struct tg_fault why = { .text = "" };
	int r = tg_i2c_open(bus->roots, bus->bus_cfg->i2c.adapter, ret, &why);

	(void) reason_of(bus->note, &why);
	return r < 0 ? tg_fault_set(reterr, r, "%s", why.text) : 0;
}

static int i2c_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *plan,
		    unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	tg_cleanup(tg_i2c_close) struct tg_i2c_adapter adapter = TG_I2C_ADAPTER_NULL;
	struct round rd = {
		.bus = bus, .dev = dev, .plan = plan, .adapter = &adapter, .may_retry = retries
	};
	int r = find(bus, &adapter, reterr);

	if (r == 0)
		r = tg_i2c_select(bus->roots, &adapter, dev->i2c.address, reterr);
	if (r == 0)
		r = poll_chip(&rd, out, reterr);
	/* It may have lost its power, and its settings with it. */
	if (r < 0)
		rd.plan->set_up = false;
	return r;
}

/* --- commands --- */

/* The bytes that the chip has at the value now, into the start of @ret. */
static int current(struct tg_bus *bus, struct tg_i2c_adapter *a, const struct tg_config_device *dev,
		   const struct tg_config_point *point, uint8_t *ret, struct tg_fault *reterr)
{
	uint8_t answer[TG_RAW_BYTES_MAX];
	uint64_t us;
	int r = tg_i2c_run(bus, a, dev->i2c.address, &point->i2c.transfer, answer, &us, reterr);

	if (r < 0)
		return tg_fault_prefix(reterr, "not written, as the other bits cannot be read");
	memcpy(ret, answer + point->i2c.raw.at, point->i2c.raw.size);
	return 0;
}

static int compose(struct tg_bus *bus, struct tg_i2c_adapter *a, const struct tg_config_device *dev,
		   const struct tg_config_point *point, const struct tg_value *value,
		   uint8_t *bytes, size_t *ret_n, struct tg_fault *reterr)
{
	const struct tg_raw_set *set = &point->i2c.set;
	const struct tg_i2c_transfer *t = &point->i2c.transfer;
	size_t n = set->given ? set->n_before : t->n_write;
	struct tg_raw raw = point->i2c.raw;
	int r = 0;

	memcpy(bytes, set->given ? set->before : t->write, n);
	if (!tg_raw_whole(&raw))
		r = current(bus, a, dev, point, bytes + n, reterr);
	if (r < 0)
		return r;
	raw.at = 0;
	r = tg_raw_value_put(&raw, value, bytes + n, raw.size);
	if (r < 0)
		return tg_fault_set(reterr, r, "the value does not fit");
	n += raw.size;
	if (point->i2c.transfer.check == TG_I2C_CRC8 && raw.size == 2) {
		bytes[n] = tg_i2c_word_crc(bytes + n - 2);
		n++;
	}
	memcpy(bytes + n, set->after, set->n_after);
	n += set->n_after;
	if (point->i2c.transfer.check == TG_I2C_PEC) {
		bytes[n] = tg_i2c_write_pec(dev->i2c.address, bytes, n);
		n++;
	}
	*ret_n = n;
	return 0;
}

static int i2c_write(struct tg_bus *bus, const struct tg_config_device *dev,
		     const struct tg_config_point *point, const struct tg_value *raw,
		     struct tg_fault *reterr)
{
	tg_cleanup(tg_i2c_close) struct tg_i2c_adapter adapter = TG_I2C_ADAPTER_NULL;
	uint8_t bytes[2 * TG_RAW_SET_MAX + 8 + 2] = { 0 };
	size_t n = 0;
	int r = find(bus, &adapter, reterr);

	if (r == 0)
		r = tg_i2c_select(bus->roots, &adapter, dev->i2c.address, reterr);
	if (r == 0)
		r = compose(bus, &adapter, dev, point, raw, bytes, &n, reterr);
	if (r < 0)
		return r;
	bus->requests++;
	r = tg_i2c_transact(&adapter, dev->i2c.address, bytes, n, NULL, 0, reterr);
	if (r < 0)
		bus->errors++;
	/* The adapter went meanwhile: unlike without one, the chip may have it. */
	return r == -ENOTCONN ? -EIO : r;
}

static int i2c_read_one(struct tg_bus *bus, const struct tg_config_device *dev,
			const struct tg_config_point *point, struct tg_sample *out,
			struct tg_fault *reterr)
{
	tg_cleanup(tg_i2c_close) struct tg_i2c_adapter adapter = TG_I2C_ADAPTER_NULL;
	uint8_t answer[TG_RAW_BYTES_MAX];
	uint64_t us;
	int r = find(bus, &adapter, reterr);

	if (r == 0)
		r = tg_i2c_select(bus->roots, &adapter, dev->i2c.address, reterr);
	if (r == 0)
		r = tg_i2c_run(bus, &adapter, dev->i2c.address, &point->i2c.transfer, answer, &us,
			       reterr);
	if (r == 0)
		decode(point, answer, tg_i2c_payload(&point->i2c.transfer), us, out);
	return r;
}

/* --- the rest --- */

static int i2c_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
		    struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = cfg;
	bus->index = index;
	bus->bus_cfg = &cfg->buses[index];
	bus->roots = &tg_i2c_roots;
	*ret = bus;
	return 0;
}

void tg_i2c_bus_roots(struct tg_bus *bus, const struct tg_i2c_roots *roots)
{
	bus->roots = roots;
}

static int i2c_plan(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
		    struct tg_fault *reterr)
{
	struct tg_i2c_plan *plan;
	int r = tg_i2c_plan_new(dev, &plan);

	(void) bus;
	if (r < 0)
		return tg_fault_set(reterr, r, "out of memory");
	*ret_plan = plan;
	return 0;
}

static void i2c_plan_free(void *plan)
{
	(void) tg_i2c_plan_free(plan);
}

static uint64_t i2c_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *user)
{
	const struct tg_i2c_plan *plan = user;
	uint64_t sum = dev->i2c.n_init * TRANSACTION_US;

	(void) bus;
	for (size_t i = 0; i < plan->n_transfers; i++)
		sum += (dev->retries + 1) *
		       (2 * TRANSACTION_US + plan->transfers[i].transfer->delay_us);
	return sum;
}

static void i2c_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	out->requests = bus->requests;
	out->errors = bus->errors;
	memcpy(out->text, bus->note, sizeof(bus->note));
}

static void i2c_close(struct tg_bus *bus)
{
	free(bus);
}

const struct tg_bus_driver tg_i2c_driver = {
	.name = "i2c",
	.type = TG_BUS_I2C,
	.open = i2c_open,
	.plan = i2c_plan,
	.plan_free = i2c_plan_free,
	.patience_us = i2c_patience_us,
	.poll = i2c_poll,
	.write = i2c_write,
	.read_one = i2c_read_one,
	.probe = tg_i2c_probe,
	.describe = i2c_describe,
	.close = i2c_close,
};
