/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What of a session waits for its PUBACK, in the order in which it went out,
 * and whether the broker still answers.
 *
 * Brokers acknowledge in order (MQTT-4.6.0-2). One that has passed a publish
 * over will not come back to it; one that is slow has not passed anything over.
 *
 * Pure: no clock, no I/O, no allocation. Times are microseconds on
 * CLOCK_BOOTTIME. Nothing here fails.
 */
#define TG_FLIGHT_MAX 320u /* publishes; the largest window, and the link's own beside it */

struct tg_flight {
	struct {
		uint64_t cookie, sent_us;
		bool again; /* it was in flight at an earlier end that was blamed on what was in flight */
	} v[TG_FLIGHT_MAX];
	size_t n;
	bool passed;                  /* a later one than the first was acknowledged */
	uint64_t moved_us;            /* when nothing was in flight, or one was acknowledged */
	uint64_t last[TG_FLIGHT_MAX]; /* a ring of what was in flight at such ends */
	size_t n_last;		      /* ever */
};

/* A session begins. What was in flight at earlier ends stays known. */
void tg_flight_begin(struct tg_flight *f);
void tg_flight_sent(struct tg_flight *f, uint64_t cookie, uint64_t now_us);
void tg_flight_acked(struct tg_flight *f, uint64_t cookie, uint64_t now_us);
/* Whether the broker has left what is in flight without an answer for @patience_us. */
bool tg_flight_is_overdue(const struct tg_flight *f, uint64_t now_us, uint64_t patience_us);
/*
 * The session has ended, and what was in flight may be why. Returns whether any of it was in flight at an earlier end,
 * too: then it can hardly be chance.
 */
bool tg_flight_ended(struct tg_flight *f);
