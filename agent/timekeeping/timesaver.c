/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/timekeeping/timesaver.h"

#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_US (TG_TIMESAVER_EVERY_S * TG_US_PER_S)

enum work { IDLE, WRITING, WRITTEN };

struct tg_timesaver {
	char *state_dir;
	int64_t kept_s;
	bool tried;
	uint64_t tried_us;
	pthread_t thread;
	_Atomic int work;          /* not IDLE: the thread is to be joined */
	struct tg_saved_time time; /* the thread's while it writes */
};

static void *write_time(void *arg)
{
	struct tg_timesaver *s = arg;
	struct tg_fault why = { .text = "" };

	/* A floor less at the next start, no more: the next hour tries again. */
	if (tg_saved_time_write(s->state_dir, &s->time, &why) < 0)
		tg_log(LOG_WARNING, "clock", "cannot save the time: %s", why.text);
	atomic_store(&s->work, WRITTEN);
	return NULL;
}

static bool is_due(const struct tg_timesaver *s, int64_t wall_s, uint64_t boot_us, bool exact)
{
	int64_t ahead = wall_s - s->kept_s;

	if (s->tried && boot_us < tg_us_add(s->tried_us, EVERY_US))
		return false;
	return ahead >= TG_TIMESAVER_EVERY_S || (exact && ahead <= -TG_TIMESAVER_EVERY_S);
}

static void join(struct tg_timesaver *s)
{
	if (atomic_load(&s->work) != WRITTEN)
		return;
	(void) pthread_join(s->thread, NULL);
	atomic_store(&s->work, IDLE);
}

bool tg_timesaver_offer(struct tg_timesaver *s, int64_t wall_s, uint64_t boot_us, bool exact)
{
	join(s);
	if (atomic_load(&s->work) != IDLE || !is_due(s, wall_s, boot_us, exact))
		return false;
	s->tried = true;
	s->tried_us = boot_us;
	s->time = (struct tg_saved_time){ .wall_s = wall_s, .boot_us = boot_us };
	/* Without an id it counts as of another boot, which is never too late. */
	if (tg_clock_boot_id(s->time.boot_id) < 0)
		memset(s->time.boot_id, 0, sizeof(s->time.boot_id));
	atomic_store(&s->work, WRITING);
	if (pthread_create(&s->thread, NULL, write_time, s) != 0) {
		atomic_store(&s->work, IDLE);
		return false;
	}
	s->kept_s = wall_s;
	return true;
}

int tg_timesaver_new(const char *state_dir, int64_t kept_s, struct tg_timesaver **ret)
{
	struct tg_timesaver *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->kept_s = kept_s;
	s->state_dir = strdup(state_dir);
	if (!s->state_dir) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

int tg_timesaver_stop(struct tg_timesaver *s, uint64_t timeout_us)
{
	uint64_t until = tg_us_add(tg_clock_boot_us(), timeout_us);

	while (atomic_load(&s->work) == WRITING && tg_clock_boot_us() < until)
		(void) poll(NULL, 0, 5);
	join(s);
	return atomic_load(&s->work) == IDLE ? 0 : -ETIMEDOUT;
}

struct tg_timesaver *tg_timesaver_free(struct tg_timesaver *s)
{
	/* A thread that hangs in the disk keeps what it uses; the process is about to end. */
	if (!s || atomic_load(&s->work) == WRITING)
		return NULL;
	join(s);
	free(s->state_dir);
	free(s);
	return NULL;
}
