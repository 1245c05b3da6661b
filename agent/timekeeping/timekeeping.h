/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pipeline/pipeline.h"

#include <stdint.h>

/*
 * How far the wall clock can be trusted.
 *
 * It is suspect while it is behind a floor: the build date, systemd's own
 * clock file, the notBefore of our certificate. At or past the floor it is
 * synchronised when a sync service says so, unconfirmed otherwise. Nothing
 * here sets the clock.
 *
 * The loop refreshes; other threads read the last answer without blocking.
 */
struct tg_timekeeping;

int tg_timekeeping_new(struct tg_timekeeping **ret) TG_CHECKED;
struct tg_timekeeping *tg_timekeeping_free(struct tg_timekeeping *t);
/* Raises the floor to @wall_s (seconds since 1970) when that is later. The loop's thread. */
void tg_timekeeping_raise_floor(struct tg_timekeeping *t, int64_t wall_s);
/* Looks at the clock and at the sync service's files again. The loop's thread; reads two small files. */
void tg_timekeeping_refresh(struct tg_timekeeping *t);
/* The floor in seconds since 1970. Any thread. */
int64_t tg_timekeeping_floor(const struct tg_timekeeping *t);
/* The wall clock's offset now, and the trust of the last refresh. Any thread, never blocks: a tg_pipeline_clock_fn. */
struct tg_pipeline_clock tg_timekeeping_now(void *timekeeping);

/* The rule itself, pure. */
enum tg_clock_trust tg_clock_judge(int64_t wall_s, int64_t floor_s, bool synchronised);
