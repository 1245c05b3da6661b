/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = exec`: programs that print readings, for whatever has
 * no driver of its own. One is run at each `every` and read to its end, or
 * kept running and listened to.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/exec/child.h"
#include "agent/bus/exec/line.h"
#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define OUTPUT_MAX   (256 * 1024) /* bytes of one run */
#define RESTART_US   TG_US_PER_S
#define RESTART_MAX  6 /* doublings: a program that always ends is started about once a minute */
#define PROVEN_US    (60 * TG_US_PER_S) /* who ran for so long begins again at RESTART_US */
#define STOP_US      (2 * TG_US_PER_S)
#define COMPLAIN_MAX 200
#define UNIT_MAX     24 /* of what the program says */
#define LOG_BURST    5
#define LOG_US       (600 * TG_US_PER_S)

struct program {
	const struct tg_config_device *dev;
	struct tg_exec_words words;
	struct tg_child child;
	uint64_t start_us; /* when it was started, or is to be */
	unsigned failures;
	char **texts;                   /* of each point, of the last poll */
	char reason[TG_REASON_MAX + 1]; /* of those that it did not name */
	char last_words[COMPLAIN_MAX];  /* on standard error */
	struct tg_log_limit limit;
};

struct tg_bus {
	const struct tg_config *cfg;
	const struct tg_config_bus *bus_cfg;
	struct program *programs; /* of the devices on this bus */
	size_t n_programs;
	int epoll;
	bool more; /* lines wait in our own memory */
	uint64_t lines, bad_lines, unknown;
};

/* --- lines --- */

static void complain(struct program *p, const char *what, const char *text)
{
	if (tg_log_allowed(&p->limit, tg_clock_boot_us(), LOG_BURST, LOG_US))
		tg_log(LOG_NOTICE, "exec", "%s: %s: %s", p->dev->name, what, text);
}

static void hear_complaints(struct program *p)
{
	char text[COMPLAIN_MAX];

	tg_child_complaint(&p->child, text, sizeof(text));
	if (!text[0])
		return;
	(void) snprintf(p->last_words, sizeof(p->last_words), "%s", text);
	complain(p, "standard error", text);
}

/* When the reading was taken. Returns false for a time that the boot clock cannot tell: it is not made fresh. */
static bool stamp(const struct tg_exec_line *line, struct tg_sample *s)
{
	int64_t age;

	s->boot_us = tg_clock_boot_us();
	if (!line->has_time)
		return true;
	age = tg_clock_wall_us() - line->time_us;
	if (age < -(int64_t) TG_US_PER_S || age > (int64_t) TG_STAMP_AGE_MAX_US)
		return false;
	s->boot_us = tg_clock_boot_from_real_us(line->time_us);
	return true;
}

/* Both units are told, as one of them is to be changed. They are words of others. */
static const char *other_unit(const char *theirs, const char *ours, char reason[TG_REASON_MAX + 1])
{
	char unit[UNIT_MAX];

	(void) tg_printable(unit, sizeof(unit), theirs, strlen(theirs));
	(void) snprintf(reason, TG_REASON_MAX + 1, "another unit: the program says %s, unit = %s",
			unit, ours);
	return reason;
}

/* @reason is the room for a reason that is made here. */
static struct tg_sample sample_of(const struct tg_exec_line *line,
				  const struct tg_config_point *point,
				  char reason[TG_REASON_MAX + 1])
{
	struct tg_sample s = {
		.point = point->name, .unit = point->unit, .reason = "", .quality = TG_GOOD
	};

	s.value = line->value;
	if (!stamp(line, &s))
		s.reason = "its time lies ahead, or more than an hour back";
	else if (line->value.type == TG_VALUE_NONE)
		s.reason = line->reason;
	else if (*line->unit && *point->unit && strcmp(line->unit, point->unit) != 0)
		s.reason = other_unit(line->unit, point->unit, reason);
	if (*s.reason) {
		s.quality = TG_BAD;
		s.value = (struct tg_value){ .type = TG_VALUE_NONE };
	}
	return s;
}

typedef void (*take_fn)(void *user, struct program *p, size_t point, const struct tg_sample *s);

/* Hands on what @text says. */
static void take_line(struct tg_bus *bus, struct program *p, char *text, take_fn take, void *user)
{
	struct tg_fault why = { .text = "" };
	char reason[TG_REASON_MAX + 1];
	struct tg_exec_line line;
	int r = tg_exec_line_parse(text, &line, &why);
	bool known = false;

	bus->lines++;
	if (r < 0) {
		bus->bad_lines++;
		complain(p, "line not understood", why.text);
	}
	if (r <= 0)
		return;
	for (size_t i = 0; i < p->dev->n_points; i++) {
		struct tg_sample s;

		if (strcmp(p->dev->points[i].read, line.name) != 0)
			continue;
		known = true;
		s = sample_of(&line, &p->dev->points[i], reason);
		take(user, p, i, &s);
	}
	bus->unknown += !known;
}

/* All whole lines that are there, at most @most. Returns how many. */
static unsigned take_lines(struct tg_bus *bus, struct program *p, unsigned most, take_fn take,
			   void *user)
{
	char text[TG_EXEC_LINE_MAX + 1];
	unsigned n = 0;

	while (n < most) {
		int r = tg_child_line(&p->child, text, sizeof(text));

		if (r == 0)
			break;
		n++;
		if (r > 0) {
			take_line(bus, p, text, take, user);
			continue;
		}
		bus->bad_lines++;
		complain(p, "line thrown away", "it is too long, or holds a NUL byte");
	}
	return n;
}

/* --- at an interval --- */

static void forget_texts(struct program *p)
{
	for (size_t i = 0; p->texts && i < p->dev->n_points; i++) {
		free(p->texts[i]);
		p->texts[i] = NULL;
	}
}

/* Into the samples of a poll, whose texts must outlive the line. */
static void keep(void *user, struct program *p, size_t point, const struct tg_sample *s)
{
	struct tg_sample *out = user;
	bool is_text = s->value.type == TG_VALUE_TEXT;
	const char *text = is_text ? s->value.text : s->reason;
	char *copy = strndup(text, is_text ? TG_TEXT_MAX + 1 : TG_REASON_MAX);

	free(p->texts[point]);
	p->texts[point] = copy;
	out[point].value = s->value;
	out[point].quality = copy ? s->quality : TG_BAD;
	out[point].reason = copy && !is_text ? copy : copy ? "" : "out of memory";
	out[point].boot_us = s->boot_us;
	if (is_text && copy)
		out[point].value.text = copy;
}

static void wait_for_child(const struct tg_child *c, uint64_t deadline_us)
{
	struct pollfd fds[] = {
		{ .fd = c->out, .events = POLLIN },
		{ .fd = c->err, .events = POLLIN },
		{ .fd = c->pidfd, .events = POLLIN },
	};

	(void) poll(fds, TG_ARRAY_SIZE(fds), tg_us_to_poll_ms(tg_clock_boot_us(), deadline_us));
}

/* Reads until the program ends. Returns 0, -ETIMEDOUT or -EMSGSIZE. */
static int follow(struct tg_bus *bus, struct program *p, struct tg_sample *out,
		  struct tg_fault *reterr)
{
	uint64_t deadline = tg_us_add(p->start_us, p->dev->timeout_us);
	size_t total = 0;

	for (;;) {
		bool ended = tg_child_has_ended(&p->child);
		ssize_t n = tg_child_read(&p->child);

		if (n > 0)
			total += (size_t) n;
		(void) take_lines(bus, p, UINT32_MAX, keep, out);
		hear_complaints(p);
		if (total > OUTPUT_MAX)
			return tg_fault_set(reterr, -EMSGSIZE, "it prints more than %d bytes",
					    OUTPUT_MAX);
		if (ended && n <= 0)
			return 0;
		if (tg_clock_boot_us() >= deadline)
			return tg_fault_set(reterr, -ETIMEDOUT,
					    "timeout: it did not end within %" PRIu64 " ms",
					    p->dev->timeout_us / TG_US_PER_MS);
		if (n <= 0)
			wait_for_child(&p->child, deadline);
	}
}

/* Points that were not named, and why. Returns how many were. */
static size_t blame(struct program *p, struct tg_sample *out)
{
	char end[40];
	size_t named = 0;

	(void) tg_child_end_words(&p->child, end, sizeof(end));
	if (end[0] && p->last_words[0])
		(void) snprintf(p->reason, sizeof(p->reason), "%s: %.50s", end, p->last_words);
	else
		(void) snprintf(p->reason, sizeof(p->reason), "%s",
				end[0] ? end : "the program did not print it");
	for (size_t i = 0; i < p->dev->n_points; i++) {
		if (p->texts[i] || out[i].quality == TG_GOOD) {
			named++;
			continue;
		}
		out[i].quality = TG_BAD;
		out[i].reason = p->reason;
		out[i].boot_us = tg_clock_boot_us();
	}
	return named;
}

static struct program *find_program(struct tg_bus *bus, const struct tg_config_device *dev)
{
	struct program *p = bus->programs;

	while (p->dev != dev)
		p++;
	return p;
}

static int exec_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *user,
		     unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	struct program *p = find_program(bus, dev);
	int r;

	(void) user;
	(void) retries;
	forget_texts(p);
	p->last_words[0] = '\0';
	for (size_t i = 0; i < dev->n_points; i++)
		out[i].quality = TG_BAD;
	p->start_us = tg_clock_boot_us();
	r = tg_child_start(&p->child, &p->words, bus->bus_cfg->exec.directory, dev->name, reterr);
	if (r < 0)
		return r;
	r = follow(bus, p, out, reterr);
	if (r == 0 && blame(p, out) == 0)
		r = tg_fault_set(reterr, -EIO, "%s", p->reason);
	tg_child_stop(&p->child);
	return r;
}

/* --- kept running --- */

static uint64_t wake_us(const struct tg_bus *bus)
{
	uint64_t wake = TG_US_FOREVER;

	if (bus->more)
		return 0;
	for (size_t i = 0; i < bus->n_programs; i++) {
		const struct program *p = &bus->programs[i];

		if (p->dev->exec.running && p->child.pid == 0 && p->start_us < wake)
			wake = p->start_us;
	}
	return wake;
}

static int exec_listen_fd(struct tg_bus *bus, uint64_t *ret_wake_us)
{
	*ret_wake_us = wake_us(bus);
	return bus->epoll;
}

struct hearing {
	const struct tg_bus_ear *ear;
};

static void pass_on(void *user, struct program *p, size_t point, const struct tg_sample *s)
{
	const struct hearing *h = user;

	h->ear->heard(h->ear->user, p->dev, point, s);
}

/* Every point says why there is nothing. */
static void tell_end(struct program *p, const char *reason, const struct tg_bus_ear *ear)
{
	for (size_t i = 0; i < p->dev->n_points; i++) {
		const struct tg_sample s = {
			.point = p->dev->points[i].name,
			.unit = p->dev->points[i].unit,
			.reason = reason,
			.quality = TG_BAD,
			.boot_us = tg_clock_boot_us(),
		};

		ear->heard(ear->user, p->dev, i, &s);
	}
	complain(p, "program ended", reason);
}

static void start_again_later(struct program *p)
{
	uint64_t now = tg_clock_boot_us();

	if (now - p->start_us >= PROVEN_US)
		p->failures = 0;
	p->start_us = now + (RESTART_US << p->failures);
	if (p->failures < RESTART_MAX)
		p->failures++;
}

static void start(struct tg_bus *bus, struct program *p, const struct tg_bus_ear *ear)
{
	struct tg_fault why = { .text = "" };
	int r = tg_child_start(&p->child, &p->words, bus->bus_cfg->exec.directory, p->dev->name,
			       &why);
	const int fds[] = { p->child.out, p->child.err, p->child.pidfd };

	p->start_us = tg_clock_boot_us();
	p->last_words[0] = '\0';
	for (size_t i = 0; r == 0 && i < TG_ARRAY_SIZE(fds); i++) {
		struct epoll_event e = { .events = EPOLLIN };

		if (epoll_ctl(bus->epoll, EPOLL_CTL_ADD, fds[i], &e) < 0)
			r = tg_fault_set(&why, -errno, "epoll: %s", strerror(errno));
	}
	if (r == 0)
		return;
	tg_child_stop(&p->child);
	(void) tg_printable(p->reason, sizeof(p->reason), why.text, strlen(why.text));
	tell_end(p, p->reason, ear);
	start_again_later(p);
}

static void end(struct program *p, const struct tg_bus_ear *ear)
{
	char words[40];

	(void) tg_child_end_words(&p->child, words, sizeof(words));
	(void) snprintf(p->reason, sizeof(p->reason), "the program has ended: %s%s%.50s",
			words[0] ? words : "exit status 0", p->last_words[0] ? ": " : "",
			p->last_words);
	tg_child_stop(&p->child);
	start_again_later(p);
	tell_end(p, p->reason, ear);
}

/* One turn of a program that is kept running, for at most @most lines. Returns how many it took. */
static unsigned attend(struct tg_bus *bus, struct program *p, unsigned most,
		       const struct tg_bus_ear *ear)
{
	struct hearing h = { .ear = ear };
	ssize_t got = 0;
	unsigned n;
	bool ended;

	if (most == 0) {
		bus->more = true;
		return 0;
	}

	if (p->child.pid == 0) {
		if (tg_clock_boot_us() >= p->start_us)
			start(bus, p, ear);
		return 0;
	}
	ended = tg_child_has_ended(&p->child);
	n = take_lines(bus, p, most, pass_on, &h);
	if (n < most) {
		got = tg_child_read(&p->child);
		n += take_lines(bus, p, most - n, pass_on, &h);
	}
	hear_complaints(p);
	/* What waits in memory wakes nobody. */
	bus->more |= n == most;
	if (ended && n == 0 && got <= 0)
		end(p, ear);
	return n;
}

static int exec_listen(struct tg_bus *bus, const struct tg_bus_ear *ear, struct tg_fault *reterr)
{
	unsigned left = TG_LISTEN_MAX;

	(void) reterr;
	bus->more = false;
	for (size_t i = 0; i < bus->n_programs; i++) {
		struct program *p = &bus->programs[i];

		if (p->dev->exec.running)
			left -= attend(bus, p, left, ear);
	}
	return 0;
}

/* --- birth and death --- */

static bool exec_asked(struct tg_bus *bus, const struct tg_config_device *dev)
{
	(void) bus;
	return !dev->exec.running;
}

static uint64_t exec_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *plan)
{
	(void) bus;
	(void) plan;
	return dev->timeout_us + STOP_US;
}

static void exec_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	*out = (struct tg_bus_note){ .requests = bus->lines, .errors = bus->bad_lines };
	if (bus->unknown)
		(void) snprintf(out->text, sizeof(out->text),
				"%" PRIu64 " lines with names that no point has", bus->unknown);
}

static void exec_close(struct tg_bus *bus)
{
	if (!bus)
		return;
	for (size_t i = 0; i < bus->n_programs; i++) {
		struct program *p = &bus->programs[i];

		tg_child_stop(&p->child);
		forget_texts(p);
		free(p->texts);
		tg_exec_words_done(&p->words);
	}
	free(bus->programs);
	tg_closep(&bus->epoll);
	free(bus);
}

static int add_program(struct program *p, const struct tg_config_device *dev,
		       struct tg_fault *reterr)
{
	p->dev = dev;
	p->child = (struct tg_child) TG_CHILD_NONE;
	p->texts = calloc(dev->n_points ? dev->n_points : 1, sizeof(*p->texts));
	if (!p->texts)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	return tg_exec_words_split(dev->exec.command, &p->words, reterr);
}

static int exec_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
		     struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));
	size_t n = 0;
	int r = 0;

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = cfg;
	bus->bus_cfg = &cfg->buses[index];
	bus->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (bus->epoll < 0)
		r = tg_fault_set(reterr, -errno, "epoll: %s", strerror(errno));
	for (size_t i = 0; i < cfg->n_devices; i++)
		n += cfg->devices[i].bus == index;
	bus->programs = calloc(n + 1, sizeof(*bus->programs));
	if (!bus->programs)
		r = tg_fault_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < cfg->n_devices; i++) {
		if (cfg->devices[i].bus == index)
			r = add_program(&bus->programs[bus->n_programs++], &cfg->devices[i],
					reterr);
	}
	if (r < 0) {
		exec_close(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

const struct tg_bus_driver tg_exec_driver = {
	.name = "exec",
	.type = TG_BUS_EXEC,
	.open = exec_open,
	.patience_us = exec_patience_us,
	.asked = exec_asked,
	.poll = exec_poll,
	.listen_fd = exec_listen_fd,
	.listen = exec_listen,
	.describe = exec_describe,
	.close = exec_close,
};
