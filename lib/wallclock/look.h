/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "wallclock/saved.h"
#include "wallclock/wallclock.h"

#include <time.h>

/*
 * Where the wall clock's rules (wallclock.h) meet the system: both clocks,
 * the files that tell of the time, the day of the release. Reads small files;
 * never asks adjtimex(), which the sandbox refuses.
 */

/* Both clocks, read so close to each other that their distance is right to some milliseconds. Never fails. */
struct tg_instant tg_wallclock_instant(void);

/*
 * Starts @w with the day of the release, systemd's saved clock and our own saved time in @state_dir. Returns 0, or the -errno
 * with which our own could not be read (-ENOENT goes for 0); @w can be used all the same. @ret_saved_s (may be NULL) is what
 * it says, 0: nothing.
 */
int tg_wallclock_look(struct tg_wallclock *w, const char *state_dir, int64_t *ret_saved_s,
		      struct tg_fault *reterr);

/*
 * Whether systemd-timesyncd has left its mark that it has synchronised the clock in this boot, and when (@ret_when may be
 * NULL). The mark stays when the clock is set by hand later.
 */
bool tg_wallclock_timesync_mark(struct timespec *ret_when);
