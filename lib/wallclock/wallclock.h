/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/sample.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * How far the wall clock can be believed, for a box that may have no battery
 * behind its clock, and no NTP.
 *
 * What is known of the real time are lower bounds, *floors*: this time has
 * certainly passed. Each moves on with CLOCK_BOOTTIME from the moment at which
 * it was learnt, so it is kept as an offset between the two clocks. A *proof*
 * (the day of the release, the beginning of a certificate that verifies) holds
 * whatever the clock says; *hearsay* (times that somebody saved) only until a
 * synchronised clock says otherwise.
 *
 * The wall clock is suspect while it is behind the floor, or ahead of it by
 * more than any gateway sleeps; else synchronised where a service says so, or
 * unconfirmed.
 *
 * Pure: times come in, nothing is asked. Embedded by value; no locks.
 */
#define TG_WALL_SLACK_US                                                                           \
	(INT64_C(300) * 1000000) /* a clock is slewed, and authorities' clocks differ */
#define TG_WALL_AHEAD_US (INT64_C(25) * 365 * 86400 * 1000000)
/* A clock that no service vouches for is waited for so long, from the start or since it was set. */
#define TG_WALL_PATIENCE_US (UINT64_C(600) * 1000000)
#define TG_WALL_JUMP_US     INT64_C(500000) /* between two looks; slewing does 0.5 ms a second */

/* Both clocks at one instant. */
struct tg_instant {
	int64_t wall_us;  /* CLOCK_REALTIME since 1970 */
	uint64_t boot_us; /* CLOCK_BOOTTIME */
};

enum tg_floor_source {
	/* proofs */
	TG_FLOOR_RELEASE,
	TG_FLOOR_CERTIFICATE, /* our own began */
	TG_FLOOR_PEER,        /* that of a peer which verifies began */
	TG_FLOOR_HTTPS,       /* the Date: of an answer from a verified peer */
	/* hearsay */
	TG_FLOOR_SAVED,  /* our own saved time */
	TG_FLOOR_SYSTEM, /* systemd's saved clock */
	TG_FLOOR_AGENT,  /* what the agent tells its helper */
	TG_FLOOR_CLOCK,  /* the clock itself, when it was synchronised */
};

struct tg_floor {
	enum tg_floor_source source;
	int64_t learnt_us; /* wall time that had certainly passed ... */
	int64_t offset_us; /* ... and its distance to CLOCK_BOOTTIME then */
};

struct tg_wallclock {
	struct tg_floor proof, hearsay;
	bool synchronised;
	uint64_t
		unsure_us; /* CLOCK_BOOTTIME of the start, or when the clock was set to another time */
};

/* @release_s: the first proof. */
void tg_wallclock_init(struct tg_wallclock *w, int64_t release_s, struct tg_instant now);
/*
 * @wall_s (seconds since 1970) has certainly passed at @boot_us. Hearsay that is further ahead than a gateway sleeps is
 * ignored. Returns whether a floor has risen.
 */
bool tg_wallclock_raise(struct tg_wallclock *w, enum tg_floor_source source, int64_t wall_s,
			uint64_t boot_us);
/*
 * Whether a service says that the clock is synchronised. One that is, and that no proof contradicts, corrects the floors in
 * both directions.
 */
void tg_wallclock_synchronise(struct tg_wallclock *w, bool synchronised, struct tg_instant now);

/* Somebody has set the clock by @step_us: nothing that was said of it before counts, until it is said again. */
void tg_wallclock_was_set(struct tg_wallclock *w, int64_t step_us, struct tg_instant now);
/* Unconfirmed, and not for long: what is planned by the clock should go by the floor. */
bool tg_wallclock_waits(const struct tg_wallclock *w, struct tg_instant now);

enum tg_clock_trust tg_wallclock_judge(const struct tg_wallclock *w, struct tg_instant now);
/* The higher floor: its distance to CLOCK_BOOTTIME, the time now, where it comes from. */
int64_t tg_wallclock_floor_offset_us(const struct tg_wallclock *w);
int64_t tg_wallclock_floor_s(const struct tg_wallclock *w, uint64_t boot_us);
enum tg_floor_source tg_wallclock_floor_source(const struct tg_wallclock *w);
/*
 * The time to decide and to judge certificates at: the clock, or the floor while the clock is suspect or a little behind it.
 * Seconds since 1970.
 */
int64_t tg_wallclock_believed_s(const struct tg_wallclock *w, struct tg_instant now);
/* CLOCK_REALTIME - CLOCK_BOOTTIME. */
int64_t tg_instant_offset_us(struct tg_instant t);
/* By how much the wall clock was set between @before and @now; 0: it was not. */
int64_t tg_instant_jump_us(struct tg_instant before, struct tg_instant now);
/* For people: "the release", "the certificate", ... Never NULL. */
const char *tg_floor_source_name(enum tg_floor_source source);
