/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/worker.h"

#include "agent/bus/convert.h"
#include "agent/bus/schedule.h"
#include "base/clock.h"
#include "base/mailbox.h"

#include <tidegate/log.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long the thread sleeps at most, so that the watchdog sees it turn. */
#define TURN_US  (5 * TG_US_PER_S)
#define REQUESTS 64 /* polls out of turn, writes and probes that may wait */
#define LOG_BURST                                                                                  \
	4 /* lost and back lines of one device in LOG_WINDOW_US; one that flaps fills no journal   \
	   */
#define LOG_WINDOW_US (600 * TG_US_PER_S)

struct request {
	size_t device;		  /* index in the configuration; SIZE_MAX: only wake up */
	struct tg_errand *errand; /* or this one, instead */
};

struct device {
	const struct tg_config_device *cfg;
	void *plan;
	struct tg_schedule schedule;
	struct tg_device_state state;
	struct tg_log_limit log_limit;
	bool bus_down; /* the last poll failed for the bus, not for the device */
};

struct tg_worker {
	struct tg_config *cfg;
	const struct tg_config_bus *bus_cfg;
	const struct tg_bus_driver *driver;
	struct tg_bus *bus;
	struct tg_pipeline *pipeline;
	tg_device_state_fn changed;
	void *user;
	struct device *devices;
	size_t n_devices;
	struct tg_sample *samples; /* of one poll */
	struct tg_mailbox *requests;
	uint64_t patience_us;
	_Atomic uint64_t progress_us;
	atomic_bool stop, ended;
	pthread_t thread;
	bool started;
};

/* --- one poll --- */

static void prepare_samples(struct tg_worker *w, const struct tg_config_device *dev, uint64_t now)
{
	for (size_t i = 0; i < dev->n_points; i++) {
		w->samples[i] = (struct tg_sample){
			.point = dev->points[i].name,
			.unit = dev->points[i].unit,
			.reason = "not read",
			.quality = TG_BAD,
			.boot_us = now,
		};
	}
}

/* Whatever the driver left behind: no sample of a device that did not answer looks like a reading.
 */
static void spoil_samples(struct tg_worker *w, const struct device *d)
{
	for (size_t i = 0; i < d->cfg->n_points; i++) {
		struct tg_sample *s = &w->samples[i];

		if (s->quality == TG_GOOD)
			s->reason = d->state.error;
		s->quality = TG_BAD;
		s->value = (struct tg_value){ .type = TG_VALUE_NONE };
	}
}

static void convert_samples(struct tg_worker *w, const struct tg_config_device *dev)
{
	for (size_t i = 0; i < dev->n_points; i++)
		tg_convert(&dev->points[i], &w->samples[i]);
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

/* Health, error and counts after a poll with the result @r. */
static void judge(struct tg_worker *w, struct device *d, int r, const struct tg_fault *fault)
{
	struct tg_device_state *st = &d->state;
	const struct tg_sample *bad;
	char text[TG_FAULT_MAX] = "";

	st->polls++;
	if (r < 0) {
		st->failures++;
		st->health = TG_DEVICE_DEAD;
		st->bad_points = (unsigned) d->cfg->n_points;
		(void) tg_printable(st->error, sizeof(st->error), fault->text, strlen(fault->text));
		spoil_samples(w, d);
		return;
	}

	bad = first_bad(w, d->cfg, &st->bad_points);
	st->health = bad || r > 0 ? TG_DEVICE_DEGRADED : TG_DEVICE_OK;
	if (bad)
		(void) snprintf(text, sizeof(text), "%s: %s", bad->point, bad->reason);
	else if (r > 0)
		(void) snprintf(text, sizeof(text), "answered after %d retries", r);
	(void) tg_printable(st->error, sizeof(st->error), text, strlen(text));
	st->last_ok_us = tg_clock_boot_us();
}

static void log_change(struct device *d, enum tg_device_health before)
{
	bool lost = d->state.health == TG_DEVICE_DEAD && before != TG_DEVICE_DEAD;
	bool back = d->state.health != TG_DEVICE_DEAD && before == TG_DEVICE_DEAD;
	char text[TG_FAULT_MAX];

	if ((!lost && !back) ||
	    !tg_log_allowed(&d->log_limit, tg_clock_boot_us(), LOG_BURST, LOG_WINDOW_US))
		return;
	if (back) {
		(void) snprintf(text, sizeof(text), "Device %s answers again", d->cfg->name);
		tg_event(TG_EV_DEVICE_BACK, LOG_NOTICE, text, TG_F_DEVICE, d->cfg->name, NULL);
		return;
	}
	(void) snprintf(text, sizeof(text), "Device %s does not answer: %s; asking less often",
			d->cfg->name, d->state.error);
	tg_event(TG_EV_DEVICE_LOST, LOG_WARNING, text, TG_F_DEVICE, d->cfg->name, TG_F_REASON,
		 d->state.error, NULL);
}

/* When the bus is back for one device, those that failed for the bus need not wait until their
 * back-off ends. */
static void note_bus(struct tg_worker *w, struct device *d, int r, uint64_t now)
{
	d->bus_down = r == -ENOTCONN;
	if (d->bus_down)
		return;
	for (size_t i = 0; i < w->n_devices; i++) {
		if (!w->devices[i].bus_down)
			continue;
		w->devices[i].bus_down = false;
		tg_schedule_wake(&w->devices[i].schedule, now);
	}
}

static void poll_device(struct tg_worker *w, struct device *d, bool extra)
{
	enum tg_device_health before = d->state.health;
	struct tg_fault fault = { 0 };
	uint64_t start = tg_clock_boot_us(), end;
	int r;

	atomic_store(&w->progress_us, start);
	prepare_samples(w, d->cfg, start);
	r = w->driver->poll(w->bus, d->cfg, d->plan, d->cfg->retries, w->samples, &fault);
	end = tg_clock_boot_us();

	if (r >= 0)
		convert_samples(w, d->cfg);
	judge(w, d, r, &fault);
	if (extra)
		tg_schedule_done_extra(&d->schedule, end, r >= 0);
	else
		tg_schedule_done(&d->schedule, end, r >= 0);
	note_bus(w, d, r, end);
	d->state.skipped = d->schedule.skipped;
	d->state.last_poll_us = start;
	d->state.took_us = end - start;
	d->state.next_poll_us = d->schedule.next_us;

	/* Good or bad, every poll makes a pack: silence is told, not left to be guessed. */
	tg_pipeline_submit(w->pipeline, (size_t) (d->cfg - w->cfg->devices), w->samples,
			   d->cfg->n_points);
	log_change(d, before);
	if (w->changed)
		w->changed(w->user, &d->state);
}

/* --- the thread --- */

static struct device *find_device(const struct tg_worker *w, size_t index)
{
	for (size_t i = 0; i < w->n_devices; i++) {
		if (w->devices[i].state.device == index)
			return &w->devices[i];
	}
	return NULL;
}

static struct device *earliest(const struct tg_worker *w)
{
	struct device *best = NULL;

	for (size_t i = 0; i < w->n_devices; i++) {
		if (!best || w->devices[i].schedule.next_us < best->schedule.next_us)
			best = &w->devices[i];
	}
	return best;
}

static const char *silence(const struct tg_bus_hands *h, size_t device)
{
	const struct device *d = find_device(h->worker, device);

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
		.cfg = w->cfg,
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

/* One request and one poll that is due a turn, so that neither keeps the other waiting. */
static void turn(struct tg_worker *w)
{
	struct request rq;
	struct device *d;
	uint64_t now;

	if (tg_mailbox_take(w->requests, &rq) == 1) {
		d = find_device(w, rq.device);
		if (rq.errand)
			run_errand(w, rq.errand);
		else if (d)
			poll_device(w, d, true);
	}

	now = tg_clock_boot_us();
	d = earliest(w);
	if (d && d->schedule.next_us <= now)
		poll_device(w, d, false);
}

static void *run(void *user)
{
	struct tg_worker *w = user;
	char name[16];

	(void) snprintf(name, sizeof(name), "bus %.11s", w->bus_cfg->name);
	(void) pthread_setname_np(pthread_self(), name);

	while (!atomic_load(&w->stop)) {
		const struct device *d = earliest(w);
		uint64_t now = tg_clock_boot_us(), until = now + TURN_US;

		atomic_store(&w->progress_us, now);
		if (d && d->schedule.next_us < until)
			until = d->schedule.next_us;
		if (until > now)
			(void) tg_mailbox_wait(w->requests, until);
		if (!atomic_load(&w->stop))
			turn(w);
	}
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

static int add_device(struct tg_worker *w, size_t index, unsigned n, uint64_t now,
		      struct tg_fault *reterr)
{
	const struct tg_config_device *cfg = &w->cfg->devices[index];
	struct device *d = &w->devices[w->n_devices];
	uint64_t patience;
	int r;

	d->cfg = cfg;
	d->state.cfg = w->cfg;
	d->state.device = index;
	tg_schedule_init(&d->schedule, now, cfg->every_us, cfg->backoff_us, (unsigned) w->n_devices,
			 n);
	d->state.next_poll_us = d->schedule.next_us;
	w->n_devices++;
	if (w->driver->plan) {
		r = w->driver->plan(w->bus, cfg, &d->plan, reterr);
		if (r < 0) {
			(void) tg_fault_prefix(reterr, "%s: device %s", cfg->origin, cfg->name);
			return r;
		}
	}
	patience = w->driver->patience_us(w->bus, cfg, d->plan);
	if (patience > w->patience_us)
		w->patience_us = patience;
	return 0;
}

static int add_devices(struct tg_worker *w, size_t bus, struct tg_fault *reterr)
{
	uint64_t now = tg_clock_boot_us();
	size_t points, n = count_devices(w->cfg, bus, &points);

	w->devices = calloc(n ? n : 1, sizeof(*w->devices));
	w->samples = calloc(points ? points : 1, sizeof(*w->samples));
	if (!w->devices || !w->samples)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");

	for (size_t i = 0; i < w->cfg->n_devices; i++) {
		int r;

		if (w->cfg->devices[i].bus != bus || w->cfg->devices[i].n_points == 0)
			continue;
		r = add_device(w, i, (unsigned) n, now, reterr);
		if (r < 0)
			return r;
	}
	if (w->driver->probe && w->patience_us < TG_PROBE_US)
		w->patience_us = TG_PROBE_US;
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

int tg_worker_new(struct tg_config *cfg, size_t bus, struct tg_pipeline *pipeline,
		  tg_device_state_fn changed, void *user, struct tg_worker **ret,
		  struct tg_fault *reterr)
{
	tg_cleanup(tg_worker_freep) struct tg_worker *w = NULL;
	const struct tg_bus_driver *driver;
	int r;

	assert(bus < cfg->n_buses);
	driver = tg_bus_driver_get(cfg->buses[bus].type);
	if (!driver)
		return tg_fault_set(reterr, -EOPNOTSUPP,
				    "%s: bus %s: this build has no driver for its type",
				    cfg->buses[bus].origin, cfg->buses[bus].name);

	w = calloc(1, sizeof(*w));
	if (!w)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	w->cfg = tg_config_ref(cfg);
	w->bus_cfg = &cfg->buses[bus];
	w->driver = driver;
	w->pipeline = pipeline;
	w->changed = changed;
	w->user = user;
	atomic_store(&w->progress_us, tg_clock_boot_us());

	r = tg_mailbox_new(REQUESTS, sizeof(struct request), drop_request, &w->requests);
	if (r < 0)
		return tg_fault_set(reterr, r, "bus %s: %s", w->bus_cfg->name, strerror(-r));
	r = driver->open(cfg, bus, &w->bus, reterr);
	if (r < 0)
		return r;
	r = add_devices(w, bus, reterr);
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

	if (!find_device(w, device))
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
	}
	w->driver->close(w->bus);
	(void) tg_mailbox_free(w->requests);
	free(w->devices);
	free(w->samples);
	(void) tg_config_unref(w->cfg);
	free(w);
	return NULL;
}
