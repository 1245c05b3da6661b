/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/j1939.h"

#define PF_BROADCAST 240u /* PDU format from which on the PDU specific byte is part of the group's number */

static const char not_available[] = "not available";
static const char error[] = "the sender reports an error";

static uint32_t pdu_format(uint32_t pgn)
{
	return pgn >> 8 & 0xff;
}

uint32_t tg_j1939_pgn(uint32_t id)
{
	uint32_t pgn = id >> 8 & 0x3ffff;

	return pdu_format(pgn) < PF_BROADCAST ? pgn & ~UINT32_C(0xff) : pgn;
}

uint8_t tg_j1939_source(uint32_t id)
{
	return (uint8_t) id;
}

uint32_t tg_j1939_id(uint32_t pgn)
{
	return pgn << 8;
}

uint32_t tg_j1939_mask(uint32_t pgn)
{
	return pdu_format(pgn) < PF_BROADCAST ? 0x3ff0000 : 0x3ffff00;
}

const char *tg_j1939_verdict(uint64_t raw, unsigned bits)
{
	uint64_t top = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

	if (bits < 2)
		return NULL;
	if (bits < 8 || bits % 4)
		return raw == top ? not_available : raw == top - 1 ? error : NULL;
	switch (raw >> (bits - 8)) {
	case 0xff:
		return not_available;
	case 0xfe:
		return error;
	case 0xfd:
	case 0xfc:
		return "a reserved value";
	case 0xfb:
		return "a parameter-specific indicator";
	default:
		return NULL;
	}
}
