/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/serial_read.h"
#include "config/bus/types.h"
#include "config/rows.h"

#include <errno.h>
#include <string.h>

#define SERIAL TG_BUS_BIT(TG_BUS_SERIAL)

static const struct tg_word framings[] = {
	{ "line", TG_SERIAL_LINES, NULL },
	{ "nmea0183", TG_SERIAL_NMEA, NULL },
	{ "length", TG_SERIAL_LENGTH, NULL },
	{ "sof", TG_SERIAL_SOF, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word checksums[] = {
	{ "required", true, NULL },
	{ "if-present", false, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word crcs[] = {
	{ "none", TG_SERIAL_CRC_NONE, NULL },
	{ "sum8", TG_SERIAL_SUM8, NULL },
	{ "xor8", TG_SERIAL_XOR8, NULL },
	{ "crc8-smbus", TG_SERIAL_CRC8_SMBUS, NULL },
	{ "crc8-maxim", TG_SERIAL_CRC8_MAXIM, NULL },
	{ "crc16-modbus", TG_SERIAL_CRC16_MODBUS, NULL },
	{ "crc16-xmodem", TG_SERIAL_CRC16_XMODEM, NULL },
	{ "crc16-ibm-3740", TG_SERIAL_CRC16_IBM_3740, NULL },
	{ "crc16-kermit", TG_SERIAL_CRC16_KERMIT, NULL },
	{ "crc32", TG_SERIAL_CRC32, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word crc_orders[] = {
	{ "usual", TG_SERIAL_USUAL, NULL },
	{ "big", TG_SERIAL_BIG, NULL },
	{ "little", TG_SERIAL_LITTLE, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word length_orders[] = {
	{ "big", TG_SERIAL_BIG, NULL },
	{ "little", TG_SERIAL_LITTLE, NULL },
	{ NULL, 0, NULL },
};

static int parse_read(const struct tg_config_key *key, char *text, void *base,
		      struct tg_fault *reterr)
{
	struct tg_config_point *point = base;
	int r = tg_serial_read_parse(text, &point->serial, reterr);

	(void) key;
	if (r == 0)
		point->read = text;
	return r;
}

static struct tg_serial_bytes *bytes_of(const struct tg_config_key *key, void *base)
{
	return (struct tg_serial_bytes *) ((char *) base + key->offset);
}

static int parse_escaped(const struct tg_config_key *key, char *text, void *base,
			 struct tg_fault *reterr)
{
	return tg_serial_escape_parse(text, bytes_of(key, base), reterr);
}

static int parse_hex(const struct tg_config_key *key, char *text, void *base,
		     struct tg_fault *reterr)
{
	struct tg_serial_bytes *to = bytes_of(key, base);

	return tg_serial_hex_parse(text, strlen(text), to->data, sizeof(to->data), &to->len,
				   reterr);
}

/* A bool behind words is stored as one byte. */
static int parse_checksum(const struct tg_config_key *key, char *text, void *base,
			  struct tg_fault *reterr)
{
	unsigned value;
	int r = tg_word_parse(text, key->words, &value, reterr);

	if (r == 0)
		*((bool *) base + key->offset) = value;
	return r;
}

static const struct tg_config_type tg_type_serial_read = { "line|key NAME|column N|SENTENCE "
							   "FIELD|byte N TYPE [OPTIONS]",
							   parse_read };
static const struct tg_config_type tg_type_escaped = { "BYTES", parse_escaped };
static const struct tg_config_type tg_type_hex = { "HEX", parse_hex };
static const struct tg_config_type tg_type_checksum = { NULL, parse_checksum };

static const struct tg_config_key keys[] = {
	TG_TTY_ROWS(serial.line, "9600", "none", SERIAL),
	BUS("framing", words, serial.framing, "line", "what the bytes on the line are made of",
	    WORDS(framings), ONLY(SERIAL)),
	BUS("delimiter", escaped, serial.delimiter, "lf", "what ends a line", ONLY(SERIAL)),
	BUS("checksum", checksum, serial.checksum_required, "required",
	    "whether NMEA 0183 sentences must have one", WORDS(checksums), ONLY(SERIAL)),
	BUS("max-frame", unsigned, serial.max_frame, "1024",
	    "bytes of the longest line or frame; longer ones are dropped",
	    RANGE(8, TG_SERIAL_FRAME_MAX), ONLY(SERIAL)),
	BUS("frame-gap", duration, serial.frame_gap_us, "250ms",
	    "silence that ends a frame, whole or not", RANGE(MS, 10 * SECOND), ONLY(SERIAL)),
	BUS("start", hex, serial.start, "", "bytes that each frame begins with, for sof",
	    ONLY(SERIAL)),
	BUS("frame-length", unsigned, serial.frame_length, "0",
	    "bytes of each frame; 0: its length field says", RANGE(0, TG_SERIAL_FRAME_MAX),
	    ONLY(SERIAL)),
	BUS("length-at", unsigned, serial.length_at, "0", "byte at which the length field begins",
	    RANGE(0, 255), ONLY(SERIAL)),
	BUS("length-size", unsigned, serial.length_size, "1", "bytes of the length field",
	    RANGE(1, 2), ONLY(SERIAL)),
	BUS("length-order", words, serial.length_order, "big", "order of its bytes",
	    WORDS(length_orders), ONLY(SERIAL)),
	BUS("length-adds", unsigned, serial.length_adds, "0",
	    "bytes of a frame that its length field does not count", RANGE(0, 255), ONLY(SERIAL)),
	BUS("crc", words, serial.crc, "none", "check value at the end of each frame", WORDS(crcs),
	    ONLY(SERIAL)),
	BUS("crc-order", words, serial.crc_order, "usual", "order of its bytes", WORDS(crc_orders),
	    ONLY(SERIAL)),
	BUS("crc-from", unsigned, serial.crc_from, "0", "first byte that it covers", RANGE(0, 255),
	    ONLY(SERIAL)),

	DEVICE("talker", name, serial.talker, "",
	       "NMEA 0183 talker whose sentences are its own, as GP; empty: any", LENGTH(2),
	       ONLY(SERIAL)),
	DEVICE("match", text, serial.match, "", "what its lines begin with; empty: all lines",
	       LENGTH(64), ONLY(SERIAL)),
	DEVICE("separator", escaped, serial.separator, ",", "what stands between columns",
	       ONLY(SERIAL)),
	DEVICE("assign", escaped, serial.assign, "=", "what stands between a key and its value",
	       ONLY(SERIAL)),
	DEVICE("gather", duration, gather_us, "200ms",
	       "how long readings are collected for one message", RANGE(0, MINUTE), ONLY(SERIAL)),
	DEVICE("stale-after", duration, stale_after_us, "30s",
	       "silence after which a reading is stale; 0: never", RANGE(0, 30 * DAY),
	       ONLY(SERIAL)),

	POINT("read", serial_read, read, REQUIRED,
	      "what is read: key temp, column 3, RMC speed, byte 4 uint16", ONLY(SERIAL)),
};

#define COMPLAIN(key_, ...) tg_complain(l->doc.complain, tg_section_place(s, key_), __VA_ARGS__)

static void check_length(const struct tg_loaded *l, const struct tg_section *s,
			 const struct tg_serial_bus *b)
{
	unsigned overhead = b->start.len + tg_serial_crc_size(b->crc);

	if (b->frame_length > b->max_frame)
		COMPLAIN("frame-length", "frame-length is longer than max-frame");
	if (b->frame_length && b->frame_length <= overhead)
		COMPLAIN("frame-length", "frame-length leaves no byte beside start and crc");
	if (!b->frame_length && b->length_at < b->start.len)
		COMPLAIN("length-at", "the length field overlaps start: length-at counts from the "
				      "first byte of the frame");
	if (b->crc != TG_SERIAL_CRC_NONE && b->frame_length && b->crc_from >= b->frame_length)
		COMPLAIN("crc-from", "crc-from lies behind the frame");
}

static void check_bus(const struct tg_loaded *l, const struct tg_section *s,
		      const struct tg_config_bus *bus)
{
	const struct tg_serial_bus *b = &bus->serial;
	static const char *const binary[] = { "start",       "frame-length", "length-at",
					      "length-size", "length-order", "length-adds",
					      "crc",         "crc-order",    "crc-from" };

	switch (b->framing) {
	case TG_SERIAL_LENGTH:
	case TG_SERIAL_SOF:
		if ((b->framing == TG_SERIAL_SOF) != (b->start.len > 0))
			COMPLAIN("start", b->start.len ? "start is for framing = sof"
						       : "framing = sof needs start, as AA 55");
		check_length(l, s, b);
		return;
	case TG_SERIAL_LINES:
	case TG_SERIAL_NMEA:
		for (size_t i = 0; i < TG_ARRAY_SIZE(binary); i++) {
			if (tg_section_get(s, binary[i]))
				COMPLAIN(binary[i], "%s is for framing = length and sof",
					 binary[i]);
		}
	}
}

static void check_device(const struct tg_loaded *l, const struct tg_section *s,
			 const struct tg_config_device *dev)
{
	if (dev->serial.separator.len != 1)
		COMPLAIN("separator", "separator: one character");
	if (dev->serial.assign.len != 1)
		COMPLAIN("assign", "assign: one character");
	if (*dev->serial.talker && strlen(dev->serial.talker) != 2)
		COMPLAIN("talker", "talker: two letters, as GP");
}

/* Whether a frame of @framing has what @source takes. */
static bool has(enum tg_serial_framing framing, enum tg_serial_source source)
{
	switch (framing) {
	case TG_SERIAL_LINES:
		return source == TG_SERIAL_WHOLE || source == TG_SERIAL_KEY ||
		       source == TG_SERIAL_COLUMN;
	case TG_SERIAL_NMEA:
		return source == TG_SERIAL_SENTENCE || source == TG_SERIAL_XDR;
	case TG_SERIAL_LENGTH:
	case TG_SERIAL_SOF:
		return source == TG_SERIAL_BYTES;
	}
	return false;
}

static const char *framing_word(enum tg_serial_framing framing)
{
	const struct tg_word *w = framings;

	while (w->word && w->value != framing)
		w++;
	return w->word;
}

static void check_point(const struct tg_loaded *l, const struct tg_section *s,
			const struct tg_config_point *point)
{
	const struct tg_config_device *dev = &l->config.devices[s->parent->index];
	const struct tg_config_bus *bus = &l->config.buses[dev->bus];

	if (has(bus->serial.framing, point->serial.source))
		return;
	COMPLAIN("read", "read = %s is not for framing = %s of bus %s", point->read,
		 framing_word(bus->serial.framing), bus->name);
}

const struct tg_config_bus_keys tg_config_serial_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = SERIAL,
	.check_bus = check_bus,
	.check_device = check_device,
	.check_point = check_point,
};
