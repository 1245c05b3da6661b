/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/serial/framer.h"

#include "agent/bus/serial/crc.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * A start that is found inside a frame that failed is tried, too. A line of nothing but starts would have a check
 * value computed for every byte: so many for each feed, and then the whole is thrown away.
 */
#define CHECKS_PER_FEED 64

int tg_framer_init(struct tg_framer *f, const struct tg_serial_bus *cfg)
{
	*f = (struct tg_framer){ .cfg = cfg, .data = malloc(cfg->max_frame) };
	return f->data ? 0 : -ENOMEM;
}

void tg_framer_done(struct tg_framer *f)
{
	free(f->data);
	f->data = NULL;
}

static bool is_binary(const struct tg_framer *f)
{
	return f->cfg->framing == TG_SERIAL_LENGTH || f->cfg->framing == TG_SERIAL_SOF;
}

/* NMEA 0183 and frames with start bytes show where they begin. */
static bool shows_start(const struct tg_framer *f)
{
	return f->cfg->framing == TG_SERIAL_NMEA || f->cfg->framing == TG_SERIAL_SOF;
}

void tg_framer_reset(struct tg_framer *f, uint64_t now_us)
{
	f->len = 0;
	f->skipping = false;
	f->in_step = shows_start(f);
	f->last_us = now_us;
}

static void drop_first(struct tg_framer *f, size_t n)
{
	f->len -= n;
	memmove(f->data, f->data + n, f->len);
}

uint64_t tg_framer_due_us(const struct tg_framer *f)
{
	/* People type lines slowly: only its delimiter ends one. */
	bool begun = f->len > 0 && f->cfg->framing != TG_SERIAL_LINES;

	return begun || f->skipping || !f->in_step ? tg_us_add(f->last_us, f->cfg->frame_gap_us)
						   : TG_US_FOREVER;
}

void tg_framer_tick(struct tg_framer *f, uint64_t now_us)
{
	if (now_us < tg_framer_due_us(f))
		return;
	if (f->len)
		f->counts.partial++;
	f->len = 0;
	f->skipping = false;
	f->in_step = true;
}

/* --- lines --------------------------------------------------------------------------------------
 */

static void end_line(struct tg_framer *f, tg_frame_fn fn, void *user)
{
	size_t len = f->len - f->cfg->delimiter.len;
	bool whole = f->in_step && !f->skipping;

	/* Who says \n often sends \r\n. */
	if (f->cfg->delimiter.data[0] == '\n' && len && f->data[len - 1] == '\r')
		len--;
	f->len = 0;
	f->skipping = false;
	f->in_step = true;
	if (!whole || len == 0)
		return;
	f->counts.frames++;
	fn(user, f->data, len);
}

static bool ends_line(const struct tg_framer *f)
{
	const struct tg_serial_bytes *d = &f->cfg->delimiter;

	return f->len >= d->len && memcmp(f->data + f->len - d->len, d->data, d->len) == 0;
}

static void feed_line(struct tg_framer *f, uint8_t byte, tg_frame_fn fn, void *user)
{
	if (f->len == f->cfg->max_frame) {
		if (!f->skipping && f->in_step)
			f->counts.too_long++;
		f->skipping = true;
		/* The delimiter may be under way. */
		drop_first(f, f->len - (f->cfg->delimiter.len - 1u));
	}
	f->data[f->len++] = byte;
	if (ends_line(f))
		end_line(f, fn, user);
}

/* --- NMEA 0183 ----------------------------------------------------------------------------------
 */

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* *@ret_len: without the checksum. NMEA 0183: two hexadecimal digits behind *, the exclusive or of what is between $ and *. */
static bool is_sound(const struct tg_framer *f, size_t *ret_len)
{
	const uint8_t *star = memchr(f->data, '*', f->len);
	size_t body = star ? (size_t) (star - f->data) : f->len;
	int high, low;

	*ret_len = body;
	if (!star)
		return !f->cfg->checksum_required;
	if (f->len - body != 3)
		return false;
	high = hex_digit(star[1]);
	low = hex_digit(star[2]);
	return high >= 0 && low >= 0 &&
	       tg_serial_check(TG_SERIAL_XOR8, f->data + 1, body - 1) ==
		       (uint32_t) (high << 4 | low);
}

static void end_sentence(struct tg_framer *f, tg_frame_fn fn, void *user)
{
	size_t len;

	if (!is_sound(f, &len)) {
		f->counts.checksum++;
	} else {
		f->counts.frames++;
		fn(user, f->data, len);
	}
	f->len = 0;
}

static void feed_sentence(struct tg_framer *f, uint8_t byte, tg_frame_fn fn, void *user)
{
	if (byte == '$' || byte == '!') {
		if (f->len)
			f->counts.partial++;
		f->len = 0;
		f->skipping = false;
		f->data[f->len++] = byte;
		return;
	}
	if (f->len == 0) {
		if (!f->skipping && byte != '\r' && byte != '\n')
			f->counts.stray++;
		return;
	}
	if (byte == '\r' || byte == '\n') {
		end_sentence(f, fn, user);
	} else if (byte < 0x20 || byte > 0x7e) {
		/* No character of the standard: noise, or another baud rate. */
		f->counts.partial++;
		f->len = 0;
	} else if (f->len == f->cfg->max_frame) {
		f->counts.too_long++;
		f->len = 0;
		f->skipping = true;
	} else {
		f->data[f->len++] = byte;
	}
}

/* --- binary frames ------------------------------------------------------------------------------
 */

/* Throws away what cannot begin a frame. */
static void find_start(struct tg_framer *f)
{
	const struct tg_serial_bytes *start = &f->cfg->start;
	size_t at = 0;

	while (at < f->len) {
		size_t left = f->len - at;

		if (memcmp(f->data + at, start->data, left < start->len ? left : start->len) == 0)
			break;
		at++;
	}
	f->counts.stray += at;
	drop_first(f, at);
}

/* Bytes of the frame that begins at f->data; 0: not known yet; SIZE_MAX: none can be so long or so short. */
static size_t whole_length(const struct tg_framer *f)
{
	const struct tg_serial_bus *c = f->cfg;
	size_t least = c->start.len + tg_serial_crc_size(c->crc) + 1u,
	       end = c->length_at + c->length_size;
	size_t len;

	if (c->frame_length)
		return c->frame_length;
	if (f->len < end)
		return end > c->max_frame ? SIZE_MAX : 0;
	len = f->data[c->length_at];
	if (c->length_size == 2) {
		unsigned next = f->data[c->length_at + 1];

		len = c->length_order == TG_SERIAL_LITTLE ? len | next << 8 : len << 8 | next;
	}
	len += c->length_adds;
	return len < least || len < end || len > c->max_frame ? SIZE_MAX : len;
}

static bool is_checked(struct tg_framer *f, size_t len)
{
	size_t size = tg_serial_crc_size(f->cfg->crc), from = f->cfg->crc_from;
	uint8_t want[4];

	if (size == 0)
		return true;
	if (from >= len - size)
		return false;
	tg_serial_check_bytes(
		f->cfg, tg_serial_check(f->cfg->crc, f->data + from, len - size - from), want);
	return memcmp(f->data + len - size, want, size) == 0;
}

/* The frame at f->data is none. With start bytes the next one may be inside; without, the next begins behind a silence. */
static void give_up(struct tg_framer *f)
{
	if (f->cfg->framing == TG_SERIAL_SOF && f->checks > 0) {
		drop_first(f, 1);
		find_start(f);
		return;
	}
	f->len = 0;
	f->in_step = f->cfg->framing == TG_SERIAL_SOF;
}

/* Returns false when more bytes are needed. */
static bool take_frame(struct tg_framer *f, tg_frame_fn fn, void *user)
{
	size_t len = f->len ? whole_length(f) : 0;

	if (len == 0 || (len != SIZE_MAX && f->len < len))
		return false;
	if (f->checks > 0)
		f->checks--;
	if (len == SIZE_MAX) {
		f->counts.too_long++;
		give_up(f);
		return true;
	}
	if (!is_checked(f, len)) {
		f->counts.checksum++;
		give_up(f);
		return true;
	}
	f->counts.frames++;
	fn(user, f->data, len);
	drop_first(f, len);
	if (f->cfg->framing == TG_SERIAL_SOF)
		find_start(f);
	return true;
}

static void feed_binary(struct tg_framer *f, uint8_t byte, tg_frame_fn fn, void *user)
{
	if (!f->in_step) {
		f->counts.stray++;
		return;
	}
	f->data[f->len++] = byte;
	if (f->cfg->framing == TG_SERIAL_SOF && f->len <= f->cfg->start.len)
		find_start(f);
	while (take_frame(f, fn, user))
		;
}

void tg_framer_feed(struct tg_framer *f, const uint8_t *data, size_t len, uint64_t now_us,
		    tg_frame_fn fn, void *user)
{
	tg_framer_tick(f, now_us);
	f->checks = CHECKS_PER_FEED;
	for (size_t i = 0; i < len; i++) {
		if (is_binary(f))
			feed_binary(f, data[i], fn, user);
		else if (f->cfg->framing == TG_SERIAL_NMEA)
			feed_sentence(f, data[i], fn, user);
		else
			feed_line(f, data[i], fn, user);
	}
	if (len)
		f->last_us = now_us;
}
