/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/line/unit.h"

#include <stdlib.h>
#include <string.h>

#define READ_BITS_MAX      2000
#define READ_REGISTERS_MAX 125
#define WRITE_BITS_MAX     1968
#define WRITE_REGS_MAX     123

static unsigned get16(const uint8_t *from)
{
	return (unsigned) from[0] << 8 | from[1];
}

static void put16(uint8_t *to, unsigned v)
{
	to[0] = (uint8_t) (v >> 8);
	to[1] = (uint8_t) v;
}

struct line_unit *line_unit_new(uint8_t id)
{
	struct line_unit *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->id = id;
	for (unsigned a = 0; a < LINE_REGISTERS; a++) {
		u->tables[LINE_HOLDING][a] = (uint16_t) (100 * id + a);
		u->tables[LINE_INPUT][a] = (uint16_t) ~(100u * id + a);
		u->tables[LINE_COIL][a] = a % 3 == 0;
		u->tables[LINE_DISCRETE][a] = a % 3 == 0;
	}
	return u;
}

static size_t refuse(uint8_t function, uint8_t code, uint8_t *out)
{
	out[0] = function | 0x80;
	out[1] = code;
	return 2;
}

/* Section 7: the count is looked at before the address. */
static uint8_t judge_range(unsigned address, unsigned count, unsigned most)
{
	if (count == 0 || count > most)
		return 3;
	return address + count > LINE_REGISTERS ? 2 : 0;
}

static size_t read_bits(const uint16_t *table, const uint8_t *pdu, uint8_t *out)
{
	unsigned address = get16(pdu + 1), count = get16(pdu + 3);
	uint8_t code = judge_range(address, count, READ_BITS_MAX);

	if (code)
		return refuse(pdu[0], code, out);
	out[0] = pdu[0];
	out[1] = (uint8_t) ((count + 7) / 8);
	memset(out + 2, 0, out[1]);
	for (unsigned i = 0; i < count; i++) {
		if (table[address + i])
			out[2 + i / 8] |= (uint8_t) (1u << (i % 8));
	}
	return 2u + out[1];
}

static size_t read_registers(const uint16_t *table, const uint8_t *pdu, uint8_t *out)
{
	unsigned address = get16(pdu + 1), count = get16(pdu + 3);
	uint8_t code = judge_range(address, count, READ_REGISTERS_MAX);

	if (code)
		return refuse(pdu[0], code, out);
	out[0] = pdu[0];
	out[1] = (uint8_t) (2 * count);
	for (unsigned i = 0; i < count; i++)
		put16(out + 2 + 2 * i, table[address + i]);
	return 2u + out[1];
}

static size_t write_single(struct line_unit *u, const uint8_t *pdu, uint8_t *out)
{
	unsigned address = get16(pdu + 1), value = get16(pdu + 3);

	if (pdu[0] == 5 && value != 0 && value != 0xff00)
		return refuse(pdu[0], 3, out);
	if (address >= LINE_REGISTERS)
		return refuse(pdu[0], 2, out);
	u->tables[pdu[0] == 5 ? LINE_COIL : LINE_HOLDING][address] =
		(uint16_t) (pdu[0] == 5 ? value != 0 : value);
	u->writes++;
	memcpy(out, pdu, 5);
	return 5;
}

static size_t write_many(struct line_unit *u, const uint8_t *pdu, size_t len, uint8_t *out)
{
	bool bits = pdu[0] == 15;
	unsigned address = get16(pdu + 1), count = get16(pdu + 3);
	uint8_t code = judge_range(address, count, bits ? WRITE_BITS_MAX : WRITE_REGS_MAX);
	unsigned want = bits ? (count + 7) / 8 : 2 * count;

	if (!code && (pdu[5] != want || len != 6u + want))
		code = 3;
	if (code)
		return refuse(pdu[0], code, out);
	for (unsigned i = 0; i < count; i++) {
		if (bits)
			u->tables[LINE_COIL][address + i] = pdu[6 + i / 8] >> (i % 8) & 1;
		else
			u->tables[LINE_HOLDING][address + i] = (uint16_t) get16(pdu + 6 + 2 * i);
	}
	u->writes++;
	memcpy(out, pdu, 5);
	return 5;
}

size_t line_unit_answer(struct line_unit *u, const uint8_t *pdu, size_t len,
			uint8_t out[static LINE_PDU_MAX])
{
	static const enum line_table of_read[] = {
		[1] = LINE_COIL, LINE_DISCRETE, LINE_HOLDING, LINE_INPUT
	};

	u->requests++;
	if (len < 5)
		return 0;
	switch (pdu[0]) {
	case 1:
	case 2:
		return read_bits(u->tables[of_read[pdu[0]]], pdu, out);
	case 3:
	case 4:
		return read_registers(u->tables[of_read[pdu[0]]], pdu, out);
	case 5:
	case 6:
		return write_single(u, pdu, out);
	case 15:
	case 16:
		return len > 6 ? write_many(u, pdu, len, out) : 0;
	default:
		return refuse(pdu[0], 1, out);
	}
}

bool line_table_from_name(const char *name, enum line_table *ret)
{
	static const char *const names[] = { "coil", "discrete", "input", "holding" };

	for (unsigned i = 0; i < LINE_TABLES; i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum line_table) i;
			return true;
		}
	}
	return false;
}
