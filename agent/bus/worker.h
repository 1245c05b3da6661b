/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/bus_watch.h"
#include "agent/bus/driver.h"
#include "agent/bus/errand.h"
#include "agent/pipeline/pipeline.h"

/*
 * One thread per physical bus: polls its devices on schedule, skips (never
 * piles up) polls that are late, backs a dead device off, hears what comes
 * unasked, scales what it got, hands it to the pipeline, and reports the health of
 * the bus and of each device.
 *
 * Poll instants are phase-locked (start + k * every), so that a slow poll
 * does not shift the next; devices of one bus start spread over their interval.
 */
struct tg_worker;

enum tg_device_health { TG_DEVICE_UNKNOWN, TG_DEVICE_OK, TG_DEVICE_DEGRADED, TG_DEVICE_DEAD };

struct tg_device_state {
	const struct tg_config *cfg; /* to be compared, not followed: it may have gone meanwhile */
	size_t device;               /* index in it */
	enum tg_device_health health;
	bool asked; /* it is polled; else what follows counts the packs of what it said */
	uint64_t polls, failures, skipped; /* since start */
	uint64_t last_ok_us, last_poll_us; /* CLOCK_BOOTTIME; 0: never */
	uint64_t next_poll_us;
	uint64_t took_us; /* the last poll */
	unsigned bad_points;
	uint64_t heard, over; /* values that came unasked; of these beyond what is usual */
	bool babbles;
	char error[TG_REASON_MAX + 1]; /* "" when ok */
};

struct tg_bus_state {
	const struct tg_config *cfg; /* as above */
	size_t bus;                  /* index in it */
	enum tg_bus_condition condition;
	uint64_t since_us; /* CLOCK_BOOTTIME; 0: it was never tried */
	uint64_t late;     /* polls skipped, of all devices, since start */
	uint64_t dropped;  /* units of input thrown away unread, since start */
	struct tg_bus_note note;
	char error[TG_REASON_MAX + 1]; /* why it is down or off, else "" */
};

/* Called on the worker's thread; must only post. */
typedef void (*tg_device_state_fn)(void *user, const struct tg_device_state *state);
typedef void (*tg_bus_state_fn)(void *user, const struct tg_bus_state *state);

struct tg_worker_setup {
	struct tg_config *cfg; /* kept by reference */
	size_t bus;            /* of it */
	struct tg_pipeline *pipeline;
	const char *
		state_dir; /* where totals of counters are kept, outlives the worker; NULL: they are not */
	tg_device_state_fn device_changed; /* after each poll or pack; may be NULL */
	tg_bus_state_fn
		bus_changed; /* when it goes down or comes back, and once a second at most; may be NULL */
	void *user;
};

/* Starts the thread. Returns 0, -EOPNOTSUPP when the build has no such driver, or -errno. */
int tg_worker_new(const struct tg_worker_setup *setup, struct tg_worker **ret,
		  struct tg_fault *reterr) TG_CHECKED;
/*
 * Asks for a poll of @device now, even when it is backed off: `tidegate read`. Of a device that is not polled the
 * newest values are handed on. Any thread; -EAGAIN when too many wait.
 */
int tg_worker_poll_now(struct tg_worker *w, size_t device) TG_CHECKED;
/* Has @e run in its turn, which is soon. Any thread; -EAGAIN when too many wait: then @e stays the caller's. */
int tg_worker_errand(struct tg_worker *w, struct tg_errand *e) TG_CHECKED;
/* CLOCK_BOOTTIME of the last turn, and how long a turn may last (time-outs times retries and a
 * margin), for the watchdog. Any thread. */
uint64_t tg_worker_progress_us(const struct tg_worker *w);
uint64_t tg_worker_patience_us(const struct tg_worker *w);
/* Ask all first, then wait: stopping takes as long as one poll. _free accepts NULL, waits for the
 * thread, returns NULL. */
void tg_worker_ask_stop(struct tg_worker *w);
/* Whether the thread has ended, so that _free does not wait. Any thread. */
bool tg_worker_ended(const struct tg_worker *w);
struct tg_worker *tg_worker_free(struct tg_worker *w);
