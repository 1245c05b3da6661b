/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/worker_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BUS_EVERY_US TG_US_PER_S /* between two reports of a bus on which nothing special happens */

static bool may_log(struct tg_log_limit *l)
{
	return tg_log_allowed(l, tg_clock_boot_us(), TG_WORKER_LOG_BURST, TG_WORKER_LOG_WINDOW_US);
}

/* --- the bus --- */

void tg_worker_tell_bus(struct tg_worker *w, bool at_once)
{
	struct tg_bus_state st = {
		.cfg = w->setup.cfg,
		.bus = w->setup.bus,
		.condition = w->watch.condition,
		.since_us = w->watch.since_us,
		.dropped = w->dropped,
	};
	uint64_t now = tg_clock_boot_us();

	if (!w->setup.bus_changed || (!at_once && now < tg_us_add(w->told_us, BUS_EVERY_US)))
		return;
	w->told_us = now;
	for (size_t i = 0; i < w->n_devices; i++)
		st.late += w->devices[i].schedule.skipped;
	if (w->driver->describe)
		w->driver->describe(w->bus, &st.note);
	memcpy(st.error, w->watch.error, sizeof(st.error));
	w->setup.bus_changed(w->setup.user, &st);
}

static void log_bus(struct tg_worker *w, bool was_down)
{
	const char *name = w->bus_cfg->name;
	char text[TG_FAULT_MAX];

	/* That a bus is there when the agent starts is no event. */
	if ((w->watch.condition == TG_BUS_UP && !was_down) || !may_log(&w->bus_limit))
		return;
	if (w->watch.condition == TG_BUS_UP) {
		(void) snprintf(text, sizeof(text), "Bus %s is back", name);
		tg_event(TG_EV_BUS_UP, LOG_NOTICE, text, TG_F_BUS, name, NULL);
		return;
	}
	(void) snprintf(text, sizeof(text), "Bus %s is down: %s; trying again", name,
			w->watch.error);
	tg_event(TG_EV_BUS_DOWN, LOG_WARNING, text, TG_F_BUS, name, TG_F_REASON, w->watch.error,
		 NULL);
}

static void set_error(struct tg_device_state *st, const char *text)
{
	(void) tg_printable(st->error, sizeof(st->error), text, strlen(text));
}

/* The bus is no reason any more; a device that sends once an hour is dead for as long all the same. */
static void await_word(struct tg_worker *w, struct tg_worker_device *d)
{
	if (d->state.health != TG_DEVICE_DEAD || tg_gather_has_heard(&d->gather))
		return;
	set_error(&d->state, "nothing heard since the bus is back");
	tg_worker_tell_device(w, d, TG_DEVICE_DEAD);
}

/* Those that failed for the bus need not wait until their back-off ends. */
static void wake_devices(struct tg_worker *w)
{
	uint64_t now = tg_clock_boot_us();

	for (size_t i = 0; i < w->n_devices; i++) {
		struct tg_worker_device *d = &w->devices[i];

		if (!d->asked) {
			tg_gather_up(&d->gather, now);
			await_word(w, d);
		}
		if (!d->bus_down)
			continue;
		d->bus_down = false;
		tg_schedule_wake(&d->schedule, now);
	}
}

void tg_worker_note_bus(struct tg_worker *w, int r, const char *reason)
{
	bool was_down = w->watch.condition == TG_BUS_DOWN;

	if (!tg_bus_watch_result(&w->watch, r, reason, tg_clock_boot_us()))
		return;
	if (was_down)
		wake_devices(w);
	log_bus(w, was_down);
	tg_worker_tell_bus(w, true);
}

/* --- a device --- */

/* Whatever the driver left behind: no sample of a device that did not answer looks like a reading. */
static void spoil_samples(struct tg_worker *w, const struct tg_worker_device *d)
{
	for (size_t i = 0; i < d->cfg->n_points; i++) {
		struct tg_sample *s = &w->samples[i];

		if (s->quality == TG_GOOD || s->reason == tg_worker_not_read)
			s->reason = d->state.error;
		s->quality = TG_BAD;
		s->value = (struct tg_value){ .type = TG_VALUE_NONE };
	}
}

static const struct tg_sample *first_bad(const struct tg_worker *w,
					 const struct tg_config_device *dev, unsigned *ret_count)
{
	const struct tg_sample *first = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < dev->n_points; i++) {
		if (w->samples[i].quality == TG_GOOD)
			continue;
		if (!first)
			first = &w->samples[i];
		++*ret_count;
	}
	return first;
}

void tg_worker_judge_poll(struct tg_worker *w, struct tg_worker_device *d, int r,
			  const char *reason)
{
	struct tg_device_state *st = &d->state;
	const struct tg_sample *bad;
	char text[TG_FAULT_MAX] = "";

	st->polls++;
	if (r < 0) {
		st->failures++;
		st->health = TG_DEVICE_DEAD;
		st->bad_points = (unsigned) d->cfg->n_points;
		set_error(st, reason);
		spoil_samples(w, d);
		return;
	}

	bad = first_bad(w, d->cfg, &st->bad_points);
	st->health = bad || r > 0 ? TG_DEVICE_DEGRADED : TG_DEVICE_OK;
	if (bad)
		(void) snprintf(text, sizeof(text), "%s: %s", bad->point, bad->reason);
	else if (r > 0)
		(void) snprintf(text, sizeof(text), "answered after %d retries", r);
	set_error(st, text);
	st->last_ok_us = tg_clock_boot_us();
}

static void judge_heard(struct tg_worker_device *d)
{
	const struct tg_gather *g = &d->gather;
	const struct tg_gather_point *ill;
	struct tg_device_state *st = &d->state;
	char text[TG_FAULT_MAX] = "";

	st->bad_points = tg_gather_ill(g, &ill);
	if (tg_gather_is_dead(g)) {
		st->health = TG_DEVICE_DEAD;
		set_error(st, g->down ? g->down_reason : g->silence);
		return;
	}
	/* What was dead is so until it says something. */
	if (!tg_gather_has_heard(g))
		return;
	st->health = ill ? TG_DEVICE_DEGRADED : TG_DEVICE_OK;
	if (ill)
		(void) snprintf(text, sizeof(text), "%s: %s", d->cfg->points[ill - g->points].name,
				ill->freshness == TG_GATHER_STALE ? g->silence
								  : ill->newest.reason);
	set_error(st, text);
	st->last_ok_us = g->last_us;
}

void tg_worker_judge_gather(struct tg_worker *w, struct tg_worker_device *d)
{
	struct tg_device_state *st = &d->state;
	const struct tg_gather *g = &d->gather;
	bool babbled = st->babbles;
	char text[TG_FAULT_MAX];

	(void) w;
	st->heard = g->heard;
	st->over = g->over;
	st->babbles = tg_gather_babbles(g, tg_clock_boot_us());
	if (!d->asked)
		judge_heard(d);
	if (!st->babbles || babbled || !may_log(&d->babble_limit))
		return;
	(void) snprintf(text, sizeof(text),
			"Device %s babbles: more than %d values of one point in a second; the "
			"newest are "
			"taken",
			d->cfg->name, TG_GATHER_RATE);
	tg_event(TG_EV_DEVICE_BABBLES, LOG_WARNING, text, TG_F_DEVICE, d->cfg->name, NULL);
}

static void log_change(struct tg_worker_device *d, enum tg_device_health before)
{
	bool lost = d->state.health == TG_DEVICE_DEAD && before != TG_DEVICE_DEAD;
	bool back = d->state.health != TG_DEVICE_DEAD && before == TG_DEVICE_DEAD;
	char text[TG_FAULT_MAX];

	if ((!lost && !back) || !may_log(&d->log_limit))
		return;
	if (back) {
		(void) snprintf(text, sizeof(text),
				d->asked ? "Device %s answers again" : "Device %s is heard again",
				d->cfg->name);
		tg_event(TG_EV_DEVICE_BACK, LOG_NOTICE, text, TG_F_DEVICE, d->cfg->name, NULL);
		return;
	}
	if (d->asked)
		(void) snprintf(text, sizeof(text),
				"Device %s does not answer: %s; asking less often", d->cfg->name,
				d->state.error);
	else
		(void) snprintf(text, sizeof(text), "Device %s is not heard any more: %s",
				d->cfg->name, d->state.error);
	tg_event(TG_EV_DEVICE_LOST, LOG_WARNING, text, TG_F_DEVICE, d->cfg->name, TG_F_REASON,
		 d->state.error, NULL);
}

void tg_worker_tell_device(struct tg_worker *w, struct tg_worker_device *d,
			   enum tg_device_health before)
{
	log_change(d, before);
	if (w->setup.device_changed)
		w->setup.device_changed(w->setup.user, &d->state);
}
