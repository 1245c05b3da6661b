/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timekeeping.h"

#include "agent/timekeeping/timesaver.h"
#include "agent/timekeeping/timesync.h"
#include "agent/timekeeping/timewatch.h"
#include "base/clock.h"
#include "wallclock/look.h"

#include <tidegate/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define US ((int64_t) TG_US_PER_S)

struct tg_timekeeping {
	tg_timekeeping_changed_fn changed;
	void *user;
	struct tg_wallclock clock;
	struct tg_instant seen; /* at the last refresh */
	struct tg_time_state state;
	bool told; /* of the first state */
	struct tg_timesync *sync;
	struct tg_timesaver *saver;
	struct tg_timewatch watch;

	/* for the other threads */
	_Atomic int64_t floor_offset_us, seen_offset_us;
	_Atomic int trust;
};

static void publish(struct tg_timekeeping *t)
{
	atomic_store(&t->floor_offset_us, tg_wallclock_floor_offset_us(&t->clock));
	atomic_store(&t->seen_offset_us, tg_instant_offset_us(t->seen));
	atomic_store(&t->trust, (int) t->state.trust);
}

/* --- what changes ------------------------------------------------------------------------------------------------ */

static struct tg_time_state state_at(const struct tg_timekeeping *t, struct tg_instant now)
{
	struct tg_time_state s = {
		.trust = tg_wallclock_judge(&t->clock, now),
		.waiting = tg_wallclock_waits(&t->clock, now),
		.believed_s = tg_wallclock_believed_s(&t->clock, now),
		.floor_s = tg_wallclock_floor_s(&t->clock, now.boot_us),
		.source = tg_wallclock_floor_source(&t->clock),
		.service = tg_timesync_service(t->sync),
		.offset_us = tg_instant_offset_us(now),
		.jumps = t->state.jumps,
	};

	return s;
}

static void tell_event(const struct tg_time_change *c, int64_t wall_us)
{
	bool bad = c->is.trust == TG_CLOCK_SUSPECT, ahead = wall_us / US > c->is.floor_s;
	char wall[32], floor[32], step[24];

	(void) tg_clock_iso(wall_us, wall);
	(void) tg_clock_iso(c->is.floor_s * US, floor);
	(void) snprintf(step, sizeof(step), "%" PRId64, c->step_us / US);
	tg_log(bad ? LOG_WARNING : LOG_NOTICE, "clock",
	       !bad    ? "the clock says %s now, which can be after %s (by the %s)"
	       : ahead ? "the clock says %s, which is decades after %s (by the %s)"
		       : "the clock says %s, but it is at least %s (by the %s)",
	       wall, floor, tg_floor_source_name(c->is.source));
	tg_event(bad ? TG_EV_CLOCK_SUSPECT : TG_EV_CLOCK_REPAIRED, bad ? LOG_WARNING : LOG_NOTICE,
		 bad ? "The clock cannot be believed" : "The clock can be believed again",
		 TG_F_TIME, wall, TG_F_FLOOR, floor, TG_F_SOURCE,
		 tg_floor_source_name(c->is.source), TG_F_STEP_S, step, NULL);
}

/* By how much the believed time has moved against CLOCK_BOOTTIME. */
static bool moved(const struct tg_time_change *c, uint64_t passed_us)
{
	int64_t by = (c->is.believed_s - c->was.believed_s) * US - (int64_t) passed_us;

	/* Both are whole seconds. */
	return by > 2 * US || by < -2 * US;
}

static void tell(struct tg_timekeeping *t, const struct tg_time_change *c, struct tg_instant now,
		 uint64_t passed_us)
{
	bool was = t->told && c->was.trust == TG_CLOCK_SUSPECT;
	bool first = !t->told;

	t->told = true;
	if (was != (c->is.trust == TG_CLOCK_SUSPECT))
		tell_event(c, now.wall_us);
	else if (c->step_us)
		tg_log(LOG_NOTICE, "clock", "the clock was set by %" PRId64 " s", c->step_us / US);
	if (first || c->step_us || c->was.trust != c->is.trust || c->was.waiting != c->is.waiting ||
	    moved(c, passed_us))
		t->changed(t->user, c);
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */

static void keep_time(struct tg_timekeeping *t, struct tg_instant now)
{
	if (t->state.trust == TG_CLOCK_SYNCHRONISED)
		(void) tg_timesaver_offer(t->saver, now.wall_us / US, now.boot_us, true);
	else
		/* The floor is true whatever the clock says. */
		(void) tg_timesaver_offer(t->saver, t->state.floor_s, now.boot_us, false);
}

void tg_timekeeping_refresh(struct tg_timekeeping *t)
{
	struct tg_instant now = tg_wallclock_instant();
	struct tg_time_change c = { .was = t->state, .step_us = tg_instant_jump_us(t->seen, now) };
	uint64_t passed_us = now.boot_us - t->seen.boot_us;

	if (c.step_us) {
		t->state.jumps++;
		tg_wallclock_was_set(&t->clock, c.step_us, now);
		tg_timesync_clock_set(t->sync, now.wall_us / US);
	}
	tg_timesync_turn(t->sync, now.boot_us);
	tg_wallclock_synchronise(&t->clock, tg_timesync_says(t->sync), now);
	t->seen = now;
	t->state = c.is = state_at(t, now);
	publish(t);
	keep_time(t, now);
	tell(t, &c, now, passed_us);
}

static void on_clock_set(void *user)
{
	tg_timekeeping_refresh(user);
}

void tg_timekeeping_raise_floor(struct tg_timekeeping *t, enum tg_floor_source source,
				int64_t wall_s)
{
	/* The rest follows with the next refresh; who asks for the time meanwhile gets it right. */
	if (tg_wallclock_raise(&t->clock, source, wall_s, tg_clock_boot_us()))
		publish(t);
}

void tg_timekeeping_state(const struct tg_timekeeping *t, struct tg_time_state *ret)
{
	*ret = t->state;
}

/* --- any thread -------------------------------------------------------------------------------------------------- */

int64_t tg_timekeeping_floor(const struct tg_timekeeping *t)
{
	return (atomic_load(&t->floor_offset_us) + (int64_t) tg_clock_boot_us()) / US;
}

/* The rules once more, by what the last refresh knew and what both clocks show now: the clock may have been set since. */
static enum tg_clock_trust trust_at(const struct tg_timekeeping *t, int64_t offset_us)
{
	int64_t floor_us = atomic_load(&t->floor_offset_us);
	int64_t step = offset_us - atomic_load(&t->seen_offset_us);

	if (offset_us < floor_us - TG_WALL_SLACK_US || offset_us > floor_us + TG_WALL_AHEAD_US)
		return TG_CLOCK_SUSPECT;
	if (atomic_load(&t->trust) == TG_CLOCK_SYNCHRONISED && step <= TG_WALL_JUMP_US &&
	    step >= -TG_WALL_JUMP_US)
		return TG_CLOCK_SYNCHRONISED;
	return TG_CLOCK_UNCONFIRMED;
}

int64_t tg_timekeeping_believed_s(void *timekeeping)
{
	const struct tg_timekeeping *t = timekeeping;
	struct tg_instant now = tg_wallclock_instant();
	int64_t floor_s = (atomic_load(&t->floor_offset_us) + (int64_t) now.boot_us) / US;

	if (trust_at(t, tg_instant_offset_us(now)) == TG_CLOCK_SUSPECT)
		return floor_s;
	return now.wall_us / US > floor_s ? now.wall_us / US : floor_s;
}

struct tg_pipeline_clock tg_timekeeping_now(void *timekeeping)
{
	const struct tg_timekeeping *t = timekeeping;
	int64_t offset_us = tg_instant_offset_us(tg_wallclock_instant());

	return (struct tg_pipeline_clock){ .wall_offset_us = offset_us,
					   .trust = trust_at(t, offset_us) };
}

/* --- birth and end ----------------------------------------------------------------------------------------------- */

static int start(struct tg_timekeeping *t, sd_event *loop, const char *state_dir)
{
	struct tg_fault why = { .text = "" };
	int r;

	if (tg_wallclock_look(&t->clock, state_dir, NULL, &why) < 0)
		tg_log(LOG_WARNING, "clock", "%s; going on without", why.text);
	t->seen = tg_wallclock_instant();
	r = tg_timesaver_new(state_dir, tg_wallclock_floor_s(&t->clock, t->seen.boot_us),
			     &t->saver);
	if (r == 0)
		r = tg_timesync_new(loop, &t->sync);
	if (r < 0)
		return r;
	t->state = state_at(t, t->seen);
	publish(t);
	/* Without it a jump is noticed a second later. */
	r = tg_timewatch_init(&t->watch, loop, on_clock_set, t);
	if (r < 0)
		tg_log(LOG_WARNING, "clock", "no watch for a clock that is set: %s", strerror(-r));
	return 0;
}

int tg_timekeeping_new(sd_event *loop, const char *state_dir, tg_timekeeping_changed_fn changed,
		       void *user, struct tg_timekeeping **ret)
{
	struct tg_timekeeping *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	*t = (struct tg_timekeeping){ .changed = changed,
				      .user = user,
				      .watch = TG_TIMEWATCH_NULL };
	r = start(t, loop, state_dir);
	if (r < 0) {
		(void) tg_timekeeping_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

int tg_timekeeping_stop(struct tg_timekeeping *t, uint64_t timeout_us)
{
	return tg_timesaver_stop(t->saver, timeout_us);
}

struct tg_timekeeping *tg_timekeeping_free(struct tg_timekeeping *t)
{
	if (!t)
		return NULL;
	tg_timewatch_done(&t->watch);
	t->sync = tg_timesync_free(t->sync);
	t->saver = tg_timesaver_free(t->saver);
	free(t);
	return NULL;
}
