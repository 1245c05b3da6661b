/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/driver.h"
#include "agent/bus/errand.h"
#include "agent/pipeline/pipeline.h"

/*
 * One thread per physical bus: polls its devices on schedule, skips (never
 * piles up) polls that are late, backs a dead device off, hands what it read
 * to the pipeline, and reports each device's health.
 *
 * Poll instants are phase-locked (start + k * every), so that a slow poll
 * does not shift the next; devices of one bus start spread over their interval.
 */
struct tg_worker;

enum tg_device_health { TG_DEVICE_UNKNOWN, TG_DEVICE_OK, TG_DEVICE_DEGRADED, TG_DEVICE_DEAD };

struct tg_device_state {
	const struct tg_config *cfg; /* to be compared, not followed: it may have gone meanwhile */
	size_t device;		     /* index in it */
	enum tg_device_health health;
	uint64_t polls, failures, skipped; /* since start */
	uint64_t last_ok_us, last_poll_us; /* CLOCK_BOOTTIME; 0: never */
	uint64_t next_poll_us;
	uint64_t took_us; /* the last poll */
	unsigned bad_points;
	char error[TG_REASON_MAX + 1]; /* "" when ok */
};

/* Called on the worker's thread after each poll; must only post. */
typedef void (*tg_device_state_fn)(void *user, const struct tg_device_state *state);

/* Starts the thread for bus @bus of @cfg (kept by reference). Returns 0, -EOPNOTSUPP when the build
 * has no such driver, or -errno. */
int tg_worker_new(struct tg_config *cfg, size_t bus, struct tg_pipeline *pipeline,
		  tg_device_state_fn changed, void *user, struct tg_worker **ret,
		  struct tg_fault *reterr) TG_CHECKED;
/* Asks for a poll of @device now, even when it is backed off: `tidegate read`. Any thread; -EAGAIN
 * when too many wait. */
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
