/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/worker_internal.h"

#include "base/clock.h"

#include <errno.h>

/*
 * Listening is given a rest after each call, so that a bus that babbles, or whose descriptor is readable for ever because it
 * broke, costs no more than so many turns a second.
 */
#define REST_US      (1 * TG_US_PER_MS)
#define REST_DOWN_US (20 * TG_US_PER_MS)

static void heard(void *user, const struct tg_config_device *dev, size_t point,
		  const struct tg_sample *s)
{
	struct tg_worker *w = user;
	struct tg_worker_device *d = tg_worker_find(w, (size_t) (dev - w->setup.cfg->devices));
	struct tg_sample shown = *s;

	if (!d || point >= dev->n_points)
		return;
	tg_worker_convert(d, point, &shown);
	/* The time now, as a driver stamps what it has read since it was called, and no stamp may lie ahead. */
	tg_gather_hear(&d->gather, point, &shown, tg_clock_boot_us());
}

static void dropped(void *user, uint64_t n)
{
	struct tg_worker *w = user;

	w->dropped += n;
}

int tg_worker_listen_fd(struct tg_worker *w, uint64_t now_us, uint64_t *ret_wake_us)
{
	uint64_t wake;
	int fd;

	*ret_wake_us = TG_US_FOREVER;
	if (!w->driver->listen)
		return -1;
	fd = w->driver->listen_fd(w->bus, &wake);
	if (w->some_unasked && w->watch.condition == TG_BUS_DOWN && w->watch.next_us < wake)
		wake = w->watch.next_us;
	/* Devices that nobody asks make themselves felt by this alone. */
	if (w->some_unasked && w->watch.condition == TG_BUS_UNKNOWN)
		wake = 0;
	if (fd >= 0 && now_us < w->rest_us) {
		*ret_wake_us = w->rest_us;
		return -1;
	}
	*ret_wake_us = wake > w->rest_us ? wake : w->rest_us;
	return fd;
}

static void take_down(struct tg_worker *w, uint64_t now)
{
	for (size_t i = 0; i < w->n_devices; i++) {
		if (!w->devices[i].asked)
			tg_gather_down(&w->devices[i].gather, w->watch.error, now);
	}
}

void tg_worker_listen(struct tg_worker *w)
{
	const struct tg_bus_ear ear = { .heard = heard, .dropped = dropped, .user = w };
	uint64_t now = tg_clock_boot_us();
	struct tg_fault fault = { .text = "" };
	int r = w->driver->listen(w->bus, &ear, &fault);

	w->rest_us = now + (r < 0 ? REST_DOWN_US : REST_US);
	/* A poll that has just failed for the bus knows better than silence on a descriptor. */
	if (r < 0 || w->some_unasked)
		tg_worker_note_bus(w, r < 0 ? -ENOTCONN : 0, fault.text);
	if (r < 0)
		take_down(w, now);
}

uint64_t tg_worker_gather_us(const struct tg_worker *w)
{
	uint64_t next = TG_US_FOREVER;

	if (!w->driver->listen)
		return next;
	for (size_t i = 0; i < w->n_devices; i++) {
		uint64_t due = tg_gather_next_us(&w->devices[i].gather);

		next = due < next ? due : next;
	}
	return next;
}

static void hand_on(struct tg_worker *w, struct tg_worker_device *d, uint64_t now)
{
	enum tg_device_health before = d->state.health;
	size_t n = tg_gather_take(&d->gather, now, w->samples);

	if (n > 0)
		tg_pipeline_submit(w->setup.pipeline, d->state.device, w->samples, n);
	tg_worker_judge_gather(w, d);
	if (!d->asked && n > 0) {
		d->state.polls++;
		d->state.failures += tg_gather_is_dead(&d->gather);
		d->state.last_poll_us = now;
	}
	tg_worker_tell_device(w, d, before);
}

void tg_worker_gather(struct tg_worker *w)
{
	uint64_t now = tg_clock_boot_us();

	if (!w->driver->listen)
		return;
	for (size_t i = 0; i < w->n_devices; i++) {
		struct tg_worker_device *d = &w->devices[i];

		if (tg_gather_next_us(&d->gather) <= now)
			hand_on(w, d, now);
	}
}

void tg_worker_offer(struct tg_worker *w, struct tg_worker_device *d)
{
	size_t n = tg_gather_all(&d->gather, tg_clock_boot_us(), w->samples);

	tg_pipeline_show(w->setup.pipeline, d->state.device, w->samples, n);
}
