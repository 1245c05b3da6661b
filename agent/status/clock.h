/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/timekeeping/timekeeping.h"

/*
 * What others hear of the clock: its part of the status document, and the
 * event that lets a receiver date what it got undated. Pure.
 */
struct json_t;

/*
 * An object: state, floor and where it comes from, who synchronises; boot and offset_ms turn the `_boottime` of a pack of this
 * boot into a date once the state is not "suspect". NULL without memory.
 */
struct json_t *tg_status_clock(const struct tg_time_state *s, const uint8_t boot_id[static 16]);
/*
 * For the topic of events: "clock-repaired" when undated packs of this boot can be dated now, "clock-set" when the clock was set
 * that dated packs were dated by. @boot_us: when, @id: of the gateway. Owned text, or NULL without memory.
 */
char *tg_status_clock_event(const struct tg_time_change *c, const char *id,
			    const uint8_t boot_id[static 16], uint64_t boot_us);
/* "suspect", "waiting for synchronisation", "unconfirmed", "synchronised". Never NULL. */
const char *tg_status_clock_name(const struct tg_time_state *s);
