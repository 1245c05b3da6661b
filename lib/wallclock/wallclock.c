/* SPDX-License-Identifier: Apache-2.0 */
#include "wallclock/wallclock.h"

#include "base/clock.h"

#define US ((int64_t) TG_US_PER_S)
/* What no clock shows, 100,000 years from now: keeps every sum here within 64 bits. */
#define FAR_S (INT64_C(3155760) * 1000000)

static bool is_proof(enum tg_floor_source source)
{
	switch (source) {
	case TG_FLOOR_RELEASE:
	case TG_FLOOR_CERTIFICATE:
	case TG_FLOOR_PEER:
	case TG_FLOOR_HTTPS:
		return true;
	case TG_FLOOR_SAVED:
	case TG_FLOOR_SYSTEM:
	case TG_FLOOR_AGENT:
	case TG_FLOOR_CLOCK:
		break;
	}
	return false;
}

static struct tg_floor floor_at(enum tg_floor_source source, int64_t wall_us, uint64_t boot_us)
{
	return (struct tg_floor){ source, wall_us, wall_us - (int64_t) boot_us };
}

static const struct tg_floor *higher(const struct tg_wallclock *w)
{
	return w->hearsay.offset_us > w->proof.offset_us ? &w->hearsay : &w->proof;
}

int64_t tg_instant_offset_us(struct tg_instant t)
{
	return t.wall_us - (int64_t) t.boot_us;
}

int64_t tg_instant_jump_us(struct tg_instant before, struct tg_instant now)
{
	int64_t by = tg_instant_offset_us(now) - tg_instant_offset_us(before);

	return by > TG_WALL_JUMP_US || by < -TG_WALL_JUMP_US ? by : 0;
}

void tg_wallclock_init(struct tg_wallclock *w, int64_t release_s, struct tg_instant now)
{
	struct tg_floor first = floor_at(TG_FLOOR_RELEASE, release_s * US, now.boot_us);

	*w = (struct tg_wallclock){ .proof = first, .hearsay = first, .unsure_us = now.boot_us };
}

bool tg_wallclock_raise(struct tg_wallclock *w, enum tg_floor_source source, int64_t wall_s,
			uint64_t boot_us)
{
	struct tg_floor new, *old = is_proof(source) ? &w->proof : &w->hearsay;

	if (wall_s <= 0 || wall_s > FAR_S)
		return false;
	new = floor_at(source, wall_s * US, boot_us);
	if (!is_proof(source) && new.offset_us - w->proof.offset_us > TG_WALL_AHEAD_US)
		return false;
	/* The later date of two proofs can have been learnt so early that it moves behind the other one. */
	if (new.learnt_us > old->learnt_us)
		old->learnt_us = new.learnt_us;
	if (new.offset_us <= old->offset_us)
		return false;
	new.learnt_us = old->learnt_us;
	*old = new;
	return true;
}

enum tg_clock_trust tg_wallclock_judge(const struct tg_wallclock *w, struct tg_instant now)
{
	int64_t floor_us = higher(w)->offset_us + (int64_t) now.boot_us;

	if (now.wall_us > floor_us + TG_WALL_AHEAD_US)
		return TG_CLOCK_SUSPECT;
	/*
	 * Of two opinions about the time the service's is the better one, as long as it is past the dates
	 * that were seen: an authority can be an hour ahead.
	 */
	if (w->synchronised)
		return now.wall_us < w->proof.learnt_us - TG_WALL_SLACK_US ? TG_CLOCK_SUSPECT
									   : TG_CLOCK_SYNCHRONISED;
	return now.wall_us < floor_us - TG_WALL_SLACK_US ? TG_CLOCK_SUSPECT : TG_CLOCK_UNCONFIRMED;
}

void tg_wallclock_synchronise(struct tg_wallclock *w, bool synchronised, struct tg_instant now)
{
	w->synchronised = synchronised;
	if (tg_wallclock_judge(w, now) != TG_CLOCK_SYNCHRONISED)
		return;
	w->hearsay = floor_at(TG_FLOOR_CLOCK, now.wall_us, now.boot_us);
	if (w->proof.offset_us > w->hearsay.offset_us)
		w->proof.offset_us = w->hearsay.offset_us;
}

void tg_wallclock_was_set(struct tg_wallclock *w, int64_t step_us, struct tg_instant now)
{
	w->synchronised = false;
	/* Small steps are how some hosts keep their guests in time, again and again. */
	if (step_us > TG_WALL_SLACK_US || step_us < -TG_WALL_SLACK_US)
		w->unsure_us = now.boot_us;
}

bool tg_wallclock_waits(const struct tg_wallclock *w, struct tg_instant now)
{
	return tg_wallclock_judge(w, now) == TG_CLOCK_UNCONFIRMED &&
	       now.boot_us < w->unsure_us + TG_WALL_PATIENCE_US;
}

int64_t tg_wallclock_floor_offset_us(const struct tg_wallclock *w)
{
	return higher(w)->offset_us;
}

int64_t tg_wallclock_floor_s(const struct tg_wallclock *w, uint64_t boot_us)
{
	return (higher(w)->offset_us + (int64_t) boot_us) / US;
}

enum tg_floor_source tg_wallclock_floor_source(const struct tg_wallclock *w)
{
	return higher(w)->source;
}

int64_t tg_wallclock_believed_s(const struct tg_wallclock *w, struct tg_instant now)
{
	int64_t floor_s = tg_wallclock_floor_s(w, now.boot_us), wall_s = now.wall_us / US;

	if (tg_wallclock_judge(w, now) == TG_CLOCK_SUSPECT)
		return floor_s;
	return wall_s > floor_s ? wall_s : floor_s;
}

const char *tg_floor_source_name(enum tg_floor_source source)
{
	switch (source) {
	case TG_FLOOR_RELEASE:
		return "release";
	case TG_FLOOR_CERTIFICATE:
		return "own certificate";
	case TG_FLOOR_PEER:
		return "broker's certificate";
	case TG_FLOOR_HTTPS:
		return "verified answer";
	case TG_FLOOR_SAVED:
		return "saved time";
	case TG_FLOOR_SYSTEM:
		return "systemd's clock file";
	case TG_FLOOR_AGENT:
		return "agent";
	case TG_FLOOR_CLOCK:
		return "synchronised clock";
	}
	return "?";
}
