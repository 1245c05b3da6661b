/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/total.h"
#include "config/config.h"

#include <tidegate/error.h>

/*
 * The totals of the counters of one device, kept in STATE/totals/DEVICE.txt
 * over restarts: written when they have changed, at most each
 * `totals-interval`, and at an orderly stop. So a power cut costs what was
 * counted since the last write: with a counter in the device nothing, as it
 * has gone on there.
 *
 * Owned by the worker's thread; reading and writing blocks as long as the disk does.
 */
struct tg_totals {
	const struct tg_config_device *cfg;
	struct tg_total *items; /* one for each point; NULL: the device has no counters */
	unsigned *bits;         /* 0: no counter */
	int dir;                /* of the files; -1: they are not kept */
	bool changed;
	bool failing;     /* the last write failed, which was told */
	uint64_t next_us; /* no write before this, CLOCK_BOOTTIME */
};

/* Whether the raw value of a point is a count since the bus was opened, whatever its configuration says. */
typedef bool (*tg_counts_fn)(const struct tg_config_point *point);

/*
 * Finds the counters of @cfg, which outlives it, and their totals. @counts and @state_dir may be NULL. A damaged file is set aside
 * and told as an event. Returns 0 or -ENOMEM; tg_totals_done() is right after either.
 */
int tg_totals_init(struct tg_totals *t, const struct tg_config_device *cfg, tg_counts_fn counts,
		   const char *state_dir, uint64_t now_us) TG_CHECKED;
void tg_totals_done(struct tg_totals *t);
/* Makes the raw value of the point @i its total, where it is a counter; what is no count becomes bad. Never fails. */
void tg_totals_apply(struct tg_totals *t, size_t i, struct tg_sample *s);
/* When tg_totals_save() has something to do; UINT64_MAX: nothing has changed. */
uint64_t tg_totals_next_us(const struct tg_totals *t);
/* Writes what has changed. A failure is told once, and tried again after the interval. */
void tg_totals_save(struct tg_totals *t, uint64_t now_us);
