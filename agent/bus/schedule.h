/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * When one device is polled next.
 *
 * Polls stand on a grid, start + k * every, so that a slow one does not shift
 * the next. A poll that comes too late for its instant takes the place of those
 * it has passed; they are counted, never made up for.
 *
 * A device that does not answer is asked at growing distances: every, 2 * every, 4 * every ..., at
 * most `backoff` (or `every`, when that is longer), always on the grid. Without jitter: one worker
 * polls one device after the other anyway, and a bus does not suffer from a common beat as a server
 * does. One answer ends it.
 *
 * Pure: the caller brings the clock, microseconds on CLOCK_BOOTTIME. Owned by one thread.
 */
struct tg_schedule {
	uint64_t start_us, every_us, backoff_us;
	uint64_t next_us;  /* the next poll is due */
	uint64_t skipped;  /* instants that went by unused since start, those of a device backed off
			      not counted */
	unsigned failures; /* in a row */
};

/* The first poll of device @i of @n on one bus comes at i/n of the interval after @now_us, but
 * within this: */
#define TG_SCHEDULE_SPREAD_US UINT64_C(5000000)
/* @every_us > 0. Never fails. */
void tg_schedule_init(struct tg_schedule *s, uint64_t now_us, uint64_t every_us,
		      uint64_t backoff_us, unsigned i, unsigned n);
/*
 * A poll that was due ended at @now_us, and the device @answered or did not. Never fails.
 */
void tg_schedule_done(struct tg_schedule *s, uint64_t now_us, bool answered);
/*
 * The same of a poll out of turn: an answer ends the back-off, silence does not make it longer.
 * Never fails.
 */
void tg_schedule_done_extra(struct tg_schedule *s, uint64_t now_us, bool answered);
/* What kept the device from answering is over, perhaps: poll a device that is backed off now. Never
 * fails. */
void tg_schedule_wake(struct tg_schedule *s, uint64_t now_us);
