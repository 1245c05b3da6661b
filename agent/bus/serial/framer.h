/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/serial.h"

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes of a serial line to frames: lines, NMEA 0183 sentences, or binary
 * frames with a length. Pure; the caller reads, and tells the time.
 *
 * A line that was joined in its middle begins with half a frame, and half a
 * number looks like a number. So what has no checksum of its own (lines, frames without start bytes) counts
 * from the first delimiter or the first silence of frame_gap on. Silence also ends
 * what is incomplete, so that a frame that lost a byte costs no more than itself and the next.
 *
 * What is wrong is counted by kind and thrown away: nothing of a frame that failed is
 * ever handed out. Memory is max_frame; work per byte is bounded, whatever comes.
 */
struct tg_framer_counts {
	uint64_t frames;   /* handed out */
	uint64_t checksum; /* wrong or missing check value */
	uint64_t too_long; /* longer than max_frame, or a length that cannot be */
	uint64_t partial;  /* begun and not finished */
	uint64_t stray;    /* bytes between frames */
};

struct tg_framer {
	const struct tg_serial_bus *cfg;
	uint8_t *data;
	size_t len;
	bool in_step;     /* what comes next begins a frame */
	bool skipping;    /* a line or sentence that is too long: until its end */
	uint64_t last_us; /* of the last byte; 0: none yet */
	unsigned checks;  /* that may still be computed for the bytes of one feed */
	struct tg_framer_counts counts;
};
#define TG_FRAMER_NULL                                                                             \
	{                                                                                          \
		.data = NULL                                                                       \
	}

/* Of one frame: a line without its end, a sentence from $ or ! to what is before *, a binary frame with all its bytes. */
typedef void (*tg_frame_fn)(void *user, const uint8_t *frame, size_t len);

/* @cfg is kept. Returns 0 or -ENOMEM. */
int tg_framer_init(struct tg_framer *f, const struct tg_serial_bus *cfg) TG_CHECKED;
void tg_framer_done(struct tg_framer *f);
/* The port was opened at @now_us: forgets what it has, but not the counts. */
void tg_framer_reset(struct tg_framer *f, uint64_t now_us);
/* Takes @len bytes that came at @now_us, which never goes back. Calls @fn for each whole frame. Never fails. */
void tg_framer_feed(struct tg_framer *f, const uint8_t *data, size_t len, uint64_t now_us,
		    tg_frame_fn fn, void *user);
/* When silence ends the frame under way; TG_US_FOREVER when there is none. Never fails. */
uint64_t tg_framer_due_us(const struct tg_framer *f);
/* To be called then, or at any time. */
void tg_framer_tick(struct tg_framer *f, uint64_t now_us);
