/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/sample.h>

/*
 * What one device that speaks unasked has said, until it is worth a pack.
 *
 * The first value opens a window of `gather`; what comes within it is
 * collected, the newest of each point wins, and one pack is made at its end.
 * So a device that babbles fills no spool: beyond TG_GATHER_RATE a second of
 * one point its values are counted and told, and still the newest wins.
 *
 * A point that has not come for `stale-after` is stale: told once when it
 * happens, then offered again each `every` with the time of the offer, so that
 * the point's rule repeats it rarely. No old value is ever stamped anew. With
 * the first value it is fresh again.
 *
 * Pure but for the copies of texts. Microseconds on CLOCK_BOOTTIME. Owned by
 * the worker's thread.
 */
#define TG_GATHER_MIN_US                                                                           \
	UINT64_C(10000)        /* between two packs of one device, however short `gather` is */
#define TG_GATHER_RATE    1000 /* values of one point a second that are nothing special */
#define TG_GATHER_CALM_US UINT64_C(5000000) /* below the rate for so long: it babbles no more */

/* AWAITED: not heard since the start, or since the bus came back, and not for long enough to be stale. */
enum tg_gather_freshness { TG_GATHER_AWAITED, TG_GATHER_FRESH, TG_GATHER_STALE };

struct tg_gather_point {
	struct tg_sample newest; /* its texts are owned, and never NULL */
	enum tg_gather_freshness freshness;
	bool pending;      /* newest is not taken yet */
	unsigned said;     /* values in this second */
	uint64_t heard_us; /* or the start */
};

struct tg_gather {
	const struct tg_config_device *cfg;
	struct tg_gather_point *points;
	bool ages; /* points may become stale; not on devices that are polled too */
	size_t n_fresh, n_stale;
	uint64_t due_us;             /* the window ends; UINT64_MAX: none is open */
	uint64_t tick_us;            /* stale ones are offered again */
	uint64_t look_us;            /* none turns stale before this */
	uint64_t second_us;          /* begin of the second that `said` counts */
	uint64_t last_us;            /* something was heard; 0: never */
	uint64_t heard, over;        /* values since start; those beyond the rate */
	uint64_t babbled_us;         /* last beyond it; 0: never */
	char silence[TG_REASON_MAX]; /* the reason of stale points */
	bool down;                   /* the bus is: all points are bad for this */
	char down_reason[TG_REASON_MAX + 1];
};

/* @cfg outlives it. Returns 0 or -ENOMEM; tg_gather_done() is right after either. */
int tg_gather_init(struct tg_gather *g, const struct tg_config_device *cfg, bool ages,
		   uint64_t now_us) TG_CHECKED;
void tg_gather_done(struct tg_gather *g);

/* A value of the point @i has come: @s, as it is to be shown, is copied. Without memory for a text it is bad. Never fails. */
void tg_gather_hear(struct tg_gather *g, size_t i, const struct tg_sample *s, uint64_t now_us);
/* The bus went down, for @reason: what was heard until then is kept for the pack; all points are bad after it. */
void tg_gather_down(struct tg_gather *g, const char *reason, uint64_t now_us);
/* It is back: points await their next value, for stale-after at most. */
void tg_gather_up(struct tg_gather *g, uint64_t now_us);

/* When tg_gather_take() has something to do; UINT64_MAX: not before something is heard. */
uint64_t tg_gather_next_us(const struct tg_gather *g);
/*
 * What is due at @now_us: fills @out, which has room for all points, and returns how many. Texts are valid until the
 * next call of any function here but _next_us.
 */
size_t tg_gather_take(struct tg_gather *g, uint64_t now_us, struct tg_sample *out);

/*
 * All points as they are now, for those who look, whatever was taken and without taking it: fresh ones with their own times, which are
 * past. Fills @out as tg_gather_take() does and returns the number of points.
 */
size_t tg_gather_all(const struct tg_gather *g, uint64_t now_us, struct tg_sample *out);
/* Points that are not fresh and good now, whatever was taken; *ret_first (may be NULL) the first of them, NULL: none. */
unsigned tg_gather_ill(const struct tg_gather *g, const struct tg_gather_point **ret_first);
/* Whether nothing at all comes of the device: some point is stale and none is fresh, or the bus is down. */
bool tg_gather_is_dead(const struct tg_gather *g);
/* Whether anything has come since the start, or since the bus came back. */
bool tg_gather_has_heard(const struct tg_gather *g);
bool tg_gather_babbles(const struct tg_gather *g, uint64_t now_us);
