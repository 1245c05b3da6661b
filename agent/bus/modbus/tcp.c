/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The driver of `type = modbus-tcp`: libmodbus behind struct tg_bus_driver.
 *
 * One connection for all units behind one server, one request at a time. The
 * rule that keeps answers and requests together is that doubt costs the
 * connection: after a time-out or an answer that is not right in every
 * field it is closed, so what arrives late arrives nowhere. That a server closes an
 * idle connection is normal, and answered by one silent reconnect.
 *
 * libmodbus waits for the answer and collects it; the request, the connection
 * and the verdict are ours (modbus_adu.h and tcp.h say why). Its byte time-out is off, so
 * that the response time-out covers the whole answer: with it, a device that dribbles could take
 * two minutes for one.
 */
#include "agent/bus/drivers.h"
#include "agent/bus/modbus/adu.h"
#include "agent/bus/modbus/plan.h"
#include "agent/bus/modbus/value.h"
#include "agent/bus/tcp.h"
#include "base/clock.h"

#include <errno.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define FORGET_US                                                                                  \
	(600 * TG_US_PER_S) /* a device may have been repaired: how often the uncut blocks are     \
			       tried again */
#define BUSY_PAUSE_US (100 * TG_US_PER_MS)
#define TIMEOUT_MAX_S 3600
#define STRAY_MAX     4096 /* bytes nobody asked for; more is babble and costs the connection */
#define SILENT_MAX    2 /* blocks that time out in one poll before the rest is not asked any more */

struct tg_bus {
	const struct tg_config_bus *cfg;
	modbus_t *ctx; /* its socket is -1 while not connected */
	uint16_t transaction;
	bool used; /* this connection has carried an answer */
	uint64_t last_us;
	char reason[TG_REASON_MAX + 1]; /* of a failed poll */
};

struct device_plan {
	struct tg_modbus_plan *blocks;
	uint64_t forget_us; /* 0: nothing to forget */
	size_t requests;    /* that one poll is given time for, each with all its retries */
};

/* One poll under way. */
struct round {
	struct tg_bus *bus;
	const struct tg_config_device *dev;
	struct tg_modbus_plan *plan;
	struct tg_sample *out;
	uint64_t deadline_us;
	unsigned may_retry; /* each request */
	unsigned retries;   /* spent */
	unsigned silent;  /* blocks */
	bool answered;
};

/* --- the connection --- */

static bool is_connected(const struct tg_bus *bus)
{
	return modbus_get_socket(bus->ctx) >= 0;
}

static void disconnect(struct tg_bus *bus)
{
	if (is_connected(bus))
		modbus_close(bus->ctx);
	/* 3.1.6 forgets a socket that it closed; newer ones are told all the same. */
	(void) modbus_set_socket(bus->ctx, -1);
}

static void pause_until(uint64_t boot_us)
{
	struct timespec ts = {
		.tv_sec = (time_t) (boot_us / TG_US_PER_S),
		.tv_nsec = (long) (boot_us % TG_US_PER_S * 1000),
	};

	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static int connect_bus(struct tg_bus *bus, struct tg_fault *reterr)
{
	int fd, r;

	r = tg_tcp_connect(bus->cfg->modbus_tcp.host, bus->cfg->modbus_tcp.port,
			   bus->cfg->modbus_tcp.connect_timeout_us, &fd, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "not connected");
		if (reterr)
			reterr->code = -ENOTCONN;
		return -ENOTCONN;
	}
	(void) modbus_set_socket(bus->ctx, fd);
	bus->used = false;
	if (bus->cfg->modbus_tcp.connect_delay_us > 0)
		pause_until(tg_clock_boot_us() + bus->cfg->modbus_tcp.connect_delay_us);
	return 0;
}

/* Drops what came unasked. Returns false when the connection is of no more use: closed by the
 * server, or a babbler. */
static bool is_quiet(struct tg_bus *bus)
{
	char stray[STRAY_MAX];
	ssize_t n = recv(modbus_get_socket(bus->ctx), stray, sizeof(stray), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	return n > 0 && (size_t) n < sizeof(stray);
}

static int make_ready(struct tg_bus *bus, struct tg_fault *reterr)
{
	if (is_connected(bus) && !is_quiet(bus))
		disconnect(bus);
	if (!is_connected(bus))
		return connect_bus(bus, reterr);
	return 0;
}

/* --- one request --- */

/* The one place where libmodbus' error numbers become ours. */
static int errno_from_modbus(struct tg_fault *reterr)
{
	switch (errno) {
	case ETIMEDOUT:
		return tg_fault_set(reterr, -ETIMEDOUT, "timeout");
	case EPIPE:
	case ECONNRESET:
		return tg_fault_set(reterr, -ECONNRESET, "connection closed by the server");
	case EMBBADDATA:
	case EMBMDATA:
		return tg_fault_set(reterr, -EPROTO, "wrong answer: too long");
	default:
		return tg_fault_set(reterr, -EIO, "%s", modbus_strerror(errno));
	}
}

static int send_request(struct tg_bus *bus, const struct tg_modbus_request *q,
			struct tg_fault *reterr)
{
	uint8_t out[TG_MODBUS_TCP_REQUEST];
	ssize_t n;

	tg_modbus_tcp_request(q, out);
	n = send(modbus_get_socket(bus->ctx), out, sizeof(out), MSG_NOSIGNAL);
	if (n < 0)
		return errno_from_modbus(reterr);
	/* Twelve bytes do not fit into the socket's buffer: the server has not read for a long
	 * time. */
	if (n != sizeof(out))
		return tg_fault_set(reterr, -ECONNRESET, "the server does not read");
	return 0;
}

static int receive_answer(struct tg_bus *bus, uint64_t timeout_us,
			  uint8_t adu[static MODBUS_TCP_MAX_ADU_LENGTH], size_t *ret_len,
			  struct tg_fault *reterr)
{
	uint64_t s = timeout_us / TG_US_PER_S, us = timeout_us % TG_US_PER_S;
	int n;

	if (s == 0 && us == 0)
		us = 1;
	if (modbus_set_response_timeout(bus->ctx, s > TIMEOUT_MAX_S ? TIMEOUT_MAX_S : (uint32_t) s,
					(uint32_t) us) < 0)
		return errno_from_modbus(reterr);
	n = modbus_receive_confirmation(bus->ctx, adu);
	if (n < 0)
		return errno_from_modbus(reterr);

	*ret_len = (size_t) n;
	return 0;
}

/* One request and its answer. Returns 0 and the data in @adu, an exception's code, or -errno with
 * the connection closed. */
static int transact(struct tg_bus *bus, const struct tg_modbus_request *q, uint64_t timeout_us,
		    uint8_t adu[static MODBUS_TCP_MAX_ADU_LENGTH], const uint8_t **ret_data,
		    struct tg_fault *reterr)
{
	size_t len = 0;
	int r;

	if (bus->cfg->modbus_tcp.gap_us > 0)
		pause_until(tg_us_add(bus->last_us, bus->cfg->modbus_tcp.gap_us));
	r = send_request(bus, q, reterr);
	if (r == 0)
		r = receive_answer(bus, timeout_us, adu, &len, reterr);
	if (r == 0)
		r = tg_modbus_tcp_answer(q, adu, len, ret_data, reterr);
	bus->last_us = tg_clock_boot_us();

	if (r < 0)
		disconnect(bus);
	else
		bus->used = true;
	return r;
}

/* --- one block, with retries --- */

static bool is_busy(int exception)
{
	return exception == 5 || exception == 6;
}

/* A gateway speaks for a device behind it that is silent: the device's time-out, but the connection
 * is in order. */
static bool is_absent(int exception)
{
	return exception == 10 || exception == 11;
}

static int exception_fault(int exception, struct tg_fault *reterr)
{
	return tg_fault_set(reterr, is_absent(exception) ? -EHOSTUNREACH : -EREMOTEIO,
			    "%s (exception %d)", tg_modbus_exception_text(exception), exception);
}

static int try_once(struct round *rd, const struct tg_modbus_block *b,
		    uint8_t adu[static MODBUS_TCP_MAX_ADU_LENGTH], const uint8_t **ret_data,
		    struct tg_fault *reterr)
{
	struct tg_modbus_request q = {
		.unit = (uint8_t) rd->dev->modbus.unit,
		.table = b->table,
		.address = b->address,
		.count = b->count,
	};
	int r;

	/* Twice at most: a server may have closed the connection since the last request, without
	 * anything being wrong. */
	for (;;) {
		bool used;

		r = make_ready(rd->bus, reterr);
		if (r < 0)
			return r;
		used = rd->bus->used;
		q.transaction = ++rd->bus->transaction;
		r = transact(rd->bus, &q, rd->dev->timeout_us, adu, ret_data, reterr);
		if (r != -ECONNRESET || !used)
			return r;
	}
}

/* Returns 0 and the data, an exception's code that no retry will cure, or -errno. */
static int ask(struct round *rd, const struct tg_modbus_block *b,
	       uint8_t adu[static MODBUS_TCP_MAX_ADU_LENGTH], const uint8_t **ret_data,
	       struct tg_fault *reterr)
{
	for (unsigned attempt = 0;; attempt++) {
		int r;

		if (tg_clock_boot_us() > rd->deadline_us)
			return tg_fault_set(reterr, -ETIME, "no time left in this poll");
		r = try_once(rd, b, adu, ret_data, reterr);
		if (r > 0)
			(void) exception_fault(r, reterr);
		if (r == -ENOTCONN || (r >= 0 && !is_busy(r) && !is_absent(r)))
			return r;
		if (attempt >= rd->may_retry)
			return is_absent(r) ? -EHOSTUNREACH : r;
		rd->retries++;
		if (is_busy(r))
			pause_until(tg_clock_boot_us() + BUSY_PAUSE_US);
	}
}

static void decode_block(struct round *rd, const struct tg_modbus_block *b, const uint8_t *data)
{
	uint64_t now = tg_clock_boot_us();

	for (size_t i = b->first; i < b->first + b->n; i++) {
		size_t point = rd->plan->order[i];
		const struct tg_config_point *p = &rd->dev->points[point];
		size_t at = (size_t) p->modbus.address - b->address;

		rd->out[point].boot_us = now;
		if (tg_modbus_is_bits(b->table))
			tg_modbus_decode_bit(p, data[at / 8] >> (at % 8) & 1, &rd->out[point]);
		else
			tg_modbus_decode(p, data + 2 * at, &rd->out[point]);
	}
}

/* --- a poll --- */

static void mark_bad(struct round *rd, const struct tg_modbus_block *b, uint64_t now)
{
	for (size_t i = b->first; i < b->first + b->n; i++) {
		struct tg_sample *s = &rd->out[rd->plan->order[i]];

		s->value = (struct tg_value){ .type = TG_VALUE_NONE };
		s->quality = TG_BAD;
		s->reason = b->reason;
		s->boot_us = now;
	}
}

/* Blocks move while they are cut, so samples are pointed at their reasons only when the poll is
 * over. */
static void tell_reasons(struct round *rd, const char *unasked)
{
	uint64_t now = tg_clock_boot_us();

	for (size_t i = 0; i < rd->plan->n_blocks; i++) {
		struct tg_modbus_block *b = &rd->plan->blocks[i];

		if (!b->done)
			(void) tg_printable(b->reason, sizeof(b->reason), unasked, strlen(unasked));
		if (b->reason[0])
			mark_bad(rd, b, now);
	}
}

static void finish_block(struct tg_modbus_block *b, const char *reason)
{
	b->done = true;
	b->silent = false;
	(void) tg_printable(b->reason, sizeof(b->reason), reason, strlen(reason));
}

/* Reads blocks[i]. Returns 0 when the poll is to go on, or the -errno that ends it. */
static int run_block(struct round *rd, size_t i, struct tg_fault *fault)
{
	struct tg_modbus_block *b = &rd->plan->blocks[i];
	uint8_t adu[MODBUS_TCP_MAX_ADU_LENGTH];
	const uint8_t *data = NULL;
	int r;

	r = ask(rd, b, adu, &data, fault);
	if (r == 0) {
		rd->answered = true;
		decode_block(rd, b, data);
		finish_block(b, "");
		return 0;
	}
	if (r > 0) {
		rd->answered = true;
		/* An address or a size that the device refuses: look for the culprit. */
		if ((r == 2 || r == 3) && tg_modbus_plan_split(rd->plan, i))
			return 0;
		finish_block(b, fault->text);
		return 0;
	}
	if (r == -ENOTCONN || r == -ETIME)
		return r;

	finish_block(b, fault->text);
	b->silent = true;
	rd->silent++;
	return !rd->answered || rd->silent >= SILENT_MAX ? r : 0;
}

/*
 * All blocks, those that were silent at the last poll last: a device that answers for some of its
 * registers only is then found out within a few polls, and costs one time-out in each.
 */
static int run_blocks(struct round *rd, struct tg_fault *fault)
{
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < rd->plan->n_blocks;) {
			struct tg_modbus_block *b = &rd->plan->blocks[i];
			int r;

			if (b->done || (pass == 0 && b->silent)) {
				i++;
				continue;
			}
			r = run_block(rd, i, fault);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static void start_round(struct device_plan *plan, uint64_t now)
{
	struct tg_modbus_plan *p = plan->blocks;
	size_t silent = 0;

	tg_modbus_plan_settle(p);
	if (plan->forget_us != 0 && now >= plan->forget_us) {
		tg_modbus_plan_forget(p);
		plan->forget_us = 0;
	}
	for (size_t i = 0; i < p->n_blocks; i++) {
		p->blocks[i].done = false;
		p->blocks[i].reason[0] = '\0';
		silent += p->blocks[i].silent;
	}
	for (size_t i = 0; i < p->n_blocks && silent == p->n_blocks; i++)
		p->blocks[i].silent = false;
}

/* The device did not answer at all: every sample says so in a word, the fault in a sentence. */
static int fail_all(struct round *rd, int r, const struct tg_fault *fault, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us();

	(void) tg_printable(rd->bus->reason, sizeof(rd->bus->reason), fault->text,
			    strlen(fault->text));
	for (size_t i = 0; i < rd->dev->n_points; i++) {
		rd->out[i].value = (struct tg_value){ .type = TG_VALUE_NONE };
		rd->out[i].quality = TG_BAD;
		rd->out[i].reason = rd->bus->reason;
		rd->out[i].boot_us = now;
	}
	if (r == -ETIMEDOUT)
		return tg_fault_set(
			reterr, r, "timeout: unit %u did not answer within %llu ms, asked %u times",
			rd->dev->modbus.unit,
			(unsigned long long) (rd->dev->timeout_us / TG_US_PER_MS), rd->retries + 1);
	return tg_fault_set(reterr, r, "%s", fault->text);
}

static uint64_t connect_us(const struct tg_bus *bus)
{
	return tg_tcp_patience_us(bus->cfg->modbus_tcp.host,
				  bus->cfg->modbus_tcp.connect_timeout_us) +
	       bus->cfg->modbus_tcp.connect_delay_us;
}

static uint64_t budget_us(const struct tg_bus *bus, const struct tg_config_device *dev,
			  const struct device_plan *plan)
{
	uint64_t request = dev->timeout_us + bus->cfg->modbus_tcp.gap_us + BUSY_PAUSE_US;

	return connect_us(bus) + request * (dev->retries + 1) * plan->requests;
}

/* What may be under way when the budget is spent: one more request, with the reconnect before it.
 */
static uint64_t modbus_tcp_patience_us(struct tg_bus *bus, const struct tg_config_device *dev,
				       void *user)
{
	return budget_us(bus, dev, user) + connect_us(bus) + 2 * dev->timeout_us;
}

static int modbus_tcp_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *user,
			   unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	struct device_plan *plan = user;
	struct tg_fault fault = { 0 };
	uint64_t now = tg_clock_boot_us();
	struct round rd = { .bus = bus, .dev = dev, .plan = plan->blocks, .may_retry = retries, .out = out };
	int r;

	start_round(plan, now);
	rd.deadline_us = tg_us_add(now, budget_us(bus, dev, plan));
	r = run_blocks(&rd, &fault);
	if (plan->forget_us == 0 && tg_modbus_plan_is_cut(plan->blocks))
		plan->forget_us = now + FORGET_US;
	if (r < 0 && !rd.answered)
		return fail_all(&rd, r, &fault, reterr);

	tell_reasons(&rd, r == -ENOTCONN || r == -ETIME ? fault.text
							: "not asked: the device stopped "
							  "answering");
	return (int) rd.retries;
}

/* --- birth and death --- */

static void modbus_tcp_close(struct tg_bus *bus)
{
	if (!bus)
		return;
	if (bus->ctx) {
		disconnect(bus);
		modbus_free(bus->ctx);
	}
	free(bus);
}

static int modbus_tcp_open(const struct tg_config *cfg, size_t index, struct tg_bus **ret,
			   struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->cfg = &cfg->buses[index];
	/* Host and port are not used: the context is given connections that are made already. */
	bus->ctx = modbus_new_tcp_pi("localhost", "502");
	if (!bus->ctx || modbus_set_byte_timeout(bus->ctx, 0, 0) < 0) {
		modbus_tcp_close(bus);
		return tg_fault_set(reterr, -ENOMEM, "libmodbus: %s", modbus_strerror(errno));
	}

	*ret = bus;
	return 0;
}

static int modbus_tcp_plan(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
			   struct tg_fault *reterr)
{
	struct device_plan *plan = calloc(1, sizeof(*plan));
	int r;

	(void) bus;
	if (!plan)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = tg_modbus_plan_new(dev, &plan->blocks, reterr);
	if (r < 0) {
		free(plan);
		return r;
	}

	/* Room for the blocks, and for cutting some of them; what cutting takes longer is done at
	 * the next poll. */
	plan->requests = plan->blocks->n_blocks * 4 + 16;
	if (plan->requests > dev->n_points + SILENT_MAX)
		plan->requests = dev->n_points + SILENT_MAX;

	*ret_plan = plan;
	return 0;
}

static void modbus_tcp_plan_free(void *user)
{
	struct device_plan *plan = user;

	if (plan)
		(void) tg_modbus_plan_free(plan->blocks);
	free(plan);
}

const struct tg_bus_driver tg_modbus_tcp_driver = {
	.name = "modbus-tcp",
	.type = TG_BUS_MODBUS_TCP,
	.open = modbus_tcp_open,
	.plan = modbus_tcp_plan,
	.plan_free = modbus_tcp_plan_free,
	.patience_us = modbus_tcp_patience_us,
	.poll = modbus_tcp_poll,
	.close = modbus_tcp_close,
};
