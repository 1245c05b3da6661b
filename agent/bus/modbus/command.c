/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/command.h"

#include "agent/bus/modbus/value.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

static struct tg_modbus_request read_request(const struct tg_config_device *dev,
					     const struct tg_config_point *point)
{
	const struct tg_modbus_read *r = &point->modbus;

	return (struct tg_modbus_request){
		.unit = (uint8_t) dev->modbus.unit,
		.function = tg_modbus_read_function(r->table),
		.address = r->address,
		.count = (uint16_t) (tg_modbus_is_bits(r->table) ? 1 : tg_modbus_read_span(r)),
	};
}

/* Reads the registers of one point. Returns 0 with them in bus->answer, an exception's code, or -errno. */
static int fetch(struct tg_bus *bus, const struct tg_config_device *dev,
		 const struct tg_config_point *point, struct tg_fault *reterr)
{
	const struct tg_modbus_request q = read_request(dev, point);

	for (unsigned attempt = 0;; attempt++) {
		int r = tg_modbus_ask(bus, &q, dev->timeout_us, reterr);

		if (r == 0 || r == -ENOTCONN || attempt >= dev->retries ||
		    (r > 0 && !tg_modbus_is_busy(r) && !tg_modbus_is_absent(r)))
			return r;
		if (tg_modbus_is_busy(r))
			tg_clock_sleep_until(tg_clock_boot_us() + TG_MODBUS_BUSY_PAUSE_US);
	}
}

int tg_modbus_read_one(struct tg_bus *bus, const struct tg_config_device *dev,
		       const struct tg_config_point *point, struct tg_sample *out,
		       struct tg_fault *reterr)
{
	struct tg_fault fault = { 0 };
	int r = fetch(bus, dev, point, &fault);

	if (r < 0 || tg_modbus_is_absent(r))
		return tg_fault_set(reterr, r < 0 ? r : -EHOSTUNREACH, "%s", fault.text);
	if (r > 0) {
		out->value = (struct tg_value){ .type = TG_VALUE_NONE };
		out->quality = TG_BAD;
		out->reason = tg_printable(bus->reason, sizeof(bus->reason), fault.text,
					   strlen(fault.text));
		out->boot_us = tg_clock_boot_us();
		return 0;
	}

	out->boot_us = bus->answer.boot_us;
	if (tg_modbus_is_bits(point->modbus.table))
		tg_modbus_decode_bit(point, bus->answer.data[0] & 1, out);
	else
		tg_modbus_decode(point, bus->answer.data, bus->text, out);
	return 0;
}

/* Fills @data with what is to be written: of a part, into what is there now. */
static int prepare(struct tg_bus *bus, const struct tg_config_device *dev,
		   const struct tg_config_point *point, const struct tg_value *raw, uint8_t *data,
		   struct tg_fault *reterr)
{
	const struct tg_modbus_read *r = &point->modbus;
	bool on;
	int x;

	if (r->table == TG_MODBUS_COIL) {
		x = tg_modbus_encode_bit(raw, &on, reterr);
		data[0] = x == 0 && on;
		return x;
	}
	if (tg_modbus_is_part(r)) {
		/* Judged before anything is asked, as far as it can be. */
		x = tg_modbus_encode(r, raw, data, reterr);
		if (x < 0)
			return x;
		x = fetch(bus, dev, point, reterr);
		if (x != 0) {
			(void) tg_fault_prefix(reterr, "the rest of the register was not read");
			return x < 0 ? x : -EREMOTEIO;
		}
		memcpy(data, bus->answer.data, 2 * (size_t) tg_modbus_read_span(r));
	}
	return tg_modbus_encode(r, raw, data, reterr);
}

static enum tg_modbus_function write_function(const struct tg_config_device *dev,
					      const struct tg_modbus_request *q, bool coil)
{
	bool single = dev->modbus.write_function == TG_MODBUS_WRITE_SINGLE ||
		      (dev->modbus.write_function == TG_MODBUS_WRITE_AUTO && q->count == 1);

	if (coil)
		return single ? TG_MODBUS_WRITE_COIL : TG_MODBUS_WRITE_COILS;
	return single ? TG_MODBUS_WRITE_REGISTER : TG_MODBUS_WRITE_REGISTERS;
}

int tg_modbus_write(struct tg_bus *bus, const struct tg_config_device *dev,
		    const struct tg_config_point *point, const struct tg_value *raw,
		    struct tg_fault *reterr)
{
	struct tg_modbus_request q = read_request(dev, point);
	bool coil = point->modbus.table == TG_MODBUS_COIL;
	uint8_t data[TG_MODBUS_DATA_MAX] = { 0 };
	int r;

	if (!coil && point->modbus.table != TG_MODBUS_HOLDING)
		return tg_fault_set(reterr, -EINVAL, "only coils and holding registers can be set");
	q.function = write_function(dev, &q, coil);
	if (q.count > (q.function == TG_MODBUS_WRITE_REGISTER ? 1 : TG_MODBUS_WRITE_MAX))
		return tg_fault_set(reterr, -EINVAL, "%u registers cannot be written at once",
				    q.count);
	r = prepare(bus, dev, point, raw, data, reterr);
	if (r < 0)
		return r;

	q.data = data;
	r = tg_modbus_ask(bus, &q, dev->timeout_us, reterr);
	/* "Acknowledge": taken, and being worked on; reading back tells what became of it. */
	if (r == TG_MODBUS_EX_ACKNOWLEDGE)
		return 0;
	if (r == TG_MODBUS_EX_BUSY)
		return -EBUSY;
	return r <= 0 ? r : -EREMOTEIO;
}
