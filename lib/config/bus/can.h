/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of CAN interfaces, nodes and signals. */

#define TG_CAN_MUX    3    /* nested multiplexers of one signal */
#define TG_CAN_FRAME  64   /* bytes of the longest frame, CAN FD */
#define TG_J1939_SIZE 1785 /* bytes of the longest group, SAE J1939-21: 255 packets of 7 */
#define TG_CAN_ANY    (-1) /* as a source: from whomever it comes */

enum tg_can_kind { TG_CAN_UNSIGNED, TG_CAN_SIGNED, TG_CAN_FLOAT, TG_CAN_BOOL, TG_CAN_TEXT };

/*
 * Where bits are, in the numbering of DBC files: bit 0 is the lowest of byte 0, bit 8 the lowest of byte 1. @start is the
 * lowest bit of a little-endian (Intel, @1) field and the highest of a big-endian (Motorola, @0) one.
 */
struct tg_can_field {
	uint16_t start;
	uint16_t length; /* 1 to 64; of a text in bits as well, 0: as far as the data go */
	bool big;
};

/* The signal is there only when @field has a value in first..last. */
struct tg_can_mux {
	struct tg_can_field field; /* at most 16 bits */
	uint16_t first, last;
};

/* `read = id=0x123 start=0 length=16 order=big` and `read = pgn=61444 24|16@1+`. */
struct tg_can_read {
	bool j1939;    /* @id is a PGN */
	bool plain;    /* J1939 without its ranges: every value is one */
	bool extended; /* 29 bits; always with j1939 */
	uint32_t id;
	int source; /* J1939 address, or TG_CAN_ANY */
	enum tg_can_kind kind;
	struct tg_can_field field;
	uint64_t request_us; /* J1939: the group is asked for so often; 0: never */
	unsigned n_mux;
	struct tg_can_mux mux[TG_CAN_MUX];
};

struct tg_can_device {
	int source; /* of its points that name none; TG_CAN_ANY */
};

struct tg_can_bus {
	char *interface;
	unsigned address; /* J1939: the gateway's, when it asks */
};
