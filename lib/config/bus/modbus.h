/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/tty.h"

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of Modbus lines, servers, units and registers. */

/* Where a Modbus value is and how it is coded: `read = holding 10 float32 order=CDAB`. */
enum tg_modbus_table { TG_MODBUS_COIL, TG_MODBUS_DISCRETE, TG_MODBUS_INPUT, TG_MODBUS_HOLDING };
enum tg_modbus_type {
	TG_MODBUS_BOOL,
	TG_MODBUS_INT16,
	TG_MODBUS_UINT16,
	TG_MODBUS_INT32,
	TG_MODBUS_UINT32,
	TG_MODBUS_FLOAT32,
	TG_MODBUS_INT64,
	TG_MODBUS_UINT64,
	TG_MODBUS_FLOAT64,
	TG_MODBUS_INT8, /* half a register: the low byte of its value */
	TG_MODBUS_UINT8,
	TG_MODBUS_STRING,
};
#define TG_MODBUS_STRING_MAX 250 /* bytes; as many as one request can read */
/* Of the bytes on the wire, for a value whose bytes from most to least significant are A B C D (and on, in 8-byte values). */
enum tg_modbus_order { TG_ORDER_ABCD, TG_ORDER_CDAB, TG_ORDER_BADC, TG_ORDER_DCBA };

struct tg_modbus_read {
	enum tg_modbus_table table;
	uint16_t address; /* from 0, as on the wire */
	enum tg_modbus_type type;
	enum tg_modbus_order order;
	int bit;	 /* 0..15: one bit of a register (type bool), or the lowest of n_bits; -1: none */
	unsigned n_bits; /* a number in some of the bits of one of an integer type, signed as that; 0: in all */
	unsigned length; /* bytes of a string, 1..TG_MODBUS_STRING_MAX */
};

/* Registers (or bits of coils and discrete inputs) that a value takes. Never fails. */
static inline unsigned tg_modbus_read_span(const struct tg_modbus_read *read)
{
	switch (read->type) {
	case TG_MODBUS_BOOL:
	case TG_MODBUS_INT16:
	case TG_MODBUS_UINT16:
	case TG_MODBUS_INT8:
	case TG_MODBUS_UINT8:
		return 1;
	case TG_MODBUS_INT32:
	case TG_MODBUS_UINT32:
	case TG_MODBUS_FLOAT32:
		return 2;
	case TG_MODBUS_INT64:
	case TG_MODBUS_UINT64:
	case TG_MODBUS_FLOAT64:
		return 4;
	case TG_MODBUS_STRING:
		return (read->length + 1) / 2;
	}
	return 1;
}

/* Which function writes: 5 and 6 for one coil or register and 16 for more, or always the same. */
enum tg_modbus_write_function {
	TG_MODBUS_WRITE_AUTO,
	TG_MODBUS_WRITE_SINGLE,
	TG_MODBUS_WRITE_MULTIPLE,
};

/* The gap stands first in both, so that it is one key. */
struct tg_modbus_tcp_bus {
	uint64_t gap_us; /* pause between requests */
	char *host;
	uint16_t port;
	uint64_t connect_timeout_us;
	uint64_t connect_delay_us; /* pause after connecting, for slow gateways */
};

struct tg_modbus_rtu_bus {
	uint64_t gap_us; /* silence before each request, at least 3.5 characters */
	struct tg_tty_line line;
	bool echo;		/* what is sent comes back */
	uint64_t turnaround_us; /* and after writes */
};

struct tg_modbus_device {
	unsigned unit;    /* 0..255 */
	unsigned max_gap; /* unused registers that a block read may span */
	unsigned max_registers; /* of one request; 0: as many as the protocol has, and 16 times as many bits */
	enum tg_modbus_write_function write_function;
};
