/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * At most so many a second: a token bucket whose burst and refill add up to
 * the limit, so that no second, wherever it starts, sees more than @limit
 * (brokers drop clients that exceed theirs). The price is a sustained rate of
 * limit - limit/20, and never less than limit - 1 below 40.
 *
 * Pure; times are CLOCK_BOOTTIME in microseconds and must not decrease.
 */
struct tg_rate {
	uint64_t limit;  /* a second; 0: no limit */
	uint64_t tokens; /* millionths */
	uint64_t last_us;
};

/* New limit; what has been spent stays spent. */
void tg_rate_set(struct tg_rate *r, uint64_t limit, uint64_t now_us);
/* When the next one may go: <= @now_us means now. Never fails. */
uint64_t tg_rate_next_us(struct tg_rate *r, uint64_t now_us);
/* One has gone. Only after tg_rate_next_us() said so. */
void tg_rate_spend(struct tg_rate *r);
