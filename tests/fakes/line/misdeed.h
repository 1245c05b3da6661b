/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/fakes/line/unit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What units, adapters and gateways do wrong: a table of named misdeeds.
 *
 * A misdeed takes a right answer and spoils it in one way, at one of three levels: what the unit says (pdu), how it is
 * framed (adu), how it comes over the line (play). Most exist on serial lines and over TCP alike. Pure: an exchange
 * goes in, a reply that says which bytes come after which silence comes out.
 */
#define LINE_REPLY_MAX    16384
#define LINE_SEGMENTS_MAX 1024
#define LINE_ADU_MAX      600 /* spoilt ones are longer than any right one */

enum line_kind { LINE_RTU = 1, LINE_TCP = 2, LINE_BOTH = 3 };
/* What happens when the last byte is out. */
enum line_end { LINE_END_NONE, LINE_END_CLOSE, LINE_END_RESET, LINE_END_UNPLUG };

struct line_segment {
	uint64_t pause_us; /* of silence before its first byte */
	size_t at, len;    /* in bytes[] */
};

struct line_reply {
	uint8_t bytes[LINE_REPLY_MAX];
	size_t len;
	struct line_segment segments[LINE_SEGMENTS_MAX];
	size_t n;
	enum line_end end;
	uint64_t deaf_us; /* the unit hears nothing for so long afterwards */
};

/* One request and the right answer to it. */
struct line_exchange {
	enum line_kind kind;
	unsigned argument; /* of the misdeed */
	uint8_t unit;
	uint16_t transaction, protocol; /* TCP */
	int length_off;                 /* TCP: added to the length of the header */
	uint8_t asked[LINE_ADU_MAX];    /* the whole frame of the request */
	size_t asked_len;
	uint8_t pdu[LINE_ADU_MAX]; /* of the answer */
	size_t pdu_len;
	const uint8_t *before; /* the PDU of the answer before; NULL: none */
	size_t before_len;
};

struct line_misdeed {
	const char *name, *what;
	enum line_kind kinds;
	void (*pdu)(struct line_exchange *x);
	void (*adu)(const struct line_exchange *x, uint8_t *adu, size_t *len);
	void (*play)(const struct line_exchange *x, const uint8_t *adu, size_t len,
		     struct line_reply *r);
};

/* NULL when @name is none that @kind has. */
const struct line_misdeed *line_misdeed_find(const char *name, enum line_kind kind);
/* The @i-th of all, NULL behind the last. */
const struct line_misdeed *line_misdeed_at(size_t i);
/* The reply to @x; @m may be NULL: the right one. Spoils @x. */
void line_misdeed_commit(const struct line_misdeed *m, struct line_exchange *x,
			 struct line_reply *ret);

/* CRC-16 of Modbus over Serial Line V1.02, appendix B; bit by bit. Low byte first on the wire. */
uint16_t line_crc(const uint8_t *bytes, size_t len);
/* The frame of @x as it should be; returns its length. */
size_t line_frame(const struct line_exchange *x, uint8_t out[static LINE_ADU_MAX]);
