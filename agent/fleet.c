/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fleet.h"

#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

#define RETRY_US TG_US_PER_S
#define LOOK_US  (20 * TG_US_PER_MS) /* how often stopping workers are looked at */

struct tg_fleet {
	sd_event_source *timer;
	struct tg_worker_setup setup;
	tg_fleet_took_over_fn took_over;
	struct tg_config *cfg;      /* of the workers that run, or are being stopped */
	struct tg_config *next;     /* waits for them to end */
	struct tg_worker **workers; /* one for each bus; NULL: does not run */
	size_t n_workers;
	struct tg_device_state *states;
	size_t n_devices;
	struct tg_bus_state *buses; /* n_workers of them */
};

static void ask_all(struct tg_fleet *f)
{
	for (size_t i = 0; i < f->n_workers; i++) {
		if (f->workers[i])
			tg_worker_ask_stop(f->workers[i]);
	}
}

static bool all_ended(const struct tg_fleet *f)
{
	for (size_t i = 0; i < f->n_workers; i++) {
		if (f->workers[i] && !tg_worker_ended(f->workers[i]))
			return false;
	}
	return true;
}

static void free_workers(struct tg_fleet *f)
{
	for (size_t i = 0; i < f->n_workers; i++)
		tg_worker_free(f->workers[i]);
	free(f->workers);
	free(f->states);
	free(f->buses);
	f->workers = NULL;
	f->states = NULL;
	f->buses = NULL;
	f->n_workers = f->n_devices = 0;
	f->cfg = tg_config_unref(f->cfg);
}

/* Also of buses without devices: somebody may want to look round on them. */
static void start_workers(struct tg_fleet *f)
{
	for (size_t i = 0; i < f->n_workers; i++) {
		struct tg_worker_setup setup = f->setup;
		struct tg_bus_state *st = &f->buses[i];
		struct tg_fault why = { .text = "" };

		setup.cfg = f->cfg;
		setup.bus = i;
		*st = (struct tg_bus_state){ .cfg = f->cfg, .bus = i };
		if (tg_worker_new(&setup, &f->workers[i], &why) == 0)
			continue;
		st->condition = TG_BUS_OFF;
		st->since_us = tg_clock_boot_us();
		(void) tg_printable(st->error, sizeof(st->error), why.text, strlen(why.text));
		tg_log(LOG_ERR, "bus", "%s does not run: %s", f->cfg->buses[i].name, why.text);
	}
}

/* Nothing has changed when it fails: the next configuration stays the next. */
static int take_over(struct tg_fleet *f)
{
	const struct tg_config *cfg = f->next;
	/* calloc() of nothing may return NULL. */
	tg_autofree struct tg_worker **workers = calloc(cfg->n_buses + 1, sizeof(*workers));
	tg_autofree struct tg_device_state *states = calloc(cfg->n_devices + 1, sizeof(*states));
	tg_autofree struct tg_bus_state *buses = calloc(cfg->n_buses + 1, sizeof(*buses));
	int r;

	if (!workers || !states || !buses)
		return -ENOMEM;
	for (size_t i = 0; i < cfg->n_devices; i++)
		states[i].device = i;
	r = tg_pipeline_configure(f->setup.pipeline, cfg);
	if (r < 0)
		return r;
	free_workers(f);
	f->cfg = tg_take(f->next);
	f->workers = tg_take(workers);
	f->n_workers = f->cfg->n_buses;
	f->states = tg_take(states);
	f->buses = tg_take(buses);
	f->n_devices = f->cfg->n_devices;
	start_workers(f);
	f->took_over(f->setup.user);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_fleet *f = user;
	uint64_t pause = LOOK_US;
	int r;

	(void) usec;
	if (!f->next)
		return 0;
	if (all_ended(f)) {
		r = take_over(f);
		if (r == 0)
			return 0;
		tg_log(LOG_ERR, "bus", "the buses do not run: %s; trying again", strerror(-r));
		pause = RETRY_US;
	}
	r = sd_event_source_set_time(s, tg_clock_boot_us() + pause);
	return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int tg_fleet_new(sd_event *loop, const struct tg_worker_setup *setup,
		 tg_fleet_took_over_fn took_over, struct tg_fleet **ret)
{
	tg_autofree struct tg_fleet *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->setup = *setup;
	f->took_over = took_over;
	r = sd_event_add_time(loop, &f->timer, CLOCK_BOOTTIME, TG_US_FOREVER, TG_US_PER_MS,
			      on_timer, f);
	if (r < 0)
		return r;
	(void) sd_event_source_set_description(f->timer, "fleet");
	*ret = tg_take(f);
	return 0;
}

struct tg_fleet *tg_fleet_free(struct tg_fleet *f)
{
	if (!f)
		return NULL;
	free_workers(f);
	tg_config_unref(f->next);
	sd_event_source_unref(f->timer);
	free(f);
	return NULL;
}

int tg_fleet_configure(struct tg_fleet *f, struct tg_config *cfg)
{
	int r;

	tg_config_unref(f->next);
	f->next = tg_config_ref(cfg);
	ask_all(f);
	if (all_ended(f)) {
		r = take_over(f);
		/* The first one must work: until then there is no configuration to show. */
		if (r == 0 || !f->cfg)
			return r;
	}
	r = sd_event_source_set_time(f->timer, tg_clock_boot_us() + LOOK_US);
	return r < 0 ? r : sd_event_source_set_enabled(f->timer, SD_EVENT_ONESHOT);
}

int tg_fleet_stop(struct tg_fleet *f, uint64_t timeout_us)
{
	uint64_t until = tg_clock_boot_us() + timeout_us;

	if (!f)
		return 0;
	f->next = tg_config_unref(f->next);
	ask_all(f);
	while (!all_ended(f) && tg_clock_boot_us() < until)
		(void) poll(NULL, 0, 10);
	return all_ended(f) ? 0 : -ETIMEDOUT;
}

uint64_t tg_fleet_patience_us(const struct tg_fleet *f, size_t device)
{
	const struct tg_worker *w =
		device < f->n_devices ? f->workers[f->cfg->devices[device].bus] : NULL;

	return w ? tg_worker_patience_us(w) : 0;
}

int tg_fleet_poll_now(struct tg_fleet *f, size_t device)
{
	struct tg_worker *w;

	/* Between two configurations nobody would hear it. */
	if (f->next || device >= f->n_devices)
		return -EAGAIN;
	w = f->workers[f->cfg->devices[device].bus];
	return w ? tg_worker_poll_now(w, device) : -EOPNOTSUPP;
}

int tg_fleet_errand(struct tg_fleet *f, size_t bus, struct tg_errand *e)
{
	if (f->next || bus >= f->n_workers)
		return -EAGAIN;
	return f->workers[bus] ? tg_worker_errand(f->workers[bus], e) : -EOPNOTSUPP;
}

const struct tg_config *tg_fleet_config(const struct tg_fleet *f)
{
	return f->cfg;
}

const struct tg_device_state *tg_fleet_states(const struct tg_fleet *f)
{
	return f->states;
}

const struct tg_bus_state *tg_fleet_buses(const struct tg_fleet *f)
{
	return f->buses;
}

bool tg_fleet_note_bus(struct tg_fleet *f, const struct tg_bus_state *state)
{
	bool differs;

	if (state->cfg != f->cfg || state->bus >= f->n_workers)
		return false;
	differs = f->buses[state->bus].condition != state->condition;
	f->buses[state->bus] = *state;
	return differs;
}

bool tg_fleet_note(struct tg_fleet *f, const struct tg_device_state *state)
{
	bool differs;

	/* News of workers that were stopped meanwhile count for nothing: their numbers mean other devices now. */
	if (state->cfg != f->cfg || state->device >= f->n_devices)
		return false;
	differs = f->states[state->device].health != state->health;
	f->states[state->device] = *state;
	return differs;
}

int tg_fleet_device(const struct tg_fleet *f, const char *name, size_t *ret)
{
	for (size_t i = 0; i < f->n_devices; i++) {
		if (strcmp(f->cfg->devices[i].name, name) != 0)
			continue;
		*ret = i;
		return 0;
	}
	return -ENOENT;
}

const char *tg_fleet_stuck(const struct tg_fleet *f, uint64_t now_us)
{
	for (size_t i = 0; i < f->n_workers; i++) {
		const struct tg_worker *w = f->workers[i];

		/* One that has ended waits for the others, which may take long. */
		if (w && !tg_worker_ended(w) &&
		    now_us > tg_us_add(tg_worker_progress_us(w), tg_worker_patience_us(w)))
			return f->cfg->buses[i].name;
	}
	return NULL;
}
