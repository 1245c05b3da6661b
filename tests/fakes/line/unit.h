/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A Modbus unit as it should be: registers, and the right answer to a request.
 *
 * Written from the Modbus Application Protocol Specification V1.1b3, section 6, and sharing no line with the driver
 * that it is there to test. Registers are words as they are on the wire; nothing here knows of floats or of orders.
 * What it does wrong is misdeed.h's business.
 */
#define LINE_REGISTERS 2048 /* in each table; beyond: exception 2 */
#define LINE_PDU_MAX   253
#define LINE_UNITS     248 /* 0 is the broadcast */

enum line_table { LINE_COIL, LINE_DISCRETE, LINE_INPUT, LINE_HOLDING, LINE_TABLES };

struct line_misdeed;

struct line_unit {
	uint8_t id;
	bool dead;
	uint64_t delay_us; /* from the end of the request's frame to the first byte of the answer */
	const struct line_misdeed *misdeed; /* NULL: none */
	unsigned argument, times;           /* times: misdeeds still to come; 0: for ever */
	uint64_t deaf_until_us;             /* it is starting again */
	uint16_t tables[LINE_TABLES][LINE_REGISTERS];
	uint8_t before[LINE_PDU_MAX]; /* the answer before, for units that fall behind */
	size_t before_len;
	unsigned requests, writes;
};

/*
 * A new unit: holding register A has 100 * id + A, input register A the same with all bits turned, coil and discrete
 * input A are set when A is divisible by 3. So no two addresses of interest have the same value, nor have two units.
 * Returns NULL without memory.
 */
struct line_unit *line_unit_new(uint8_t id);
/* The answer to the @len bytes of @pdu, written to @out; returns its length, 0 when even a right unit says nothing. */
size_t line_unit_answer(struct line_unit *u, const uint8_t *pdu, size_t len,
			uint8_t out[static LINE_PDU_MAX]);
/* "coil", "discrete", "input", "holding"; false when @name is none. */
bool line_table_from_name(const char *name, enum line_table *ret);
