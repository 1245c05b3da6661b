/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/clock_floor.h"

#include "base/clock.h"
#include "x509/chain.h"

#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

/* systemd-timesyncd touches it at each synchronisation, and once a minute after. */
#define TIMESYNC_CLOCK "/var/lib/systemd/timesync/clock"
#define TIMESYNC_FLAG  "/run/systemd/timesync/synchronized"

static bool is_synchronised(void)
{
	struct timex t = { 0 };

	if (access(TIMESYNC_FLAG, F_OK) == 0)
		return true;
	return adjtimex(&t) >= 0 && !(t.status & STA_UNSYNC);
}

void tg_clock_floor_init(struct tg_clock_floor *f)
{
	struct stat st;

	*f = (struct tg_clock_floor){ .floor_s = TIDEGATE_RELEASE_EPOCH,
				      .synchronised = is_synchronised() };
	if (stat(TIMESYNC_CLOCK, &st) == 0)
		tg_clock_floor_raise(f, st.st_mtim.tv_sec);
}

void tg_clock_floor_raise(struct tg_clock_floor *f, int64_t s)
{
	if (s > f->floor_s)
		f->floor_s = s;
}

int64_t tg_clock_floor_now(const struct tg_clock_floor *f)
{
	int64_t now = tg_clock_wall_us() / (int64_t) TG_US_PER_S;

	return now > f->floor_s ? now : f->floor_s;
}

int64_t tg_clock_floor_skew(const struct tg_clock_floor *f)
{
	bool behind = tg_clock_wall_us() / (int64_t) TG_US_PER_S < f->floor_s;

	return f->synchronised && !behind ? TG_CHAIN_SKEW_S : INT64_MAX;
}
