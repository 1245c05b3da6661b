/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * Reconnect back-off: capped exponential delay with full jitter.
 *
 * Pure: no clock, no I/O, no allocation. The caller supplies randomness and
 * sleeps. All times are microseconds on CLOCK_BOOTTIME.
 */
struct tg_backoff {
	uint64_t base_us; /* first ceiling; > 0 */
	uint64_t cap_us;  /* largest ceiling; >= base_us */
	unsigned attempt; /* failures since the last success */
};
#define TG_BACKOFF_INIT(base, cap) { .base_us = (base), .cap_us = (cap) }

/*
 * Returns the delay in microseconds before the next attempt, in
 * [0, min(cap_us, base_us << attempt)], and counts the attempt.
 * @rnd must be uniform over uint64_t. Never fails.
 */
uint64_t tg_backoff_next(struct tg_backoff *b, uint64_t rnd);
/* Forget past failures. Call once a session has proved itself, not at CONNACK. */
void tg_backoff_reset(struct tg_backoff *b);
