/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/serial.h"

#include <tidegate/error.h>

/*
 * The `read` of a point on a serial line, and the bytes of its framing. Pure.
 *
 *	line [FORM]                what the line says as a whole
 *	key NAME [FORM]            of `NAME=VALUE` pairs
 *	column N [FORM]            of columns, from 1
 *	SENTENCE FIELD [FORM]      NMEA 0183: FIELD is a number from 1, or a name: RMC speed
 *	XDR id=NAME                the value of that transducer
 *	byte N TYPE [order=big|little] [bit=N] [when=OFFSET:HEX]
 *
 * FORM is that of read_word.h. TYPE: uint8 int8 uint16 int16 uint32 int32 uint64 int64 float32
 * float64. Slices of the result point into @text.
 */

/* Returns 0, or -EINVAL with what is wrong and what was probably meant in @reterr. */
int tg_serial_read_parse(const char *text, struct tg_serial_read *ret,
			 struct tg_fault *reterr) TG_CHECKED;
/* "lf", "cr", "crlf", "\r\n", "\x03", ";" to bytes; at most 8. Returns 0 or -EINVAL. */
int tg_serial_escape_parse(const char *text, struct tg_serial_bytes *ret,
			   struct tg_fault *reterr) TG_CHECKED;
/* "AA 55" or "aa55" to bytes; at most @max. Returns 0 or -EINVAL. */
int tg_serial_hex_parse(const char *text, size_t len, uint8_t *out, size_t max, uint8_t *ret_len,
			struct tg_fault *reterr) TG_CHECKED;
