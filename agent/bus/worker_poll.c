/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/worker_internal.h"

#include "agent/bus/convert.h"
#include "base/clock.h"

#include <errno.h>

const char tg_worker_not_read[] = "not read";

struct tg_worker_device *tg_worker_find(const struct tg_worker *w, size_t index)
{
	for (size_t i = 0; i < w->n_devices; i++) {
		if (w->devices[i].state.device == index)
			return &w->devices[i];
	}
	return NULL;
}

struct tg_worker_device *tg_worker_earliest(const struct tg_worker *w)
{
	struct tg_worker_device *best = NULL;

	for (size_t i = 0; i < w->n_devices; i++) {
		struct tg_worker_device *d = &w->devices[i];

		if (d->asked && (!best || d->schedule.next_us < best->schedule.next_us))
			best = d;
	}
	return best;
}

static void prepare_samples(struct tg_worker *w, const struct tg_config_device *dev, uint64_t now)
{
	for (size_t i = 0; i < dev->n_points; i++) {
		w->samples[i] = (struct tg_sample){
			.point = dev->points[i].name,
			.unit = dev->points[i].unit,
			.reason = tg_worker_not_read,
			.quality = TG_BAD,
			.boot_us = now,
		};
	}
}

void tg_worker_convert(struct tg_worker_device *d, size_t i, struct tg_sample *s)
{
	tg_totals_apply(&d->totals, i, s);
	tg_convert(&d->cfg->points[i], s);
}

/* Between two tries of a bus that is down its devices are not asked in vain. */
static int ask(struct tg_worker *w, struct tg_worker_device *d, enum tg_poll_reason why,
	       uint64_t now, struct tg_fault *fault)
{
	/* One that did not answer gets one chance: its time-out is everybody's. */
	unsigned retries = d->schedule.failures > 0 ? 0 : d->cfg->retries;

	if (why == TG_POLL_DUE && !tg_bus_watch_may_try(&w->watch, now))
		return tg_fault_set(fault, -ENOTCONN, "%s", w->watch.error);
	return w->driver->poll(w->bus, d->cfg, d->plan, retries, w->samples, fault);
}

static void note_times(struct tg_worker_device *d, uint64_t start, uint64_t end)
{
	d->state.skipped = d->schedule.skipped;
	d->state.last_poll_us = start;
	d->state.took_us = end - start;
	d->state.next_poll_us = d->schedule.next_us;
}

void tg_worker_poll(struct tg_worker *w, struct tg_worker_device *d, enum tg_poll_reason why)
{
	enum tg_device_health before = d->state.health;
	uint64_t start = tg_clock_boot_us(), end;
	struct tg_fault fault = { .text = "" };
	bool tried = why != TG_POLL_DUE || tg_bus_watch_may_try(&w->watch, start);
	int r;

	atomic_store(&w->progress_us, start);
	prepare_samples(w, d->cfg, start);
	r = ask(w, d, why, start, &fault);
	end = tg_clock_boot_us();
	d->bus_down = r == -ENOTCONN;
	if (tried)
		tg_worker_note_bus(w, r, fault.text);
	if (why == TG_POLL_SCOUT && r == -ENOTCONN)
		return;

	for (size_t i = 0; r >= 0 && i < d->cfg->n_points; i++)
		tg_worker_convert(d, i, &w->samples[i]);
	tg_worker_judge_poll(w, d, r, fault.text);
	if (why == TG_POLL_DUE)
		tg_schedule_done(&d->schedule, end, r >= 0);
	else
		tg_schedule_done_extra(&d->schedule, end, r >= 0);
	note_times(d, start, end);
	/* Good or bad, every poll makes a pack: silence is told, not left to be guessed. */
	tg_pipeline_submit(w->setup.pipeline, d->state.device, w->samples, d->cfg->n_points);
	tg_worker_tell_device(w, d, before);
}
