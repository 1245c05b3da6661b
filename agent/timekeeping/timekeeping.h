/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pipeline/pipeline.h"
#include "wallclock/wallclock.h"

#include <stdint.h>
#include <systemd/sd-event.h>

/*
 * How far the wall clock can be trusted, for the whole agent.
 *
 * The rules are those of wallclock/wallclock.h; here they meet the sync
 * services, the watch for a clock that is set, the time that is saved for the
 * next start, and the events that tell of it. Nothing here sets the clock.
 *
 * Everything runs on the loop but for what says "any thread": that reads the
 * last answer and both clocks, and never blocks.
 */
struct tg_timekeeping;

struct tg_time_state {
	enum tg_clock_trust trust;
	/* Not suspect, not synchronised, and not for long: what is planned by the clock should wait. */
	bool waiting;
	int64_t believed_s, floor_s; /* seconds since 1970 */
	enum tg_floor_source source; /* of the floor */
	const char *service;         /* that says "synchronised", or NULL */
	int64_t offset_us;           /* CLOCK_REALTIME - CLOCK_BOOTTIME */
	uint64_t jumps;              /* how often the clock was set since the start */
};

struct tg_time_change {
	struct tg_time_state was, is;
	int64_t step_us; /* by which the clock was set; 0: it was not */
};
/* Called on the loop when trust, waiting or the believed time have changed: plans by the clock are made again. */
typedef void (*tg_timekeeping_changed_fn)(void *user, const struct tg_time_change *change);

/* @state_dir has the saved time. No callback comes before the first refresh. Returns 0 or -errno. */
int tg_timekeeping_new(sd_event *loop, const char *state_dir, tg_timekeeping_changed_fn changed,
		       void *user, struct tg_timekeeping **ret) TG_CHECKED;
/* Waits for a write of the saved time that is under way. Returns 0, or -ETIMEDOUT: then do not free. */
int tg_timekeeping_stop(struct tg_timekeeping *t, uint64_t timeout_us) TG_CHECKED;
struct tg_timekeeping *tg_timekeeping_free(struct tg_timekeeping *t); /* accepts NULL */
/* @wall_s (seconds since 1970) has certainly passed: a proof, or hearsay, by its source. */
void tg_timekeeping_raise_floor(struct tg_timekeeping *t, enum tg_floor_source source,
				int64_t wall_s);
/* Looks at the clock and at the sync service again: at the start, and each second. */
void tg_timekeeping_refresh(struct tg_timekeeping *t);
/* Everything that status shows. */
void tg_timekeeping_state(const struct tg_timekeeping *t, struct tg_time_state *ret);

/* The floor now, in seconds since 1970. Any thread. */
int64_t tg_timekeeping_floor(const struct tg_timekeeping *t);
/* The time to decide and to judge certificates at: never below the floor. Any thread. */
int64_t tg_timekeeping_believed_s(void *timekeeping);
/* The wall clock's offset and trust at this moment. Any thread: a tg_pipeline_clock_fn. */
struct tg_pipeline_clock tg_timekeeping_now(void *timekeeping);
