/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/serial/extract.h"
#include "agent/bus/serial/framer.h"
#include "config/bus/serial_read.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/*
 * The first byte says how frames are made, the others are the line, fed in pieces whose length the second byte says. Every
 * frame is asked for every kind of value.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const reads[] = { "line text",
				     "key a hex",
				     "column 2",
				     "GGA latitude",
				     "RMC speed",
				     "GGA 7 text",
				     "XDR id=A",
				     "byte 3 float32",
				     "byte 0 int64 order=little",
				     "byte 1 uint8 bit=7 when=1:A5" };

struct target {
	const struct tg_serial_bus *bus;
	struct tg_config_device dev;
};

static void hear(void *user, const uint8_t *frame, size_t len)
{
	struct target *t = user;
	/* Where reading beyond the frame is seen. */
	uint8_t *copy = malloc(len ? len : 1);

	assert(copy && len <= t->bus->max_frame);
	memcpy(copy, frame, len);
	for (size_t i = 0; i < TG_ARRAY_SIZE(reads); i++) {
		struct tg_config_point point = { .read = (char *) reads[i] };
		struct tg_sample s = { .quality = TG_STALE };
		struct tg_text_room room;

		if (tg_serial_read_parse(reads[i], &point.serial, NULL) < 0)
			abort();
		if (!tg_serial_is_for(t->bus, &t->dev, copy, len) ||
		    !tg_serial_extract(&t->dev, &point, copy, len, &room, &s))
			continue;
		assert(s.quality == TG_GOOD || (s.quality == TG_BAD && s.reason[0]));
		assert((s.quality == TG_GOOD) == (s.value.type != TG_VALUE_NONE));
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_serial_bus bus = { .delimiter = { "\n", 1 },
				     .start = { { 0xaa, 0x55 }, 2 },
				     .max_frame = 64,
				     .frame_gap_us = 1000,
				     .length_at = 2,
				     .length_size = 1,
				     .length_adds = 4,
				     .length_order = TG_SERIAL_BIG };
	struct target t = { .bus = &bus,
			    .dev = { .serial = { .talker = (char *) "",
						 .match = (char *) "",
						 .separator = { ",", 1 },
						 .assign = { "=", 1 } } } };
	struct tg_framer f;
	uint64_t now = 5000;

	if (len < 2)
		return 0;
	bus.framing = (enum tg_serial_framing)(data[0] & 3);
	bus.crc = (enum tg_serial_crc)((data[0] >> 2 & 15) % (TG_SERIAL_CRC32 + 1));
	bus.checksum_required = data[0] & 0x40;
	bus.frame_length = data[0] & 0x80 ? 12 : 0;
	if (tg_framer_init(&f, &bus) < 0)
		return 0;
	tg_framer_reset(&f, 1000);
	for (size_t at = 2, n; at < len; at += n, now += 700) {
		n = 1 + data[1] % 32;
		n = n < len - at ? n : len - at;
		tg_framer_feed(&f, data + at, n, now, hear, &t);
		assert(f.len <= bus.max_frame);
	}
	tg_framer_tick(&f, now + 2000);
	tg_framer_done(&f);
	return 0;
}
