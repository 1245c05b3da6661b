/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * What SAE J1939 makes of CAN: identifiers (J1939-21, 5.2) and the ranges of
 * values that say something else (J1939-71, 5.1.4). Pure.
 */

/* Of an identifier of 29 bits: the parameter group, without the destination where there is one. Never fails. */
uint32_t tg_j1939_pgn(uint32_t id);
/* The sender's address. Never fails. */
uint8_t tg_j1939_source(uint32_t id);

/* The part of an identifier that the messages of @pgn have in common, and the bits that it is in. Never fails. */
uint32_t tg_j1939_id(uint32_t pgn);
uint32_t tg_j1939_mask(uint32_t pgn);

/*
 * NULL when @raw of @bits is a value, or why it is none: "not available". Fields of 8 bits and more whose length is a
 * multiple of four have the upper byte for it (0xFB to 0xFF), shorter and odd ones the two largest values, single bits none.
 */
const char *tg_j1939_verdict(uint64_t raw, unsigned bits);
