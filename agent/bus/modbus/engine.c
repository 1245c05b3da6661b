/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/engine.h"

#include "agent/bus/modbus/value.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FORGET_US                                                                                  \
	(600 *                                                                                     \
	 TG_US_PER_S) /* a device may have been repaired: how often the uncut blocks are     \
			       tried again */
#define SILENT_MAX 2  /* blocks that time out in one poll before the rest is not asked any more */

struct device_plan {
	struct tg_modbus_plan *blocks;
	uint64_t forget_us; /* 0: nothing to forget */
	size_t requests;    /* that one poll is given time for, each with all its retries */
	char **texts;       /* of the points that are strings, room for them; NULL of the others */
};

/* One poll under way. */
struct round {
	struct tg_bus *bus;
	const struct tg_config_device *dev;
	struct tg_modbus_plan *plan;
	char **texts;
	struct tg_sample *out;
	uint64_t deadline_us;
	unsigned may_retry; /* each request */
	unsigned retries;   /* spent */
	unsigned silent;    /* blocks */
	bool answered;
};

/* --- one request --- */

bool tg_modbus_is_busy(int exception)
{
	return exception == TG_MODBUS_EX_ACKNOWLEDGE || exception == TG_MODBUS_EX_BUSY;
}

/* A gateway speaks for a device behind it that is silent: the device's time-out, but the connection
 * is in order. */
bool tg_modbus_is_absent(int exception)
{
	return exception == 10 || exception == 11;
}

int tg_modbus_ask(struct tg_bus *bus, const struct tg_modbus_request *q, uint64_t timeout_us,
		  struct tg_fault *reterr)
{
	int r = bus->transport->transact(bus->link, q, timeout_us, &bus->answer, reterr);

	bus->requests++;
	if (r != 0)
		bus->errors++;
	if (r > 0)
		(void) tg_fault_set(reterr, tg_modbus_is_absent(r) ? -EHOSTUNREACH : -EREMOTEIO,
				    "%s (exception %d)", tg_modbus_exception_text(r), r);
	return r;
}

/* --- one block, with retries --- */

/* Returns 0 and the data in bus->answer, an exception's code that no retry will cure, or -errno. */
static int ask(struct round *rd, const struct tg_modbus_block *b, struct tg_fault *reterr)
{
	const struct tg_modbus_request q = {
		.unit = (uint8_t) rd->dev->modbus.unit,
		.function = tg_modbus_read_function(b->table),
		.address = b->address,
		.count = b->count,
	};

	for (unsigned attempt = 0;; attempt++) {
		int r;

		if (tg_clock_boot_us() > rd->deadline_us)
			return tg_fault_set(reterr, -ETIME, "no time left in this poll");
		r = tg_modbus_ask(rd->bus, &q, rd->dev->timeout_us, reterr);
		if (r == -ENOTCONN || (r >= 0 && !tg_modbus_is_busy(r) && !tg_modbus_is_absent(r)))
			return r;
		if (attempt >= rd->may_retry)
			return tg_modbus_is_absent(r) ? -EHOSTUNREACH : r;
		rd->retries++;
		if (tg_modbus_is_busy(r))
			tg_clock_sleep_until(tg_clock_boot_us() + TG_MODBUS_BUSY_PAUSE_US);
	}
}

static void decode_block(struct round *rd, const struct tg_modbus_block *b)
{
	const struct tg_modbus_answer *answer = &rd->bus->answer;

	for (size_t i = b->first; i < b->first + b->n; i++) {
		size_t point = rd->plan->order[i];
		const struct tg_config_point *p = &rd->dev->points[point];
		size_t at = (size_t) p->modbus.address - b->address;

		rd->out[point].boot_us = answer->boot_us;
		if (tg_modbus_is_bits(b->table))
			tg_modbus_decode_bit(p, answer->data[at / 8] >> (at % 8) & 1,
					     &rd->out[point]);
		else
			tg_modbus_decode(p, answer->data + 2 * at, rd->texts[point],
					 &rd->out[point]);
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
	int r = ask(rd, b, fault);

	if (r == 0) {
		rd->answered = true;
		decode_block(rd, b);
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
		return tg_fault_set(reterr, r,
				    "timeout: unit %u did not answer within %llu ms, asked %u "
				    "time%s%s",
				    rd->dev->modbus.unit,
				    (unsigned long long) (rd->dev->timeout_us / TG_US_PER_MS),
				    rd->retries + 1, rd->retries ? "s" : "",
				    rd->bus->transport->hint(rd->bus->link));
	return tg_fault_set(reterr, r, "%s", fault->text);
}

static uint64_t budget_us(const struct tg_bus *bus, const struct tg_config_device *dev,
			  const struct device_plan *plan)
{
	uint64_t request =
		bus->transport->request_us(bus->link, dev->timeout_us) + TG_MODBUS_BUSY_PAUSE_US;

	return bus->transport->setup_us(bus->link) + request * (dev->retries + 1) * plan->requests;
}

/* What may be under way when the budget is spent: one more request, with the reconnect before it, and once more. */
uint64_t tg_modbus_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *user)
{
	return budget_us(bus, dev, user) + bus->transport->setup_us(bus->link) +
	       2 * bus->transport->request_us(bus->link, dev->timeout_us);
}

int tg_modbus_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *user,
		   unsigned retries, struct tg_sample *out, struct tg_fault *reterr)
{
	struct device_plan *plan = user;
	struct tg_fault fault = { 0 };
	uint64_t now = tg_clock_boot_us();
	struct round rd = { .bus = bus,
			    .dev = dev,
			    .plan = plan->blocks,
			    .texts = plan->texts,
			    .may_retry = retries,
			    .out = out };
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

void tg_modbus_close(struct tg_bus *bus)
{
	if (!bus)
		return;
	bus->transport->close(bus->link);
	free(bus);
}

int tg_modbus_open(const struct tg_modbus_transport *transport, const struct tg_config *cfg,
		   size_t index, struct tg_bus **ret, struct tg_fault *reterr)
{
	struct tg_bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	bus->transport = transport;
	bus->cfg = &cfg->buses[index];
	r = transport->open(bus->cfg, &bus->link, reterr);
	if (r < 0) {
		free(bus);
		return r;
	}

	*ret = bus;
	return 0;
}

void tg_modbus_describe(struct tg_bus *bus, struct tg_bus_note *out)
{
	bus->transport->describe(bus->link, out->text, sizeof(out->text));
	out->requests = bus->requests;
	out->errors = bus->errors;
}

/* One block of memory: a pointer for each point, behind them the texts. */
static char **new_texts(const struct tg_config_device *dev)
{
	size_t pointers = dev->n_points * sizeof(char *), n = 0;
	char **texts, *next;

	for (size_t i = 0; i < dev->n_points; i++)
		n += dev->points[i].modbus.type == TG_MODBUS_STRING;
	texts = calloc(1, pointers + n * (TG_MODBUS_STRING_MAX + 1));
	if (!texts)
		return NULL;
	next = (char *) texts + pointers;
	for (size_t i = 0; i < dev->n_points; i++) {
		if (dev->points[i].modbus.type != TG_MODBUS_STRING)
			continue;
		texts[i] = next;
		next += TG_MODBUS_STRING_MAX + 1;
	}
	return texts;
}

void tg_modbus_plan_done(void *user)
{
	struct device_plan *plan = user;

	if (!plan)
		return;
	(void) tg_modbus_plan_free(plan->blocks);
	free(plan->texts);
	free(plan);
}

int tg_modbus_plan(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
		   struct tg_fault *reterr)
{
	struct device_plan *plan = calloc(1, sizeof(*plan));
	int r;

	(void) bus;
	if (!plan)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	plan->texts = new_texts(dev);
	r = plan->texts ? tg_modbus_plan_new(dev, &plan->blocks, reterr)
			: tg_fault_set(reterr, -ENOMEM, "out of memory");
	if (r < 0) {
		tg_modbus_plan_done(plan);
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
