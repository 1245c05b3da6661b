/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/*
 * Whether somebody says that the clock is synchronised: timedate1 over D-Bus,
 * which knows what the kernel thinks whoever disciplines it; where it does not
 * answer, the mark of systemd-timesyncd.
 *
 * Asked on the loop without waiting: each minute while it is not, every ten
 * minutes while it is, and after the clock was set. Never blocks, and lives
 * without D-Bus.
 */
struct tg_timesync;

int tg_timesync_new(sd_event *loop, struct tg_timesync **ret) TG_CHECKED;
struct tg_timesync *tg_timesync_free(struct tg_timesync *s);
/* From time to time, such as each second: asks when it is time to. @boot_us: CLOCK_BOOTTIME now. */
void tg_timesync_turn(struct tg_timesync *s, uint64_t boot_us);
/* The clock was set: what was said before is void until it is said again. @wall_s: what it shows now. */
void tg_timesync_clock_set(struct tg_timesync *s, int64_t wall_s);
/* The newest word; false before the first. */
bool tg_timesync_says(const struct tg_timesync *s);
/* Who says so: "timedate1", "timesyncd", or NULL when nobody does. */
const char *tg_timesync_service(const struct tg_timesync *s);
