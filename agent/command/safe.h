/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

/*
 * Outputs that fall to their safe state: each point with `safe` is written
 * once when no command has set it for `safe-after`, counted from the start or
 * from the last command. What fails is tried again, less and less often.
 *
 * Pure: no clock, no I/O; times are CLOCK_BOOTTIME. One thread.
 */
struct tg_safe_point {
	size_t device, point; /* indices in the configuration */
	uint64_t due_us;      /* TG_US_FOREVER while it is safe, or being made so */
	uint64_t pause_us;    /* after the next failure */
	uint64_t since_us;    /* safe since; 0: it is not */
	unsigned failures;    /* in a row */
};

struct tg_safe {
	const struct tg_config *cfg; /* not owned */
	struct tg_safe_point *points;
	size_t n;
};

#define TG_SAFE_PAUSE_US     (UINT64_C(1) * 1000 * 1000)
#define TG_SAFE_PAUSE_MAX_US (UINT64_C(60) * 1000 * 1000)

/*
 * Takes the points of @cfg in, which outlives it or the next call. Points that the configuration before had, too, by the
 * same names, go on as they were; @s starts out zeroed. Returns 0, or -ENOMEM with nothing changed.
 */
int tg_safe_configure(struct tg_safe *s, const struct tg_config *cfg, uint64_t now_us) TG_CHECKED;
void tg_safe_done(struct tg_safe *s);
/* One that is due, or NULL. It is being made safe from now on, until tg_safe_tell(). */
struct tg_safe_point *tg_safe_next(struct tg_safe *s, uint64_t now_us);
/* When the next one is due; TG_US_FOREVER: none. */
uint64_t tg_safe_due_us(const struct tg_safe *s);
/* How it went. A command that came meanwhile counts more than a success. */
void tg_safe_tell(struct tg_safe_point *p, bool written, uint64_t now_us);
/* A command has set the point, or may have. */
void tg_safe_commanded(struct tg_safe *s, size_t device, size_t point, uint64_t now_us);
/* The entry of a point, or NULL. */
struct tg_safe_point *tg_safe_find(struct tg_safe *s, size_t device, size_t point);
