/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/modbus_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#include <string.h>

#define RTU    TG_BUS_BIT(TG_BUS_MODBUS_RTU)
#define TCP    TG_BUS_BIT(TG_BUS_MODBUS_TCP)
#define MODBUS (RTU | TCP)

static const struct tg_word write_functions[] = {
	{ "auto", TG_MODBUS_WRITE_AUTO, NULL },
	{ "single", TG_MODBUS_WRITE_SINGLE, NULL },
	{ "multiple", TG_MODBUS_WRITE_MULTIPLE, NULL },
	{ NULL, 0, NULL },
};

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
							   "[bit=N|bits=FIRST..LAST]",
							   parse_read };

_Static_assert(offsetof(struct tg_config_bus, modbus_tcp.gap_us) ==
		       offsetof(struct tg_config_bus, modbus_rtu.gap_us),
	       "one row for both");

static const struct tg_config_key keys[] = {
	BUS("gap", duration, modbus_tcp.gap_us, "0s",
	    "pause between requests; on a serial line never less than 3.5 characters",
	    RANGE(0, MINUTE), ONLY(MODBUS)),
	BUS("host", host, modbus_tcp.host, REQUIRED, "Modbus TCP server", ONLY(TCP)),
	BUS("port", u16, modbus_tcp.port, "502", "TCP port", RANGE(1, 65535), ONLY(TCP)),
	BUS("connect-timeout", duration, modbus_tcp.connect_timeout_us, "3s",
	    "longest time for connecting", RANGE(10 * MS, 5 * MINUTE), ONLY(TCP)),
	BUS("connect-delay", duration, modbus_tcp.connect_delay_us, "0s",
	    "pause after connecting, for slow gateways", RANGE(0, MINUTE), ONLY(TCP)),

	/* The standard's own parity; most devices come with it, or with none. */
	TG_TTY_ROWS(modbus_rtu.line, "9600", "even", RTU),
	BUS("turnaround", duration, modbus_rtu.turnaround_us, "0s",
	    "further silence after a write, for slow devices", RANGE(0, MINUTE), ONLY(RTU)),
	BUS("echo", yes_no, modbus_rtu.echo, "no",
	    "what is sent comes back, as on two-wire lines whose receiver stays on", ONLY(RTU)),

	DEVICE("unit", unsigned, modbus.unit, "1", "Modbus unit (slave) number", RANGE(0, 255),
	       ONLY(MODBUS)),
	DEVICE("max-gap", unsigned, modbus.max_gap, "16",
	       "unused registers that one request may read along", RANGE(0, 125), ONLY(MODBUS)),
	DEVICE("max-registers", unsigned, modbus.max_registers, "125",
	       "registers of one request, for devices with small buffers", RANGE(1, 125),
	       ONLY(MODBUS)),
	DEVICE("write-function", words, modbus.write_function, "auto",
	       "how registers and coils are written: one by one, as blocks, or as it takes",
	       WORDS(write_functions), ONLY(MODBUS)),

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

#define LAST_UNIT     247 /* on a serial line; above are reserved numbers */
#define WRITE_AT_ONCE 123 /* registers of one write, by the protocol */

static void check_unit(const struct tg_loaded *l, const struct tg_section *s, unsigned unit)
{
	if (unit == 0)
		tg_complain(l->doc.complain, tg_section_place(s, "unit"),
			    "unit = 0: on a serial line it is everybody, and nobody answers");
	else if (unit > LAST_UNIT)
		tg_warn(l->doc.complain, tg_section_place(s, "unit"),
			"unit = %u: on a serial line the numbers above 247 are reserved", unit);
}

static void check_device(const struct tg_loaded *l, const struct tg_section *s,
			 const struct tg_config_device *dev)
{
	if (l->config.buses[dev->bus].type == TG_BUS_MODBUS_RTU)
		check_unit(l, s, dev->modbus.unit);
	for (size_t i = 0; i < dev->n_points; i++) {
		const struct tg_config_point *p = &dev->points[i];
		unsigned span = p->modbus.table == TG_MODBUS_COIL ? 1 : tg_modbus_read_span(&p->modbus);

		if (span > dev->modbus.max_registers)
			tg_complain(l->doc.complain, tg_section_place(s, "max-registers"),
				    "max-registers = %u: %s takes %u", dev->modbus.max_registers,
				    p->name, span);
		else if (p->write && span > 1 &&
			 dev->modbus.write_function == TG_MODBUS_WRITE_SINGLE)
			tg_complain(l->doc.complain, tg_section_place(s, "write-function"),
				    "write-function = single: %s takes %u registers", p->name,
				    span);
	}
}

static void check_point(const struct tg_loaded *l, const struct tg_section *s,
			const struct tg_config_point *point)
{
	enum tg_modbus_table table = point->modbus.table;

	check_vendor_address(l, s, point);
	if (point->write && table != TG_MODBUS_COIL && table != TG_MODBUS_HOLDING)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes: only coils and holding registers can be written");
	if (point->write && tg_modbus_read_span(&point->modbus) > WRITE_AT_ONCE)
		tg_complain(l->doc.complain, tg_section_place(s, "write"),
			    "write = yes: at most %d registers can be written at once",
			    WRITE_AT_ONCE);
}

const struct tg_config_bus_keys tg_config_modbus_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = MODBUS,
	.check_device = check_device,
	.check_point = check_point,
};
