/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/probe.h"

#include "agent/bus/modbus/value.h"
#include "base/clock.h"
#include "base/parse.h"
#include "config/bus/modbus_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MAX_US                                                                             \
	(1500 * TG_US_PER_MS) /* of a device that is probed; three of them fit into TG_PROBE_US */
#define SCAN_TIMEOUT_US  (150 * TG_US_PER_MS) /* of each unit that may be there */
#define SCAN_RESERVE_US  TG_US_PER_S          /* of TG_PROBE_US, for what is under way */
#define UNIT_FIRST       1
#define UNIT_LAST        247
#define REGISTERS        4
#define COILS            16
#define CELL             48
#define ADDRESS_EXAMPLES "10, holding 10, input 10, coil 10 or 40011"

_Static_assert(3 * TIMEOUT_MAX_US < TG_PROBE_US, "driver.h bounds a probe");

/* --- one device --- */

static const char *const table_words[] = {
	[TG_MODBUS_COIL] = "coil",
	[TG_MODBUS_DISCRETE] = "discrete",
	[TG_MODBUS_INPUT] = "input",
	[TG_MODBUS_HOLDING] = "holding",
};

static int parse_address(const char *text, struct tg_modbus_read *ret, struct tg_fault *reterr)
{
	struct tg_fault fault = { 0 };
	uint64_t number;
	int r;

	/* Five and six digits are a vendor's number. */
	if (tg_parse_u64(text, &number) == 0 && number < 65536 && strlen(text) < 5) {
		*ret = (struct tg_modbus_read){ .table = TG_MODBUS_HOLDING,
						.address = (uint16_t) number,
						.type = TG_MODBUS_UINT16,
						.bit = -1 };
		return 0;
	}
	r = tg_modbus_read_parse(text, ret, &fault);
	if (r < 0)
		return tg_fault_set(reterr, -EINVAL, "address: %s; try " ADDRESS_EXAMPLES,
				    *text ? fault.text : "none is given");
	return 0;
}

static void format_value(const struct tg_sample *s, char out[static CELL])
{
	switch (s->value.type) {
	case TG_VALUE_NONE:
		(void) snprintf(out, CELL, "%s", s->reason);
		break;
	case TG_VALUE_BOOL:
		(void) snprintf(out, CELL, "%s", s->value.b ? "true" : "false");
		break;
	case TG_VALUE_INT:
		(void) snprintf(out, CELL, "%" PRId64, s->value.i);
		break;
	case TG_VALUE_UINT:
		(void) snprintf(out, CELL, "%" PRIu64, s->value.u);
		break;
	case TG_VALUE_REAL:
		(void) snprintf(out, CELL, "%.10g", s->value.real);
		break;
	case TG_VALUE_TEXT:
		(void) snprintf(out, CELL, "%s", s->value.text);
		break;
	}
}

/* One type in the four orders. */
static void show_type(const char *name, enum tg_modbus_type type, const uint8_t *wire,
		      struct tg_table *out)
{
	char cells[4][CELL];
	const char *row[] = { name, cells[0], cells[1], cells[2], cells[3] };

	for (unsigned order = TG_ORDER_ABCD; order <= TG_ORDER_DCBA; order++) {
		const struct tg_config_point p = {
			.modbus = { .table = TG_MODBUS_HOLDING,
				    .type = type,
				    .order = (enum tg_modbus_order) order,
				    .bit = -1 },
		};
		struct tg_sample s = { .reason = "" };

		tg_modbus_decode(&p, wire, NULL, &s);
		format_value(&s, cells[order]);
	}
	tg_table_row(out, row);
}

/* As text, in the two orders that texts have; the others are left empty. */
static void show_text(const uint8_t *wire, unsigned n, struct tg_table *out)
{
	char texts[2][TG_MODBUS_STRING_MAX + 1];
	const char *row[] = { "string", texts[0], "", texts[1], "" };

	for (unsigned i = 0; i < 2; i++) {
		const struct tg_config_point p = {
			.modbus = { .table = TG_MODBUS_HOLDING,
				    .type = TG_MODBUS_STRING,
				    .order = i == 0 ? TG_ORDER_ABCD : TG_ORDER_BADC,
				    .bit = -1,
				    .length = 2 * n },
		};
		struct tg_sample s = { .reason = "" };

		tg_modbus_decode(&p, wire, texts[i], &s);
	}
	tg_table_row(out, row);
}

static void note_register(const struct tg_modbus_read *read, const uint8_t *wire, unsigned i,
			  struct tg_table *out)
{
	unsigned v = (unsigned) wire[2 * i] << 8 | wire[2 * i + 1];
	char bits[20];
	size_t n = 0;

	for (unsigned bit = 16; bit-- > 0;) {
		bits[n++] = v >> bit & 1 ? '1' : '0';
		if (bit % 4 == 0 && bit > 0)
			bits[n++] = ' ';
	}
	bits[n] = '\0';
	tg_table_note(out, "%s %u: 0x%04x, bits 15 to 0: %s", table_words[read->table],
		      read->address + i, v, bits);
}

void tg_modbus_show(const struct tg_modbus_read *read, const uint8_t *wire, unsigned n,
		    struct tg_table *out)
{
	static const char *const heads[] = { "type", "ABCD", "CDAB", "BADC", "DCBA", NULL };
	static const struct {
		const char *name;
		enum tg_modbus_type type;
		unsigned registers;
	} types[] = {
		{ "int16", TG_MODBUS_INT16, 1 },     { "uint16", TG_MODBUS_UINT16, 1 },
		{ "int32", TG_MODBUS_INT32, 2 },     { "uint32", TG_MODBUS_UINT32, 2 },
		{ "float32", TG_MODBUS_FLOAT32, 2 }, { "int64", TG_MODBUS_INT64, 4 },
		{ "uint64", TG_MODBUS_UINT64, 4 },   { "float64", TG_MODBUS_FLOAT64, 4 },
	};

	tg_table_heads(out, heads);
	for (size_t i = 0; i < TG_ARRAY_SIZE(types); i++) {
		if (types[i].registers <= n)
			show_type(types[i].name, types[i].type, wire, out);
	}
	show_text(wire, n, out);
	for (unsigned i = 0; i < n; i++)
		note_register(read, wire, i, out);
	tg_table_note(out, "a point that takes TYPE and ORDER: read = %s %u TYPE order=ORDER",
		      table_words[read->table], read->address);
}

static void show_bits(const struct tg_modbus_read *read, const uint8_t *data, unsigned n,
		      struct tg_table *out)
{
	static const char *const heads[] = { "address", "value", NULL };

	tg_table_heads(out, heads);
	for (unsigned i = 0; i < n; i++) {
		char address[CELL];
		const char *row[] = { address, data[i / 8] >> i % 8 & 1 ? "true" : "false" };

		(void) snprintf(address, sizeof(address), "%s %u", table_words[read->table],
				read->address + i);
		tg_table_row(out, row);
	}
}

static int probe_device(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
			struct tg_table *out, struct tg_fault *reterr)
{
	struct tg_modbus_request q = { .unit = (uint8_t) dev->modbus.unit };
	struct tg_modbus_read read;
	uint64_t timeout = dev->timeout_us < TIMEOUT_MAX_US ? dev->timeout_us : TIMEOUT_MAX_US;
	int r = parse_address(address, &read, reterr);

	if (r < 0)
		return r;
	q.function = tg_modbus_read_function(read.table);
	q.address = read.address;
	/* Fewer and fewer, as the neighbours may be none. */
	for (unsigned n = tg_modbus_is_bits(read.table) ? COILS : REGISTERS; n > 0;
	     n = n == COILS ? 1 : n / 2) {
		if (read.address + n > 65536)
			continue;
		q.count = (uint16_t) n;
		r = tg_modbus_ask(bus, &q, timeout, reterr);
		if (r < 0)
			return r;
		if (r == 0 && tg_modbus_is_bits(read.table))
			show_bits(&read, bus->answer.data, n, out);
		else if (r == 0)
			tg_modbus_show(&read, bus->answer.data, n, out);
		if (r != 2 && r != 3)
			break;
	}
	return r > 0 ? -EREMOTEIO : 0;
}

/* --- the whole bus --- */

static int parse_units(const char *text, unsigned *ret_first, unsigned *ret_last,
		       struct tg_fault *reterr)
{
	uint64_t first = UNIT_FIRST, last = UNIT_LAST;
	const char *dots = strstr(text, "..");
	char head[8] = "";
	int r = 0;

	if (dots && (size_t) (dots - text) < sizeof(head))
		memcpy(head, text, (size_t) (dots - text));
	if (dots)
		r = tg_parse_u64(dots + 2, &last);
	if (r == 0 && *text)
		r = tg_parse_u64(dots ? head : text, &first);
	if (r < 0 || first < UNIT_FIRST || first > last || last > UNIT_LAST)
		return tg_fault_set(reterr, -EINVAL,
				    "'%s' is no unit from 1 to 247; try 20 or 1..20", text);
	*ret_first = (unsigned) first;
	*ret_last = (unsigned) last;
	return 0;
}

static void show_unit(unsigned unit, const char *says, struct tg_table *out)
{
	char number[CELL];
	const char *row[] = { number, says };

	(void) snprintf(number, sizeof(number), "%u", unit);
	tg_table_row(out, row);
}

static int probe_bus(struct tg_bus *bus, const char *address, struct tg_table *out,
		     struct tg_fault *reterr)
{
	static const char *const heads[] = { "unit", "says to holding 0", NULL };
	uint64_t until = tg_us_add(tg_clock_boot_us(), TG_PROBE_US - SCAN_RESERVE_US);
	unsigned unit = 0, last = 0;
	int r = parse_units(address, &unit, &last, reterr);

	if (r < 0)
		return r;
	tg_table_heads(out, heads);
	for (; unit <= last && tg_clock_boot_us() < until; unit++) {
		const struct tg_modbus_request q = { .unit = (uint8_t) unit,
						     .function = TG_MODBUS_READ_HOLDING,
						     .count = 1 };
		struct tg_fault fault = { 0 };

		r = tg_modbus_ask(bus, &q, SCAN_TIMEOUT_US, &fault);
		if (r == -ENOTCONN)
			return tg_fault_set(reterr, r, "%s", fault.text);
		if (r == 0)
			show_unit(unit, "a value", out);
		else if (r != -ETIMEDOUT && !tg_modbus_is_absent(r))
			show_unit(unit, fault.text, out);
	}
	if (unit <= last)
		tg_table_note(out, "time is up: units %u to %u were not asked, go on with %u..%u",
			      unit, last, unit, last);
	return 0;
}

int tg_modbus_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		    struct tg_table *out, struct tg_fault *reterr)
{
	return dev ? probe_device(bus, dev, address, out, reterr)
		   : probe_bus(bus, address, out, reterr);
}
