/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timekeeping.h"

#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* systemd-timesyncd touches the first whenever it saves the time, and makes the second once it has synchronised. */
#define SYSTEMD_CLOCK "/var/lib/systemd/timesync/clock"
#define TIMESYNC_DONE "/run/systemd/timesync/synchronized"

struct tg_timekeeping {
	_Atomic int64_t floor_s;
	_Atomic int trust;
};

enum tg_clock_trust tg_clock_judge(int64_t wall_s, int64_t floor_s, bool synchronised)
{
	if (wall_s < floor_s)
		return TG_CLOCK_SUSPECT;
	return synchronised ? TG_CLOCK_SYNCHRONISED : TG_CLOCK_UNCONFIRMED;
}

static int64_t mtime_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : (int64_t) st.st_mtim.tv_sec;
}

int tg_timekeeping_new(struct tg_timekeeping **ret)
{
	struct tg_timekeeping *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	atomic_init(&t->floor_s, TIDEGATE_RELEASE_EPOCH);
	tg_timekeeping_raise_floor(t, mtime_of(SYSTEMD_CLOCK));
	tg_timekeeping_refresh(t);
	*ret = t;
	return 0;
}

struct tg_timekeeping *tg_timekeeping_free(struct tg_timekeeping *t)
{
	free(t);
	return NULL;
}

void tg_timekeeping_raise_floor(struct tg_timekeeping *t, int64_t wall_s)
{
	if (wall_s > atomic_load(&t->floor_s))
		atomic_store(&t->floor_s, wall_s);
}

void tg_timekeeping_refresh(struct tg_timekeeping *t)
{
	int64_t wall_s = tg_clock_wall_us() / (int64_t) TG_US_PER_S;
	bool synchronised = access(TIMESYNC_DONE, F_OK) == 0;

	atomic_store(&t->trust,
		     (int) tg_clock_judge(wall_s, atomic_load(&t->floor_s), synchronised));
}

int64_t tg_timekeeping_floor(const struct tg_timekeeping *t)
{
	return atomic_load(&t->floor_s);
}

struct tg_pipeline_clock tg_timekeeping_now(void *timekeeping)
{
	const struct tg_timekeeping *t = timekeeping;

	return (struct tg_pipeline_clock){
		.wall_offset_us = tg_clock_wall_us() - (int64_t) tg_clock_boot_us(),
		.trust = (enum tg_clock_trust) atomic_load(&t->trust),
	};
}
