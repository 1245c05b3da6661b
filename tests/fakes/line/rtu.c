/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/line/rtu.h"

#include "tests/fakes/line/speed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define NS_PER_US  1000u
#define SLOW_BAUD  19200   /* above it the silence is fixed (Serial Line V1.02, 2.5.1.1) */
#define FAST_QUIET 1750000 /* ns */
#define HUNG_UP_NS 2000000 /* how often a port that nobody has open is looked at */

void line_rtu_set_speed(struct line_rtu *l, unsigned baud, unsigned bits)
{
	l->baud = baud;
	l->bits = bits;
	l->char_ns = 1000000000u * (uint64_t) bits / baud;
	l->silence_ns = baud > SLOW_BAUD ? FAST_QUIET : l->char_ns * 7 / 2;
}

static bool make_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return false;
	cfmakeraw(&t);
	return tcsetattr(fd, TCSANOW, &t) == 0;
}

bool line_rtu_plug(struct line_rtu *l)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 ||
	    ptsname_r(fd, l->port, sizeof(l->port)) != 0 || !make_raw(fd)) {
		if (fd >= 0)
			(void) close(fd);
		return false;
	}
	if (l->link) {
		(void) unlink(l->link);
		if (symlink(l->port, l->link) < 0) {
			(void) close(fd);
			return false;
		}
	}
	l->fd = fd;
	l->n_in = 0;
	l->spoiled = l->hung_up = false;
	l->in_start_ns = l->in_end_ns = l->quiet_ns = l->out_ns = 0;
	return true;
}

void line_rtu_unplug(struct line_rtu *l)
{
	if (l->fd < 0)
		return;
	if (l->link)
		(void) unlink(l->link);
	(void) close(l->fd);
	l->fd = -1;
	line_station_hush(l->station, -1);
}

/* --- what the units hear --- */

static bool is_our_speed(const struct line_rtu *l)
{
	return !l->other_parity && line_speed_of(l->fd) == l->baud;
}

/* The echo of an adapter that hears itself: each byte while it is sent. */
static void play_echo(struct line_rtu *l, const uint8_t *bytes, size_t n, uint64_t start_ns)
{
	struct line_tape *t = line_station_tape(l->station);

	if (!t)
		return;
	memcpy(t->reply.bytes, bytes, n);
	t->reply.len = n;
	t->reply.segments[0] = (struct line_segment){ .len = n };
	t->reply.n = 1;
	t->reply.end = LINE_END_NONE;
	t->reply.deaf_us = 0;
	t->echo = true;
	t->next_ns = start_ns + l->char_ns;
}

static void take_bytes(struct line_rtu *l, const uint8_t *bytes, size_t n, uint64_t now)
{
	uint64_t start = now > l->in_end_ns ? now : l->in_end_ns;

	if (l->n_in == 0) {
		l->in_start_ns = start;
		l->spoiled = false;
		if (start < l->quiet_ns + l->silence_ns) {
			l->station->stats.early++;
			l->spoiled = true;
		}
	}
	if (n > sizeof(l->in) - l->n_in) {
		n = sizeof(l->in) - l->n_in;
		l->spoiled = true;
	}
	memcpy(l->in + l->n_in, bytes, n);
	l->n_in += n;
	l->in_end_ns = start + n * l->char_ns;
	if (l->in_end_ns > l->quiet_ns)
		l->quiet_ns = l->in_end_ns;
	l->station->stats.heard += n;
	if (l->echo)
		play_echo(l, bytes, n, start);
}

static bool is_frame(const struct line_rtu *l)
{
	uint16_t crc;

	if (l->n_in < 4)
		return false;
	crc = line_crc(l->in, l->n_in - 2);
	return l->in[l->n_in - 2] == (uint8_t) crc && l->in[l->n_in - 1] == crc >> 8;
}

static void hear_frame(struct line_rtu *l)
{
	struct line_entry e = { .start_us = l->in_start_ns / NS_PER_US,
				.end_us = l->in_end_ns / NS_PER_US,
				.unit = l->in[0],
				.function = l->in[1] };
	struct line_exchange x = { .kind = LINE_RTU, .unit = l->in[0], .asked_len = l->n_in };
	struct line_tape *t;
	uint64_t delay_us = 0;

	if (!is_our_speed(l)) {
		l->station->stats.mismatched++;
		return;
	}
	if (l->spoiled)
		return;
	if (!is_frame(l)) {
		l->station->stats.broken++;
		return;
	}
	memcpy(x.asked, l->in, l->n_in);
	t = line_station_hear(l->station, &x, l->in + 1, l->n_in - 3, e, &delay_us);
	if (!t)
		return;
	if (t->reply.n > 0)
		delay_us += t->reply.segments[0].pause_us;
	t->next_ns = l->in_end_ns + l->silence_ns + delay_us * NS_PER_US + l->char_ns;
}

static void read_host(struct line_rtu *l)
{
	uint8_t bytes[LINE_ADU_MAX];
	ssize_t n = read(l->fd, bytes, sizeof(bytes));

	if (n > 0)
		take_bytes(l, bytes, (size_t) n, line_now_ns());
	l->hung_up = n < 0 && errno == EIO;
}

/* --- what the units say --- */

static bool is_jammed(const struct line_rtu *l, const struct line_tape *t)
{
	uint64_t from = t->next_ns - l->char_ns;

	if (t->echo)
		return false;
	return (l->in_end_ns > from && l->in_start_ns < t->next_ns) ||
	       (l->out_by != t && l->out_ns > from);
}

static void end_tape(struct line_rtu *l, struct line_tape *t)
{
	t->active = false;
	if (t->unit && t->reply.deaf_us > 0)
		t->unit->deaf_until_us = line_now_ns() / NS_PER_US + t->reply.deaf_us;
	if (t->reply.end == LINE_END_UNPLUG)
		line_rtu_unplug(l);
}

/* To the next byte, over pauses. */
static void advance(struct line_rtu *l, struct line_tape *t)
{
	t->next_ns += l->char_ns;
	if (++t->at < t->reply.segments[t->segment].len)
		return;
	t->at = 0;
	if (++t->segment < t->reply.n)
		t->next_ns += t->reply.segments[t->segment].pause_us * NS_PER_US;
}

static void say_byte(struct line_rtu *l, struct line_tape *t)
{
	const struct line_reply *r = &t->reply;
	uint64_t now = line_now_ns();
	uint8_t b;

	if (t->segment >= r->n) {
		end_tape(l, t);
		return;
	}
	b = r->bytes[r->segments[t->segment].at + t->at];
	if (is_jammed(l, t)) {
		l->station->stats.collisions++;
		if (l->n_in > 0)
			l->spoiled = true;
		b ^= 0x55;
	}
	if (!t->echo) {
		l->out_ns = t->next_ns;
		l->out_by = t;
		l->quiet_ns = t->next_ns > now ? t->next_ns : now;
		l->station->stats.said++;
	}
	/* What nobody reads is lost, as in a real port. */
	if (l->fd >= 0 && write(l->fd, &b, 1) < 0 && errno == EIO)
		l->hung_up = true;
	advance(l, t);
	if (t->segment >= r->n)
		end_tape(l, t);
}

void line_rtu_send(struct line_rtu *l, const uint8_t *bytes, size_t n)
{
	uint64_t now = line_now_ns();

	play_echo(l, bytes, n, now > l->in_end_ns ? now : l->in_end_ns);
	/* Not an echo to those who come after. */
	for (size_t i = 0; i < LINE_TAPES; i++) {
		if (l->station->tapes[i].active && l->station->tapes[i].echo)
			l->station->tapes[i].echo = false;
	}
}

/* --- the loop --- */

size_t line_rtu_fds(struct line_rtu *l, struct pollfd *fds)
{
	fds[0] = (struct pollfd){ .fd = l->hung_up ? -1 : l->fd, .events = POLLIN };
	return 1;
}

uint64_t line_rtu_next_ns(const struct line_rtu *l)
{
	uint64_t next = line_station_next_ns(l->station);

	if (l->n_in > 0 && l->in_end_ns + l->silence_ns < next)
		next = l->in_end_ns + l->silence_ns;
	if (l->hung_up && l->fd >= 0 && line_now_ns() + HUNG_UP_NS < next)
		next = line_now_ns() + HUNG_UP_NS;
	return next;
}

void line_rtu_turn(struct line_rtu *l)
{
	uint64_t now;

	if (l->fd >= 0)
		read_host(l);
	now = line_now_ns();
	if (l->fd >= 0 && l->n_in > 0 && now >= l->in_end_ns + l->silence_ns) {
		hear_frame(l);
		l->n_in = 0;
	}
	for (size_t i = 0; i < LINE_TAPES; i++) {
		struct line_tape *t = &l->station->tapes[i];

		while (t->active && t->next_ns <= now)
			say_byte(l, t);
	}
}
