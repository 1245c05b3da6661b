/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/worker_internal.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long the thread sleeps at most, so that the watchdog sees it turn. */
#define TURN_US  (5 * TG_US_PER_S)
/* A probe, and before it the resolver where the bus has a host, which nothing hurries: also without any device. */
#define PROBE_US (TG_PROBE_US + 30 * TG_US_PER_S)
#define REQUESTS 64 /* polls out of turn, writes and probes that may wait */

struct request {
	size_t device;            /* index in the configuration; SIZE_MAX: only wake up */
	struct tg_errand *errand; /* or this one, instead */
};

/* --- requests --- */

static const char *silence(const struct tg_bus_hands *h, size_t device)
{
	const struct tg_worker_device *d = tg_worker_find(h->worker, device);

	return d && d->state.health == TG_DEVICE_DEAD ? d->state.error : "";
}

static void progress(const struct tg_bus_hands *h)
{
	struct tg_worker *w = h->worker;

	atomic_store(&w->progress_us, tg_clock_boot_us());
}

static void run_errand(struct tg_worker *w, struct tg_errand *e)
{
	const struct tg_bus_hands hands = {
		.driver = w->driver,
		.bus = w->bus,
		.cfg = w->setup.cfg,
		.silence = silence,
		.progress = progress,
		.worker = w,
	};

	progress(&hands);
	e->run(e, &hands);
}

/* For tg_mailbox_new(): the worker ends with requests unheard. */
static void drop_request(void *msg)
{
	const struct request *rq = msg;

	if (rq->errand)
		rq->errand->drop(rq->errand);
}

static void take_request(struct tg_worker *w)
{
	struct tg_worker_device *d;
	struct request rq;

	if (tg_mailbox_take(w->requests, &rq) != 1)
		return;
	d = tg_worker_find(w, rq.device);
	if (rq.errand)
		run_errand(w, rq.errand);
	else if (d && d->asked)
		tg_worker_poll(w, d, TG_POLL_WANTED);
	else if (d)
		tg_worker_offer(w, d);
}

/* --- the thread --- */

/* What the bus itself wants now, beside the polls of its devices. */
struct attention {
	int fd;
	uint64_t wake_us;
};

static struct attention attend(struct tg_worker *w, uint64_t now)
{
	struct attention a;

	a.fd = tg_worker_listen_fd(w, now, &a.wake_us);
	return a;
}

/* When a poll is due: that of a device, or a look whether the bus is back. */
static uint64_t poll_us(const struct tg_worker *w)
{
	const struct tg_worker_device *d = tg_worker_earliest(w);

	if (!d)
		return TG_US_FOREVER;
	if (w->watch.condition == TG_BUS_DOWN && w->watch.next_us < d->schedule.next_us)
		return w->watch.next_us;
	return d->schedule.next_us;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When totals of counters are to be written. */
static uint64_t totals_us(const struct tg_worker *w)
{
	uint64_t next = TG_US_FOREVER;

	for (size_t i = 0; i < w->n_devices; i++)
		next = least(next, tg_totals_next_us(&w->devices[i].totals));
	return next;
}

/* Those whose time has come, or all. */
static void save_totals(struct tg_worker *w, bool all)
{
	uint64_t now = tg_clock_boot_us();

	for (size_t i = 0; i < w->n_devices; i++) {
		struct tg_totals *t = &w->devices[i].totals;

		if (!all && tg_totals_next_us(t) > now)
			continue;
		/* All are due together, and a card may take a second for each. */
		atomic_store(&w->progress_us, tg_clock_boot_us());
		tg_totals_save(t, now);
	}
}

/* Waits for a request, the bus or @until. Returns whether the bus has something to say. */
static bool wait_for_work(struct tg_worker *w, int fd, uint64_t now, uint64_t until)
{
	struct pollfd fds[] = { { .fd = tg_mailbox_fd(w->requests), .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };
	uint64_t us = until > now ? until - now : 0;
	/* TURN_US at most, so no type is too narrow. */
	struct timespec ts = { .tv_sec = (time_t) (us / TG_US_PER_S),
			       .tv_nsec = (long) (us % TG_US_PER_S * 1000) };

	/* A negative descriptor is passed over. */
	if (ppoll(fds, TG_ARRAY_SIZE(fds), &ts, NULL) <= 0)
		return false;
	return fds[1].revents != 0;
}

/* One poll that is due. */
static void poll_one(struct tg_worker *w)
{
	struct tg_worker_device *d = tg_worker_earliest(w);
	uint64_t now = tg_clock_boot_us();

	if (!d || poll_us(w) > now)
		return;
	if (d->schedule.next_us > now)
		tg_worker_poll(w, d, TG_POLL_SCOUT);
	else
		tg_worker_poll(w, d, TG_POLL_DUE);
}

/* A little of everything, so that nobody keeps another waiting. */
static void turn(struct tg_worker *w)
{
	uint64_t now = tg_clock_boot_us(), until = now + TURN_US;
	struct attention bus = attend(w, now);
	bool speaks;

	atomic_store(&w->progress_us, now);
	until = least(least(until, bus.wake_us), least(poll_us(w), tg_worker_gather_us(w)));
	until = least(until, totals_us(w));
	speaks = wait_for_work(w, bus.fd, now, until);
	if (atomic_load(&w->stop))
		return;
	take_request(w);
	if (speaks || (w->driver->listen && bus.wake_us <= tg_clock_boot_us()))
		tg_worker_listen(w);
	poll_one(w);
	tg_worker_gather(w);
	save_totals(w, false);
	tg_worker_tell_bus(w, false);
}

static void *run(void *user)
{
	struct tg_worker *w = user;
	char name[16];

	(void) snprintf(name, sizeof(name), "bus %.11s", w->bus_cfg->name);
	(void) pthread_setname_np(pthread_self(), name);
	tg_worker_tell_bus(w, true);
	for (size_t i = 0; i < w->n_devices; i++)
		tg_worker_tell_device(w, &w->devices[i], TG_DEVICE_UNKNOWN);

	while (!atomic_load(&w->stop))
		turn(w);
	save_totals(w, true);
	atomic_store(&w->ended, true);
	return NULL;
}

/* --- birth and death --- */

static size_t count_devices(const struct tg_config *cfg, size_t bus, size_t *ret_points)
{
	size_t n = 0;

	*ret_points = 0;
	for (size_t i = 0; i < cfg->n_devices; i++) {
		if (cfg->devices[i].bus != bus || cfg->devices[i].n_points == 0)
			continue;
		if (cfg->devices[i].n_points > *ret_points)
			*ret_points = cfg->devices[i].n_points;
		n++;
	}
	return n;
}

/* How the device is got at: asked, heard, or both. */
static int add_hearing(struct tg_worker *w, struct tg_worker_device *d, uint64_t now,
		       struct tg_fault *reterr)
{
	d->asked = w->driver->poll && (!w->driver->asked || w->driver->asked(w->bus, d->cfg));
	d->state.asked = d->asked;
	d->state.next_poll_us = d->asked ? d->schedule.next_us : 0;
	if (!w->driver->listen)
		return 0;
	w->some_unasked |= !d->asked;
	if (tg_gather_init(&d->gather, d->cfg, !d->asked, now) < 0)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	return 0;
}

static int add_device(struct tg_worker *w, size_t index, unsigned n, uint64_t now,
		      struct tg_fault *reterr)
{
	const struct tg_config_device *cfg = &w->setup.cfg->devices[index];
	struct tg_worker_device *d = &w->devices[w->n_devices];
	uint64_t patience;
	int r;

	d->cfg = cfg;
	d->totals.dir = -1;
	d->state.cfg = w->setup.cfg;
	d->state.device = index;
	tg_schedule_init(&d->schedule, now, cfg->every_us, cfg->backoff_us, (unsigned) w->n_devices,
			 n);
	w->n_devices++;
	if (w->driver->plan) {
		r = w->driver->plan(w->bus, cfg, &d->plan, reterr);
		if (r < 0) {
			(void) tg_fault_prefix(reterr, "%s: device %s", cfg->origin, cfg->name);
			return r;
		}
	}
	r = add_hearing(w, d, now, reterr);
	if (r < 0)
		return r;
	if (tg_totals_init(&d->totals, cfg, w->driver->counts, w->setup.state_dir, now) < 0)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	patience = w->driver->patience_us(w->bus, cfg, d->plan);
	if (patience > w->patience_us)
		w->patience_us = patience;
	return 0;
}

static int add_devices(struct tg_worker *w, size_t bus, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us();
	size_t points, n = count_devices(w->setup.cfg, bus, &points);

	w->devices = calloc(n ? n : 1, sizeof(*w->devices));
	w->samples = calloc(points ? points : 1, sizeof(*w->samples));
	if (!w->devices || !w->samples)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");

	for (size_t i = 0; i < w->setup.cfg->n_devices; i++) {
		int r;

		if (w->setup.cfg->devices[i].bus != bus || w->setup.cfg->devices[i].n_points == 0)
			continue;
		r = add_device(w, i, (unsigned) n, now, reterr);
		if (r < 0)
			return r;
	}
	if (w->driver->probe && w->patience_us < PROBE_US)
		w->patience_us = PROBE_US;
	/* Progress is noted before each poll and each sleep. */
	w->patience_us += 2 * TURN_US;
	return 0;
}

/* Signals are the loop's business. */
static int start_thread(struct tg_worker *w)
{
	sigset_t all, before;
	int r;

	(void) sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r != 0)
		return -r;
	r = pthread_create(&w->thread, NULL, run, w);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->started = r == 0;
	return -r;
}

TG_DEFINE_CLEANUP(struct tg_worker *, tg_worker_free)

int tg_worker_new(const struct tg_worker_setup *setup, struct tg_worker **ret,
		  struct tg_fault *reterr)
{
	tg_cleanup(tg_worker_freep) struct tg_worker *w = NULL;
	const struct tg_config_bus *bus = &setup->cfg->buses[setup->bus];
	const struct tg_bus_driver *driver = tg_bus_driver_get(bus->type);
	int r;

	assert(setup->bus < setup->cfg->n_buses);
	if (!driver)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "%s: bus %s: this build has no driver for its type",
				    bus->origin, bus->name);

	w = calloc(1, sizeof(*w));
	if (!w)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	w->setup = *setup;
	w->setup.cfg = tg_config_ref(setup->cfg);
	w->bus_cfg = bus;
	w->driver = driver;
	atomic_store(&w->progress_us, tg_clock_boot_us());

	r = tg_mailbox_new(REQUESTS, sizeof(struct request), drop_request, &w->requests);
	if (r < 0)
		return tg_fault_set(reterr, r, "bus %s: %s", w->bus_cfg->name, strerror(-r));
	r = driver->open(w->setup.cfg, w->setup.bus, &w->bus, reterr);
	if (r < 0)
		return r;
	r = add_devices(w, w->setup.bus, reterr);
	if (r < 0)
		return r;
	r = start_thread(w);
	if (r < 0)
		return tg_fault_set(reterr, r, "bus %s: no thread: %s", w->bus_cfg->name,
				    strerror(-r));

	*ret = tg_take(w);
	return 0;
}

int tg_worker_poll_now(struct tg_worker *w, size_t device)
{
	const struct request rq = { .device = device };

	if (!tg_worker_find(w, device))
		return -EINVAL;
	return tg_mailbox_post(w->requests, &rq);
}

int tg_worker_errand(struct tg_worker *w, struct tg_errand *e)
{
	const struct request rq = { .device = SIZE_MAX, .errand = e };

	return tg_mailbox_post(w->requests, &rq);
}

uint64_t tg_worker_progress_us(const struct tg_worker *w)
{
	return atomic_load(&w->progress_us);
}

uint64_t tg_worker_patience_us(const struct tg_worker *w)
{
	return w->patience_us;
}

void tg_worker_ask_stop(struct tg_worker *w)
{
	const struct request wake = { .device = SIZE_MAX };

	atomic_store(&w->stop, true);
	/* A full mailbox wakes the thread just as well. */
	if (tg_mailbox_post(w->requests, &wake) < 0)
		return;
}

bool tg_worker_ended(const struct tg_worker *w)
{
	return atomic_load(&w->ended);
}

struct tg_worker *tg_worker_free(struct tg_worker *w)
{
	if (!w)
		return NULL;
	if (w->started) {
		tg_worker_ask_stop(w);
		(void) pthread_join(w->thread, NULL);
	}
	for (size_t i = 0; i < w->n_devices; i++) {
		if (w->driver->plan_free)
			w->driver->plan_free(w->devices[i].plan);
		if (w->driver->listen && w->devices[i].gather.points)
			tg_gather_done(&w->devices[i].gather);
		tg_totals_done(&w->devices[i].totals);
	}
	w->driver->close(w->bus);
	(void) tg_mailbox_free(w->requests);
	free(w->devices);
	free(w->samples);
	(void) tg_config_unref(w->setup.cfg);
	free(w);
	return NULL;
}
