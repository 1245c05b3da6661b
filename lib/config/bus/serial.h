/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/text_form.h"
#include "config/bus/tty.h"

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of serial lines and what is said on them. */

enum tg_serial_framing { TG_SERIAL_LINES, TG_SERIAL_NMEA, TG_SERIAL_LENGTH, TG_SERIAL_SOF };
/* Named as in the catalogue of parametrised CRC algorithms. */
enum tg_serial_crc {
	TG_SERIAL_CRC_NONE,
	TG_SERIAL_SUM8,
	TG_SERIAL_XOR8,
	TG_SERIAL_CRC8_SMBUS,
	TG_SERIAL_CRC8_MAXIM,
	TG_SERIAL_CRC16_MODBUS,
	TG_SERIAL_CRC16_XMODEM,
	TG_SERIAL_CRC16_IBM_3740, /* known as CCITT-FALSE */
	TG_SERIAL_CRC16_KERMIT,
	TG_SERIAL_CRC32,
};
enum tg_serial_order { TG_SERIAL_USUAL, TG_SERIAL_BIG, TG_SERIAL_LITTLE };

enum tg_serial_source {
	TG_SERIAL_WHOLE,    /* the line */
	TG_SERIAL_KEY,      /* what stands behind NAME= */
	TG_SERIAL_COLUMN,   /* the field, from 1 */
	TG_SERIAL_SENTENCE, /* of NMEA 0183: the field behind the address, from 1 */
	TG_SERIAL_XDR,      /* the value of the transducer of this name in an XDR sentence */
	TG_SERIAL_BYTES,    /* of a binary frame */
};
enum tg_serial_number {
	TG_SERIAL_UINT,
	TG_SERIAL_INT,
	TG_SERIAL_FLOAT,
};

#define TG_SERIAL_WHEN_MAX  8 /* bytes that say which kind of frame it is */
#define TG_SERIAL_FRAME_MAX 4096

struct tg_serial_read {
	enum tg_serial_source source;
	struct tg_slice name; /* key, sentence, transducer */
	uint16_t at;          /* column, field, byte */
	struct tg_text_form form;
	bool angle;     /* ddmm.mm, and in the next field N S E W */
	bool needs_fix; /* bad while the sentence says that it is not valid */
	/* bytes */
	enum tg_serial_number number;
	uint8_t width; /* 1, 2, 4 or 8 */
	bool little;
	int bit; /* -1: the whole */
	uint16_t when_at;
	uint8_t when_len, when[TG_SERIAL_WHEN_MAX];
};

struct tg_serial_bytes {
	uint8_t data[8];
	uint8_t len;
};

struct tg_serial_device {
	char *talker;                             /* "": any */
	char *match;                              /* lines that begin so; "": all */
	struct tg_serial_bytes separator, assign; /* one byte each */
};

struct tg_serial_bus {
	struct tg_tty_line line;
	enum tg_serial_framing framing;
	struct tg_serial_bytes delimiter, start;
	bool checksum_required; /* NMEA 0183 */
	unsigned max_frame;
	uint64_t frame_gap_us;
	/* Binary: the whole frame has frame_length bytes, or as many as its length field says and length_adds. */
	unsigned frame_length, length_at, length_size, length_adds;
	enum tg_serial_order length_order;
	enum tg_serial_crc crc;
	enum tg_serial_order crc_order;
	unsigned crc_from; /* the first byte that it covers */
};

/* Bytes that the check value @crc takes: 0, 1, 2 or 4. Never fails. */
static inline unsigned tg_serial_crc_size(enum tg_serial_crc crc)
{
	if (crc == TG_SERIAL_CRC_NONE)
		return 0;
	if (crc <= TG_SERIAL_CRC8_MAXIM)
		return 1;
	return crc == TG_SERIAL_CRC32 ? 4 : 2;
}
