/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/execute.h"

#include "agent/bus/convert.h"
#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#define NARROWING 1e-6 /* of the value: what a 32-bit float loses */

/* One command on its way. */
struct job {
	const struct tg_execution *x;
	const struct tg_bus_hands *h;
	const struct tg_config_device *dev;
	const struct tg_config_point *point;
	struct tg_value raw; /* to be written */
	struct tg_result *out;
};

static int64_t believed_s(const struct tg_command_clock *c)
{
	return c->trust == TG_CLOCK_SUSPECT ? 0 : c->wall_us / (int64_t) TG_US_PER_S;
}

static bool to_number(const struct tg_value *v, double *ret)
{
	switch (v->type) {
	case TG_VALUE_BOOL:
		*ret = v->b;
		return true;
	case TG_VALUE_INT:
		*ret = (double) v->i;
		return true;
	case TG_VALUE_UINT:
		*ret = (double) v->u;
		return true;
	case TG_VALUE_REAL:
		*ret = v->real;
		return true;
	case TG_VALUE_NONE:
	case TG_VALUE_TEXT:
		break;
	}
	return false;
}

/* Whether a device that was given @a has it, when it says @b. */
static bool same_value(const struct tg_value *a, const struct tg_value *b)
{
	double x, y;

	if (a->type == TG_VALUE_TEXT || b->type == TG_VALUE_TEXT)
		return a->type == b->type && strcmp(a->text, b->text) == 0;
	/* Beyond 2^53 a double would make neighbours the same. */
	if (a->type == b->type && (a->type == TG_VALUE_INT || a->type == TG_VALUE_UINT))
		return a->u == b->u;
	if (!to_number(a, &x) || !to_number(b, &y))
		return false;
	return fabs(x - y) <= NARROWING * fmax(fabs(x), fabs(y));
}

/*
 * Reads the point; what it shows goes into the result. Returns 0, or -errno with the reason: also for a reading that is
 * not good. *@ret_same: whether it is what was to be written.
 */
static int read_back(const struct job *j, bool *ret_same, struct tg_fault *reterr)
{
	struct tg_sample s = { .point = j->point->name,
			       .unit = j->point->unit,
			       .reason = "not read",
			       .quality = TG_BAD };
	int r;

	j->h->progress(j->h);
	r = j->h->driver->read_one(j->h->bus, j->dev, j->point, &s, reterr);
	if (r < 0)
		return r;
	if (s.quality != TG_GOOD)
		return tg_fault_set(reterr, -EBADMSG, "%s", s.reason);
	if (ret_same)
		*ret_same = same_value(&j->raw, &s.value);
	tg_convert(j->point, &s);
	tg_kept_set(&j->out->value, &s.value);
	return 0;
}

/* Whether a failed write has certainly not reached the device. One that refuses is read back: some do what they refuse. */
static bool is_certain(int r)
{
	switch (r) {
	case -ERANGE:
	case -EINVAL:
	case -EOPNOTSUPP:
	case -ENOTCONN:
	case -EACCES:
	case -EPERM:
	case -ENXIO:
	case -ENOMEM:
		return true;
	default:
		return false;
	}
}

/* Nobody there; a device that refuses is. */
static bool is_silence(int r)
{
	return r == -ETIMEDOUT || r == -ENOTCONN;
}

static enum tg_command_status status_of(int r)
{
	return r == -ERANGE || r == -EINVAL || r == -EOPNOTSUPP ? TG_COMMAND_REFUSED
								: TG_COMMAND_FAILED;
}

/* Behind the write, whose result was @w. */
static void judge(const struct job *j, int w, const struct tg_fault *why, bool *ret_silent)
{
	struct tg_fault unread = { .text = "" };
	bool same = false;
	int r;

	if (w < 0 && is_certain(w)) {
		(void) tg_result_set(j->out, status_of(w), "%s", why->text);
		return;
	}
	r = read_back(j, &same, &unread);
	if (r < 0 && w < 0)
		(void) tg_result_set(j->out, TG_COMMAND_UNKNOWN, "%s; it cannot be read back",
				     why->text);
	else if (r < 0)
		(void) tg_result_set(j->out, TG_COMMAND_UNKNOWN, "written, but not read back: %s",
				     unread.text);
	else if (same && w < 0)
		(void) tg_result_set(j->out, TG_COMMAND_DONE, "%s; but it has the value",
				     why->text);
	else if (same)
		(void) tg_result_set(j->out, TG_COMMAND_DONE, "%s", "");
	else if (w < 0)
		(void) tg_result_set(j->out, TG_COMMAND_FAILED, "%s", why->text);
	else
		(void) tg_result_set(j->out, TG_COMMAND_FAILED,
				     "the device took it, but has another value");
	*ret_silent = w < 0 && is_silence(r);
}

/* Everything that needs no device. Returns whether the command goes on. */
static bool is_right(const struct job *j, const struct tg_command *c,
		     const struct tg_command_clock *clock, struct tg_value *ret_raw)
{
	const struct tg_value shown = tg_kept_view(&c->value);
	struct tg_fault why = { .text = "" };
	int r = tg_command_in_time(c, clock, &why);

	if (r == 0)
		r = tg_convert_back(j->point, &shown, ret_raw, &why);
	if (r < 0)
		(void) tg_result_set(j->out, TG_COMMAND_REFUSED, "%s", why.text);
	return r == 0;
}

static bool is_there(const struct job *j, size_t device, bool *ret_silent)
{
	struct tg_fault why = { .text = "" };
	const char *silence = j->h->silence(j->h, device);

	/* A reading that is bad is an answer, too. */
	if (!*silence || read_back(j, NULL, &why) >= 0 || why.code == -EBADMSG)
		return true;
	*ret_silent = is_silence(why.code);
	(void) tg_result_set(j->out, TG_COMMAND_FAILED, "the device does not answer: %s", why.text);
	return false;
}

/* The ledger's word on the command: >0 and <0 end it here. */
static int ask(const struct tg_execution *x, const struct tg_command *c, int64_t now_s, bool begin,
	       struct tg_result *out)
{
	struct tg_fault why = { .text = "" };
	struct tg_result known;
	int r = begin ? tg_ledger_begin(x->ledger, c, now_s, &known, &why)
		      : tg_ledger_find(x->ledger, c->id, now_s, &known, &why);

	if (r < 0)
		(void) tg_result_set(out, TG_COMMAND_FAILED, "%s", why.text);
	if (r == TG_LEDGER_KNOWN) {
		known.local = c->local;
		*out = known;
	}
	return r;
}

static enum tg_executed ended(int ledger)
{
	switch (ledger) {
	case TG_LEDGER_UNDER_WAY:
		return TG_EXECUTED_UNDER_WAY;
	case TG_LEDGER_KNOWN:
		return TG_EXECUTED_BEFORE;
	default:
		return TG_EXECUTED_NOT;
	}
}

static void finish(const struct tg_execution *x, struct tg_result *out)
{
	const struct tg_command_clock clock = x->clock(x->user);
	struct tg_fault why = { .text = "" };

	out->wall_us = clock.trust == TG_CLOCK_SUSPECT ? 0 : clock.wall_us;
	if (tg_ledger_end(x->ledger, out, believed_s(&clock), &why) < 0)
		tg_log(LOG_ERR, "command", "%s/%s: %s", out->device, out->point, why.text);
}

enum tg_executed tg_execute(const struct tg_execution *x, const struct tg_bus_hands *h,
			    const struct tg_command *c, size_t device, size_t point,
			    struct tg_result *out, bool *ret_silent)
{
	const struct tg_command_clock clock = x->clock(x->user);
	struct job j = { .x = x, .h = h, .dev = &h->cfg->devices[device], .out = out };
	struct tg_fault why = { .text = "" };
	int r;

	j.point = &j.dev->points[point];
	*ret_silent = false;
	tg_result_init(out, c);
	out->wall_us = clock.trust == TG_CLOCK_SUSPECT ? 0 : clock.wall_us;
	/* Before anything else: what was done is told again, even if it would be refused by now. */
	r = ask(x, c, believed_s(&clock), false, out);
	if (r != TG_LEDGER_NEW)
		return ended(r);
	if (!is_right(&j, c, &clock, &j.raw) || !is_there(&j, device, ret_silent))
		return TG_EXECUTED_NOT;
	r = ask(x, c, believed_s(&clock), true, out);
	if (r != TG_LEDGER_NEW)
		return ended(r);
	/* From here on the id is used up. */
	out->value = (struct tg_kept_value){ .value.type = TG_VALUE_NONE };
	h->progress(h);
	r = h->driver->write(h->bus, j.dev, j.point, &j.raw, &why);
	judge(&j, r, &why, ret_silent);
	finish(x, out);
	return TG_EXECUTED;
}

void tg_execute_read_back(const struct tg_execution *x, const struct tg_bus_hands *h, size_t device,
			  size_t point, struct tg_result *out)
{
	static const char stopped[] = "the gateway stopped while it was carried out";
	struct job j = { .x = x, .h = h, .out = out };
	struct tg_fault why = { .text = "" };

	(void) tg_result_set(out, TG_COMMAND_UNKNOWN, "%s", stopped);
	if (h) {
		j.dev = &h->cfg->devices[device];
		j.point = &j.dev->points[point];
		if (read_back(&j, NULL, &why) < 0)
			(void) tg_result_set(out, TG_COMMAND_UNKNOWN,
					     "%s; it cannot be read back: %s", stopped, why.text);
	}
	finish(x, out);
}

int tg_execute_safe(const struct tg_bus_hands *h, size_t device, size_t point,
		    struct tg_fault *reterr)
{
	struct tg_result out = { .local = true };
	struct job j = { .h = h, .dev = &h->cfg->devices[device], .out = &out };
	struct tg_value shown;
	bool same = false;
	int r;

	j.point = &j.dev->points[point];
	shown = (struct tg_value){ .type = TG_VALUE_REAL, .real = j.point->safe };
	/*
	 * The configuration has a number; only the device knows that the point is a truth value. One that cannot be read is
	 * written all the same: nothing must keep an output from its safe state.
	 */
	if (read_back(&j, NULL, NULL) < 0)
		out.value.value.type = TG_VALUE_NONE;
	if (out.value.value.type == TG_VALUE_BOOL)
		shown = (struct tg_value){ .type = TG_VALUE_BOOL, .b = j.point->safe != 0 };
	r = tg_convert_back(j.point, &shown, &j.raw, reterr);
	if (r < 0)
		return r;
	h->progress(h);
	r = h->driver->write(h->bus, j.dev, j.point, &j.raw, reterr);
	if (r == 0)
		r = read_back(&j, &same, reterr);
	if (r == 0 && !same)
		r = tg_fault_set(reterr, -EREMOTEIO, "the device took it, but has another value");
	return r;
}
