/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

#include <stddef.h>

/*
 * The `read` of a point on a CAN bus. Pure.
 *
 *	id=ID [extended] FIELD [KIND] [mux=FIELD:VALUE[-LAST]]...
 *	pgn=PGN [source=ADDRESS] FIELD [KIND] [plain] [request=DURATION] [mux=...]...
 *
 * FIELD is start=BIT length=BITS [order=little|big], or as DBC files have it
 * BIT|BITS@ORDER[SIGN]: @1 little-endian, @0 big-endian, + unsigned, - signed
 * (Vector's "DBC File Format Documentation"). Within mux= only the second
 * form. KIND: unsigned signed float bool text; without one a single bit is a
 * bool and more are unsigned. An ID beyond 0x7ff, or with bit 31 as in DBC
 * files, is one of 29 bits.
 */

/* Returns 0, or -EINVAL with what is wrong in @reterr ("'lenght=16': unknown word, did you mean 'length'?"). */
int tg_can_read_parse(const char *text, struct tg_can_read *ret,
		      struct tg_fault *reterr) TG_CHECKED;

/* Bytes that must be there for @f; of a text without a length those in front of it and one more. Never fails. */
size_t tg_can_field_bytes(const struct tg_can_field *f);
