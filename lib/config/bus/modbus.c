/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/modbus_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#include <string.h>

#define RTU    TG_BUS_BIT(TG_BUS_MODBUS_RTU)
#define TCP    TG_BUS_BIT(TG_BUS_MODBUS_TCP)
#define MODBUS (RTU | TCP)

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_modbus_read_parse(text, &point->modbus, reterr);

	(void) key;
	if (r == 0)
		point->read = text;
	return r;
}

static const struct tg_config_type tg_type_modbus_read = { "[KIND] ADDRESS [TYPE] [order=ORDER] "
							   "[bit=N]",
							   parse_read };

static const struct tg_config_key keys[] = {
	BUS("host", host, modbus_tcp.host, REQUIRED, "Modbus TCP server", ONLY(TCP)),
	BUS("port", u16, modbus_tcp.port, "502", "TCP port", RANGE(1, 65535), ONLY(TCP)),
	BUS("connect-timeout", duration, modbus_tcp.connect_timeout_us, "3s",
	    "longest time for connecting", RANGE(10 * MS, 5 * MINUTE), ONLY(TCP)),
	BUS("connect-delay", duration, modbus_tcp.connect_delay_us, "0s",
	    "pause after connecting, for slow gateways", RANGE(0, MINUTE), ONLY(TCP)),
	BUS("gap", duration, modbus_tcp.gap_us, "0s", "pause between requests", RANGE(0, MINUTE),
	    ONLY(TCP)),

	BUS("port", path, modbus_rtu.port, REQUIRED, "tty of the line", ONLY(RTU)),

	DEVICE("unit", unsigned, modbus.unit, "1", "Modbus unit (slave) number", RANGE(0, 255),
	       ONLY(MODBUS)),
	DEVICE("max-gap", unsigned, modbus.max_gap, "16",
	       "unused registers that one request may read along", RANGE(0, 125), ONLY(MODBUS)),

	POINT("read", modbus_read, read, REQUIRED,
	      "what is read: holding 10 float32 order=CDAB, or as in vendors' tables 40011 float32",
	      ONLY(MODBUS)),
};

/* `holding 40011` is register 40011; who means the eleventh writes 40011 alone. */
static void check_vendor_address(const struct tg_loaded *l, const struct tg_section *s,
				 const struct tg_config_point *point)
{
	static const unsigned first[] = {
		[TG_MODBUS_COIL] = 0,
		[TG_MODBUS_DISCRETE] = 10001,
		[TG_MODBUS_INPUT] = 30001,
		[TG_MODBUS_HOLDING] = 40001,
	};
	unsigned from = first[point->modbus.table], address = point->modbus.address;
	const struct tg_setting *read = tg_section_get(s, "read");

	if (!from || !read || address < from || address > from + 9998 ||
	    strpbrk(read->value, "chdi") != read->value)
		return;
	tg_warn(l->doc.complain, read->place,
		"read = %s counts from 0; the register that vendors call %u is read by '%u' "
		"without the kind word",
		point->read, address, address);
}

static void check_point(const struct tg_loaded *l, const struct tg_section *s,
			const struct tg_config_point *point)
{
	enum tg_modbus_table table = point->modbus.table;

	check_vendor_address(l, s, point);
	if (point->write && table != TG_MODBUS_COIL && table != TG_MODBUS_HOLDING)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes: only coils and holding registers can be written");
}

const struct tg_config_bus_keys tg_config_modbus_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = MODBUS,
	.check_point = check_point,
};
