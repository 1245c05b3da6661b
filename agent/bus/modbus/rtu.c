/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Modbus over a serial line.
 *
 * Without libmodbus, which keeps no silence between frames, filters by unit
 * after the fact, takes what a late device said for the answer to the next
 * request, and waits by byte time-outs that adapters break. What a frame is,
 * is rtu_frame.h's; here is time, all of it computed from the line's rate:
 *
 *	silence		before each request, at least 3.5 characters or `gap`, more after writes (`turnaround`)
 *	request		written at once; it takes its characters' time to leave
 *	answer		its first byte within the device's time-out of that, the rest as fast as the line carries it,
 *			with a quarter and SLACK_US to spare
 *
 * A frame ends where its length says. Silence ends only what is wrong, and
 * generously (QUIET_US): 3.5 characters are nothing to a USB adapter.
 *
 * A line has no transaction numbers. After a time-out the answer may still come, and would pass for that of the next request
 * of the same form to the same unit. So for as long again as the time-out, and LATE_MIN_US at least, that unit is asked
 * nothing of that form but the same once more, to which a late answer is an answer too. Once it has answered that, one answer more is under way
 * than was asked for: each late one is counted off when it comes, or waited for. Other units are told apart by their
 * number, and need not wait.
 */
#include "agent/bus/modbus/rtu_frame.h"
#include "agent/bus/modbus/transport.h"
#include "agent/bus/tty.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNITS 256
/* Section 2.5.1.1: above 19200 baud the silence stays what it is there. */
#define FAST_BAUD   19200
#define FAST_GAP_US 1750
#define QUIET_US                                                                                   \
	(50 * TG_US_PER_MS) /* within a frame; adapters hold bytes back for 16 ms, schedulers too */
#define SLACK_US    (100 * TG_US_PER_MS) /* of a whole answer */
/* How long after its time-out an answer may still come, where the time-out itself is shorter: behind an adapter and on a
 * busy machine it is later than the line alone makes it. */
#define LATE_MIN_US (250 * TG_US_PER_MS)
#define STRAY_READS 64                   /* of what came unasked, before each look at the clock */
#define HINT_MAX    160

struct tg_modbus_link {
	const struct tg_modbus_rtu_bus *cfg;
	int fd;           /* -1 while the port is not open */
	uint64_t free_us; /* the line is taken until then, with the silence that belongs to it */
	uint64_t doubt_us[UNITS];         /* until when late answers may come */
	unsigned owed[UNITS];             /* how many */
	struct tg_modbus_request late;    /* to which request */
	uint8_t stray[TG_MODBUS_RTU_MAX]; /* what came since the last one */
	size_t stray_len;
	bool proved;                 /* a frame has come since the port was opened */
	bool echoes;                 /* our own requests came back */
	uint64_t strays;             /* bytes thrown away, since open */
	struct tg_tty_faults faults; /* when the port was opened */
	char hint[HINT_MAX];
};

/* An answer under way. */
struct reception {
	const struct tg_modbus_request *q;
	uint8_t own[TG_MODBUS_RTU_MAX]; /* the request as sent */
	size_t own_len;
	uint8_t *buf;
	size_t len;
	bool heard;        /* anything at all */
	uint64_t first_us; /* of what is in buf */
	uint64_t last_us;  /* the last byte */
	uint64_t timeout_us;
	uint64_t deadline_us;    /* of the first byte */
	uint64_t end_us;         /* of the last */
	struct tg_fault foreign; /* what came instead, code 0: nothing */
};

static uint64_t chars_us(const struct tg_modbus_link *link, size_t chars)
{
	return tg_tty_time_us(&link->cfg->line, chars);
}

static uint64_t gap_us(const struct tg_modbus_link *link)
{
	uint64_t gap = link->cfg->line.baud > FAST_BAUD ? FAST_GAP_US : chars_us(link, 7) / 2;

	return gap > link->cfg->gap_us ? gap : link->cfg->gap_us;
}

static uint64_t quiet_us(const struct tg_modbus_link *link)
{
	uint64_t gap = chars_us(link, 4);

	return gap > QUIET_US ? gap : QUIET_US;
}

static uint64_t lateness_us(uint64_t timeout_us)
{
	return timeout_us > LATE_MIN_US ? timeout_us : LATE_MIN_US;
}

/* --- the port --- */

static void lose_port(struct tg_modbus_link *link)
{
	link->fd = tg_tty_close(link->fd);
}

static int gone(struct tg_modbus_link *link, int error, struct tg_fault *reterr)
{
	lose_port(link);
	return tg_fault_set(reterr, -ENOTCONN, "not connected: %s has gone (%s)",
			    link->cfg->line.port, strerror(error));
}

static int make_ready(struct tg_modbus_link *link, struct tg_fault *reterr)
{
	int r;

	if (link->fd >= 0)
		return 0;
	r = tg_tty_open(&link->cfg->line, &link->fd, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "not connected");
		if (reterr)
			reterr->code = -ENOTCONN;
		return -ENOTCONN;
	}
	link->proved = link->echoes = false;
	link->free_us = tg_us_add(tg_clock_boot_us(), gap_us(link));
	if (tg_tty_faults_get(link->fd, &link->faults) < 0)
		link->faults = (struct tg_tty_faults){ 0 };
	return 0;
}

/* Waits for input or until @until_us. Returns 1 when there is something to read, 0, or -errno of a port that has gone. */
static int wait_input(const struct tg_modbus_link *link, uint64_t until_us)
{
	uint64_t now = tg_clock_boot_us(), left = until_us > now ? until_us - now : 0;
	const struct timespec ts = {
		.tv_sec = (time_t) (left / TG_US_PER_S),
		.tv_nsec = (long) (left % TG_US_PER_S * 1000),
	};
	struct pollfd p = { .fd = link->fd, .events = POLLIN };
	int r = ppoll(&p, 1, &ts, NULL);

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (r > 0 && !(p.revents & POLLIN))
		return -EIO;
	return r;
}

/* Returns the bytes read, 0 when there are none, or -errno of a port that has gone. */
static ssize_t read_port(const struct tg_modbus_link *link, uint8_t *to, size_t size)
{
	ssize_t n = read(link->fd, to, size);

	if (n > 0)
		return n;
	if (n == 0)
		return -EIO;
	return tg_tty_is_gone(errno) ? -errno : 0;
}

/* --- before a request --- */

static void clear_doubt(struct tg_modbus_link *link, uint8_t unit)
{
	link->doubt_us[unit] = 0;
	link->owed[unit] = 0;
}

/* What a unit says when nobody listens any more: its late answers, perhaps in pieces. */
static void settle_doubt(struct tg_modbus_link *link, const uint8_t *bytes, size_t n)
{
	uint8_t unit = link->late.unit;
	size_t at, len;

	if (link->owed[unit] == 0 || n > sizeof(link->stray) - link->stray_len)
		return;
	memcpy(link->stray + link->stray_len, bytes, n);
	link->stray_len += n;
	while (link->owed[unit] > 0 && tg_modbus_rtu_find(&link->late, link->stray, link->stray_len,
							  true, &at, &len) == TG_RTU_FOUND) {
		link->stray_len -= at + len;
		memmove(link->stray, link->stray + at + len, link->stray_len);
		if (--link->owed[unit] == 0)
			clear_doubt(link, unit);
	}
}

/* Throws away what came unasked, and notes that the line was taken. Returns 0 or -errno of a port that has gone. */
static int drop_strays(struct tg_modbus_link *link)
{
	for (unsigned i = 0; i < STRAY_READS; i++) {
		uint8_t stray[TG_MODBUS_RTU_MAX];
		ssize_t n = read_port(link, stray, sizeof(stray));

		if (n <= 0)
			return (int) n;
		settle_doubt(link, stray, (size_t) n);
		link->strays += (uint64_t) n;
		link->free_us = tg_us_add(tg_clock_boot_us(), gap_us(link));
	}
	return 0;
}

/* Whether an answer to @late would look like one to @q, without being one. */
static bool is_alike(const struct tg_modbus_request *q, const struct tg_modbus_request *late)
{
	if (q->unit == late->unit &&
	    (q->function != late->function ||
	     tg_modbus_rtu_answer_len(q) != tg_modbus_rtu_answer_len(late)))
		return false;
	return !tg_modbus_is_same(q, late);
}

static uint64_t turn_us(const struct tg_modbus_link *link, const struct tg_modbus_request *q)
{
	uint64_t doubt = link->doubt_us[q->unit];

	return doubt > link->free_us && is_alike(q, &link->late) ? doubt : link->free_us;
}

/* Waits until the line has been silent long enough, at most until @deadline_us. */
static int wait_turn(struct tg_modbus_link *link, const struct tg_modbus_request *q,
		     uint64_t deadline_us, struct tg_fault *reterr)
{
	for (;;) {
		uint64_t now = tg_clock_boot_us(), until;
		int r = drop_strays(link);

		if (r < 0)
			return gone(link, -r, reterr);
		until = turn_us(link, q);
		if (now >= until)
			return 0;
		if (now >= deadline_us)
			return tg_fault_set(reterr, -EBUSY,
					    "the line is never silent: somebody talks all the "
					    "time");
		r = wait_input(link, until < deadline_us ? until : deadline_us);
		if (r < 0)
			return gone(link, -r, reterr);
	}
}

/* --- a request --- */

static int send_request(struct tg_modbus_link *link, struct reception *rx, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us(), taken = chars_us(link, rx->own_len);
	size_t answer = tg_modbus_rtu_answer_len(rx->q);
	ssize_t n = write(link->fd, rx->own, rx->own_len);

	if (n < 0 && errno != EAGAIN)
		return gone(link, errno, reterr);
	/* A frame fits into the buffer of a port that is sending. */
	if (n != (ssize_t) rx->own_len) {
		lose_port(link);
		return tg_fault_set(reterr, -EIO, "%s does not send", link->cfg->line.port);
	}

	rx->deadline_us = tg_us_add(now + taken, rx->timeout_us);
	rx->end_us = tg_us_add(rx->deadline_us, chars_us(link, answer) * 5 / 4 + SLACK_US);
	link->free_us = tg_us_add(now + taken, gap_us(link));
	link->stray_len = 0;
	return 0;
}

/* --- an answer --- */

/* Where the line echoes, what comes first is the request. Of reads it is harmless, of writes it looks like the answer. */
static void strip_echo(struct tg_modbus_link *link, struct reception *rx)
{
	if (!(link->cfg->echo || link->echoes) || !tg_modbus_is_write(rx->q) || rx->own_len == 0 ||
	    rx->len < rx->own_len || memcmp(rx->buf, rx->own, rx->own_len) != 0)
		return;
	rx->len -= rx->own_len;
	memmove(rx->buf, rx->buf + rx->own_len, rx->len);
	rx->own_len = 0;
}

/* A write's echo is as long as its answer or longer: until it is there, nothing is known. */
static bool is_echo_awaited(const struct tg_modbus_link *link, const struct reception *rx)
{
	return (link->cfg->echo || link->echoes) && tg_modbus_is_write(rx->q) && rx->own_len > 0 &&
	       rx->len < rx->own_len && memcmp(rx->buf, rx->own, rx->len) == 0;
}

/* Returns bytes read, 0, or -errno of a port that has gone. */
static int take_input(struct tg_modbus_link *link, struct reception *rx)
{
	ssize_t n = read_port(link, rx->buf + rx->len, TG_MODBUS_WIRE_MAX - rx->len);

	if (n <= 0)
		return (int) n;
	rx->last_us = tg_clock_boot_us();
	if (rx->len == 0)
		rx->first_us = rx->last_us;
	rx->heard = true;
	rx->len += (size_t) n;
	strip_echo(link, rx);
	return (int) n;
}

/* Until when to wait for more, as far as is known. */
static uint64_t patience_of(const struct tg_modbus_link *link, const struct reception *rx)
{
	uint64_t quiet;

	if (rx->len == 0)
		return rx->deadline_us;
	quiet = tg_us_add(rx->last_us, quiet_us(link));
	return quiet < rx->end_us ? quiet : rx->end_us;
}

/* Nothing more comes of what is there. Returns 0 to go on waiting, or why not. */
static int give_up_frame(struct tg_modbus_link *link, struct reception *rx, struct tg_fault *reterr)
{
	struct tg_fault fault = { 0 };
	int r = tg_modbus_rtu_judge(rx->q, rx->buf, rx->len, &fault);

	link->proved = link->proved || r == -EAGAIN || r == -EPROTO;
	if (rx->len == TG_MODBUS_WIRE_MAX)
		return tg_fault_set(reterr, -EPROTO, "wrong answer: babble, more than %d bytes",
				    TG_MODBUS_WIRE_MAX);
	if (r != -EAGAIN)
		return tg_fault_set(reterr, r, "%s%s", fault.text,
				    r == -EBADMSG && !link->proved ? ": wrong baud or parity?"
								   : "");
	/* The answer may still follow. */
	rx->foreign = fault;
	rx->len = 0;
	return 0;
}

static int tell_silence(struct tg_modbus_link *link, const struct reception *rx,
			struct tg_fault *reterr)
{
	/* Only the same is asked again while answers are owed, or what looks different. */
	if (link->doubt_us[rx->q->unit] <= rx->deadline_us - rx->timeout_us ||
	    !tg_modbus_is_same(rx->q, &link->late))
		link->owed[rx->q->unit] = 0;
	link->owed[rx->q->unit]++;
	link->doubt_us[rx->q->unit] = tg_us_add(rx->deadline_us, lateness_us(rx->timeout_us));
	link->late = *rx->q;
	link->late.data = NULL;
	if (rx->foreign.code != 0)
		return tg_fault_set(reterr, -EPROTO, "%s", rx->foreign.text);
	return tg_fault_set(reterr, -ETIMEDOUT, "timeout");
}

/* An answer came, and may have been a late one to the same request: then its own is still under way. */
static void settle_answer(struct tg_modbus_link *link, const struct reception *rx)
{
	uint8_t unit = rx->q->unit;

	/* As it was when this was asked, not when the answer was read. */
	if (link->doubt_us[unit] <= rx->deadline_us - rx->timeout_us)
		clear_doubt(link, unit);
	else if (tg_modbus_is_same(rx->q, &link->late))
		link->doubt_us[unit] = tg_us_add(rx->deadline_us, lateness_us(rx->timeout_us));
}

/* The frame at @at is the answer. */
static int accept_frame(struct tg_modbus_link *link, struct reception *rx, size_t at, size_t len,
			struct tg_modbus_answer *out, struct tg_fault *reterr)
{
	link->proved = true;
	if (at == rx->own_len && at > 0 && memcmp(rx->buf, rx->own, at) == 0)
		link->echoes = true;
	if (rx->len > at + len)
		link->strays += rx->len - at - len;
	settle_answer(link, rx);
	out->boot_us = rx->first_us;
	return tg_modbus_pdu_answer(rx->q, rx->buf + at + 1, len - 3, &out->data, reterr);
}

static int receive(struct tg_modbus_link *link, struct reception *rx, struct tg_modbus_answer *out,
		   struct tg_fault *reterr)
{
	for (;;) {
		uint64_t until = patience_of(link, rx), now;
		enum tg_modbus_rtu_find found = TG_RTU_MORE;
		size_t at = 0, len = 0;
		/* Also past its time: a thread that was kept waiting reads what has come before it judges. */
		int r = wait_input(link, until);
		bool over;

		if (r > 0)
			r = take_input(link, rx);
		if (r < 0)
			return gone(link, -r, reterr);
		now = tg_clock_boot_us();
		over = rx->len == TG_MODBUS_WIRE_MAX || now >= rx->end_us ||
		       (r == 0 && now >= until);

		if (rx->len > 0 && !is_echo_awaited(link, rx))
			found = tg_modbus_rtu_find(rx->q, rx->buf, rx->len, over, &at, &len);
		if (found == TG_RTU_FOUND)
			return accept_frame(link, rx, at, len, out, reterr);
		if (over && rx->len == 0)
			return tell_silence(link, rx, reterr);
		if (over) {
			r = give_up_frame(link, rx, reterr);
			if (r < 0)
				return r;
		}
	}
}

static int rtu_transact(struct tg_modbus_link *link, const struct tg_modbus_request *q,
			uint64_t timeout_us, struct tg_modbus_answer *out, struct tg_fault *reterr)
{
	struct reception rx = { .q = q, .buf = out->wire, .timeout_us = timeout_us };
	int r;

	r = make_ready(link, reterr);
	if (r < 0)
		return r;
	r = wait_turn(link, q,
		      tg_us_add(tg_clock_boot_us(),
				link->cfg->turnaround_us + gap_us(link) +
					2 * lateness_us(timeout_us)),
		      reterr);
	if (r < 0)
		return r;
	rx.own_len = tg_modbus_rtu_request(q, rx.own);
	r = send_request(link, &rx, reterr);
	if (r == 0) {
		r = receive(link, &rx, out, reterr);
		/* The port went behind the request: unlike without a port, the unit may have done it. */
		if (r == -ENOTCONN && tg_modbus_is_write(q))
			r = -EIO;
	}
	if (link->fd >= 0)
		link->free_us = tg_us_add(
			rx.heard ? rx.last_us : tg_clock_boot_us(),
			gap_us(link) + (tg_modbus_is_write(q) ? link->cfg->turnaround_us : 0));
	return r;
}

/* --- birth and death --- */

static uint64_t rtu_setup_us(const struct tg_modbus_link *link)
{
	(void) link;
	return 0;
}

static uint64_t rtu_request_us(const struct tg_modbus_link *link, uint64_t timeout_us)
{
	uint64_t frames = chars_us(link, 2 * TG_MODBUS_RTU_MAX) * 5 / 4;

	/* Once before the request, for silence, and once behind it. */
	return timeout_us + 2 * lateness_us(timeout_us) + frames + SLACK_US + gap_us(link) +
	       link->cfg->turnaround_us;
}

static const char *rtu_hint(struct tg_modbus_link *link)
{
	struct tg_tty_faults f;
	char line[24];

	link->hint[0] = '\0';
	if (link->proved || link->fd < 0)
		return link->hint;
	(void) tg_tty_describe(&link->cfg->line, line);
	if (tg_tty_faults_get(link->fd, &f) == 0 &&
	    (f.framing != link->faults.framing || f.parity != link->faults.parity))
		(void) snprintf(link->hint, sizeof(link->hint),
				"; the port sees framing or parity errors: is the line %s?", line);
	else
		(void) snprintf(link->hint, sizeof(link->hint),
				"; nothing has been heard on this line yet: is it %s? A and B the "
				"right way round?",
				line);
	return link->hint;
}

static void rtu_describe(struct tg_modbus_link *link, char *out, size_t size)
{
	char line[24];

	(void) tg_tty_describe(&link->cfg->line, line);
	(void) snprintf(out, size, "%s%s%s", line, link->fd < 0 ? ", port not open" : "",
			link->echoes && !link->cfg->echo ? ", the line echoes: echo = yes" : "");
}

static void rtu_close(struct tg_modbus_link *link)
{
	if (!link)
		return;
	lose_port(link);
	free(link);
}

static int rtu_open(const struct tg_config_bus *bus, struct tg_modbus_link **ret,
		    struct tg_fault *reterr)
{
	struct tg_modbus_link *link = calloc(1, sizeof(*link));

	if (!link)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	link->cfg = &bus->modbus_rtu;
	link->fd = -1;
	*ret = link;
	return 0;
}

const struct tg_modbus_transport tg_modbus_rtu = {
	.open = rtu_open,
	.transact = rtu_transact,
	.setup_us = rtu_setup_us,
	.request_us = rtu_request_us,
	.hint = rtu_hint,
	.describe = rtu_describe,
	.close = rtu_close,
};
