/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/sample.h>

/*
 * From the bytes that a Modbus device sent to a value.
 *
 * Registers are decoded here and not by libmodbus, whose 3.1.6 has the
 * setters of its float orders wrong and knows no 8-byte values. The name of an
 * order is how the bytes of a value, A the most significant, follow each
 * other on the wire:
 *
 *		2 bytes	4 bytes	8 bytes
 *	ABCD	AB	ABCD	ABCDEFGH	big-endian throughout, as the standard has it
 *	CDAB	AB	CDAB	GHEFCDAB	words swapped: the least significant word first
 *	BADC	BA	BADC	BADCFEHG	bytes of every word swapped
 *	DCBA	BA	DCBA	HGFEDCBA	little-endian throughout
 *
 * Pure: no I/O, no allocation, no clock. Any thread.
 */

/* Registers (or bits, of coils and discrete inputs) that a value takes: 1, 2 or 4. Never fails. */
unsigned tg_modbus_width(enum tg_modbus_type type);
/* Whether @table is read by the bit. Never fails. */
bool tg_modbus_is_bits(enum tg_modbus_table table);

/*
 * Decodes one register value of @p from @wire (2 * tg_modbus_width() bytes, as they came).
 * Sets value, quality and reason of @out and nothing else; the value is raw, the reason a constant. Not
 * a number, or infinite: bad.
 */
void tg_modbus_decode(const struct tg_config_point *p, const uint8_t *wire, struct tg_sample *out);
/* The same for one bit of a coil or discrete input. */
void tg_modbus_decode_bit(const struct tg_config_point *p, bool bit, struct tg_sample *out);
