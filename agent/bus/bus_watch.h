/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/sample.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether a bus is there, and when it is tried again.
 *
 * A bus that is down, as a USB adapter that was unplugged, is no fault of its
 * devices: it is tried each TG_BUS_RETRY_US, however far they are backed
 * off, and between two tries nobody is asked in vain.
 *
 * Pure: the caller brings the clock, microseconds on CLOCK_BOOTTIME.
 */
#define TG_BUS_RETRY_US UINT64_C(1000000) /* replugged, it is to be back within five seconds */

enum tg_bus_condition {
	TG_BUS_UNKNOWN, /* not tried yet */
	TG_BUS_UP,
	TG_BUS_DOWN,
	TG_BUS_OFF, /* does not run at all */
};

struct tg_bus_watch {
	enum tg_bus_condition condition;
	uint64_t since_us; /* 0: it was never tried */
	uint64_t next_us;  /* of a bus that is down: not tried before */
	char error[TG_REASON_MAX + 1];
};

/*
 * A try ended with @r: -ENOTCONN for @reason says that the bus is down, anything else that it is there. Returns whether
 * that is news. Never fails.
 */
bool tg_bus_watch_result(struct tg_bus_watch *w, int r, const char *reason, uint64_t now_us);
/* Whether a try may be made now. */
bool tg_bus_watch_may_try(const struct tg_bus_watch *w, uint64_t now_us);
/* "up", "down", "unknown", "off". Never NULL. */
const char *tg_bus_condition_name(enum tg_bus_condition c);
