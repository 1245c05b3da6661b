/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>
#include <tidegate/sample.h>

/*
 * Between the bytes of Modbus registers and values.
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

/* Whether @table is read by the bit. Never fails. */
bool tg_modbus_is_bits(enum tg_modbus_table table);
/* Whether the value shares its registers with others, so that they are read before it is written. Never fails. */
bool tg_modbus_is_part(const struct tg_modbus_read *r);

/*
 * Decodes one register value of @p from @wire (2 * tg_modbus_read_span() bytes, as they came).
 * Sets value, quality and reason of @out and nothing else; the value is raw, the reason a constant. Not
 * a number, or infinite: bad. A string goes to @text (TG_MODBUS_STRING_MAX + 1 bytes; may be NULL for other types), up to its
 * first NUL, without the blanks at its end, printable.
 */
void tg_modbus_decode(const struct tg_config_point *p, const uint8_t *wire, char *text,
		      struct tg_sample *out);
/* The same for one bit of a coil or discrete input. */
void tg_modbus_decode_bit(const struct tg_config_point *p, bool bit, struct tg_sample *out);
/*
 * The other way: puts @v into @wire, as many bytes; those of a part (tg_modbus_is_part()) hold what was read there and keep
 * the rest of it. Returns 0, -ERANGE when the type cannot hold @v, -EINVAL when @v is none of its kind.
 */
int tg_modbus_encode(const struct tg_modbus_read *r, const struct tg_value *v, uint8_t *wire,
		     struct tg_fault *reterr) TG_CHECKED;
/* The same for a coil. */
int tg_modbus_encode_bit(const struct tg_value *v, bool *ret, struct tg_fault *reterr) TG_CHECKED;
