/* SPDX-License-Identifier: Apache-2.0 */
#include "wallclock/look.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/stat.h>

/* systemd-timesyncd touches the first whenever it saves the time, and the second with each adjustment of the clock. */
#define SYSTEMD_CLOCK "/var/lib/systemd/timesync/clock"
#define TIMESYNC_MARK "/run/systemd/timesync/synchronized"

#define INSTANT_TRIES 5
#define INSTANT_US    (2 * TG_US_PER_MS)

struct tg_instant tg_wallclock_instant(void)
{
	struct tg_instant t = { 0 };

	/* Who is put to sleep between the two would take it for a jump. */
	for (int i = 0; i < INSTANT_TRIES; i++) {
		t.boot_us = tg_clock_boot_us();
		t.wall_us = tg_clock_wall_us();
		if (tg_clock_boot_us() - t.boot_us < INSTANT_US)
			break;
	}
	return t;
}

static int recall(struct tg_wallclock *w, const char *state_dir, int64_t *ret_saved_s,
		  struct tg_fault *reterr)
{
	struct tg_saved_time saved;
	uint8_t boot_id[16] = { 0 };
	int r = tg_saved_time_read(state_dir, &saved, reterr);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	/* Without a boot id nothing is of this boot, which only makes the floor lower. */
	(void) !tg_clock_boot_id(boot_id);
	(void) tg_wallclock_raise(w, TG_FLOOR_SAVED, saved.wall_s,
				  tg_saved_time_boot_us(&saved, boot_id));
	if (ret_saved_s)
		*ret_saved_s = saved.wall_s;
	return 0;
}

int tg_wallclock_look(struct tg_wallclock *w, const char *state_dir, int64_t *ret_saved_s,
		      struct tg_fault *reterr)
{
	struct tg_instant now = tg_wallclock_instant();
	struct stat st;

	if (ret_saved_s)
		*ret_saved_s = 0;
	tg_wallclock_init(w, TIDEGATE_RELEASE_EPOCH, now);
	if (stat(SYSTEMD_CLOCK, &st) == 0)
		(void) tg_wallclock_raise(w, TG_FLOOR_SYSTEM, st.st_mtim.tv_sec, now.boot_us);
	return recall(w, state_dir, ret_saved_s, reterr);
}

bool tg_wallclock_timesync_mark(struct timespec *ret_when)
{
	struct stat st;

	if (stat(TIMESYNC_MARK, &st) < 0)
		return false;
	if (ret_when)
		*ret_when = st.st_mtim;
	return true;
}
