/* SPDX-License-Identifier: Apache-2.0 */

/* `tidegate probe` on an I2C bus: who answers; or what a device's points get, byte by byte. */
#include "agent/bus/i2c/i2c.h"

#include "agent/bus/raw_value.h"
#include "agent/bus/table.h"
#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* 0x00 to 0x07 and 0x78 to 0x7f are reserved (UM10204, 3.1.12): a general call is no question. */
#define FIRST 0x08
#define LAST  0x77

/* The device of the configuration at @address, or "". */
static const char *configured(const struct tg_bus *bus, unsigned address)
{
	for (size_t i = 0; i < bus->cfg->n_devices; i++) {
		const struct tg_config_device *dev = &bus->cfg->devices[i];

		if (dev->bus == bus->index && dev->i2c.address == address)
			return dev->name;
	}
	return "";
}

static int probe_address(struct tg_bus *bus, struct tg_i2c_adapter *a, unsigned address, bool all,
			 struct tg_table *out)
{
	const char *device = configured(bus, address);
	char number[8], driver[64], state[96];
	int r = tg_i2c_ping(a, address);

	if (r == -ENOTCONN || r == -EOPNOTSUPP)
		return r;
	if (r == -EBUSY)
		(void) snprintf(state, sizeof(state), "of the kernel's driver %s",
				tg_i2c_holder(bus->roots, a, address, driver, sizeof(driver)));
	else
		(void) snprintf(state, sizeof(state), "%s", r > 0 ? "answers" : "silent");
	(void) snprintf(number, sizeof(number), "0x%02x", address);
	if (r != 0 || all || *device)
		tg_table_row(out, (const char *const[]){ number, state, device });
	return 0;
}

static int probe_bus(struct tg_bus *bus, struct tg_i2c_adapter *a, const char *address,
		     struct tg_table *out, struct tg_fault *reterr)
{
	uint64_t only = 0, until = tg_clock_boot_us() + TG_PROBE_US * 3 / 4;
	unsigned first = FIRST, last = LAST;
	int r = 0;

	if (*address) {
		if (tg_parse_u64(address, &only) < 0 || only < FIRST || only > LAST)
			return tg_fault_set(reterr, -EINVAL,
					    "'%s' is not an address from 0x08 to 0x77, such as "
					    "0x48",
					    address);
		first = last = (unsigned) only;
	}
	tg_table_heads(out, (const char *const[]){ "address", "state", "device", NULL });
	for (unsigned i = first; i <= last && r == 0; i++) {
		if (tg_clock_boot_us() > until) {
			tg_table_note(out,
				      "ended at 0x%02x, as this adapter is slow to say that nobody "
				      "answers; ask for single addresses",
				      i);
			break;
		}
		r = probe_address(bus, a, i, *address != '\0', out);
	}
	if (r == -EOPNOTSUPP)
		return tg_fault_set(reterr, r, "%s can neither write nothing nor read a byte",
				    a->path);
	return r < 0 ? tg_fault_set(reterr, r, "%s was unplugged", a->path) : 0;
}

static void probe_point(struct tg_bus *bus, struct tg_i2c_adapter *a,
			const struct tg_config_device *dev, const struct tg_config_point *point,
			struct tg_table *out)
{
	size_t len = tg_i2c_payload(&point->i2c.transfer);
	char bytes[TG_RAW_HEX_MAX], value[TG_RAW_SHOWN_MAX];
	uint8_t answer[TG_RAW_BYTES_MAX];
	struct tg_fault why = { .text = "" };
	uint64_t us;

	if (tg_i2c_run(bus, a, dev->i2c.address, &point->i2c.transfer, answer, &us, &why) < 0) {
		tg_table_row(out, (const char *const[]){ point->name, point->read, "", why.text });
		return;
	}
	tg_table_row(out, (const char *const[]){
				  point->name, point->read, tg_raw_hex(answer, len, bytes),
				  tg_raw_show(&point->i2c.raw, answer, len, value) });
}

static int probe_device(struct tg_bus *bus, struct tg_i2c_adapter *a,
			const struct tg_config_device *dev, struct tg_table *out,
			struct tg_fault *reterr)
{
	uint64_t until = tg_clock_boot_us() + TG_PROBE_US / 2;
	int r = tg_i2c_select(bus->roots, a, dev->i2c.address, reterr);

	if (r < 0)
		return r;
	tg_table_heads(out, (const char *const[]){ "point", "read", "bytes", "raw value", NULL });
	for (size_t i = 0; i < dev->n_points && tg_clock_boot_us() < until; i++)
		probe_point(bus, a, dev, &dev->points[i], out);
	tg_table_note(out, "bytes without checksums; values before scale and offset");
	return 0;
}

int tg_i2c_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		 struct tg_table *out, struct tg_fault *reterr)
{
	tg_cleanup(tg_i2c_close) struct tg_i2c_adapter a = TG_I2C_ADAPTER_NULL;
	int r;

	if (dev && *address)
		return tg_fault_set(reterr, -EINVAL,
				    "an address goes with the bus: probe %s %s, or probe %s alone",
				    bus->bus_cfg->name, address, dev->name);
	r = tg_i2c_open(bus->roots, bus->bus_cfg->i2c.adapter, &a, reterr);
	if (r < 0)
		return r;
	return dev ? probe_device(bus, &a, dev, out, reterr)
		   : probe_bus(bus, &a, address, out, reterr);
}
