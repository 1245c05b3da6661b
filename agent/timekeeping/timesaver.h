/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "wallclock/saved.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Saves the last good time once in a while, on a thread that lives for one
 * write: the loop must not wait for a slow card. At most one write an hour,
 * whatever the clock does.
 */
#define TG_TIMESAVER_EVERY_S 3600

struct tg_timesaver;

/* @kept_s: what the next start knows already without it. */
int tg_timesaver_new(const char *state_dir, int64_t kept_s, struct tg_timesaver **ret) TG_CHECKED;
/*
 * Offers @wall_s, which is good at @boot_us. It is written when it is an hour past what is known to be kept; with @exact
 * (the clock is synchronised) also when it is an hour before. Returns whether a write was begun.
 */
bool tg_timesaver_offer(struct tg_timesaver *s, int64_t wall_s, uint64_t boot_us, bool exact);
/* Waits for a write that is under way. Returns 0, or -ETIMEDOUT: then it keeps what it uses. */
int tg_timesaver_stop(struct tg_timesaver *s, uint64_t timeout_us) TG_CHECKED;
/* Accepts NULL. */
struct tg_timesaver *tg_timesaver_free(struct tg_timesaver *s);
