/* SPDX-License-Identifier: Apache-2.0 */
#include "../next.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/*
 * Another wall clock for a program, by LD_PRELOAD: CLOCK_REALTIME and what is
 * made of it are off by what the file named by TIDEGATE_CLOCK_FILE says, eight
 * bytes, microseconds in the byte order of the machine. The file is mapped, so
 * that a test which writes to it sets the clock of a running program, at the
 * cost of one load for each question.
 *
 * All other clocks, and with them every timer and deadline, stay right. What
 * the kernel does by CLOCK_REALTIME itself (times of files, timers,
 * TFD_TIMER_CANCEL_ON_SET) does not know of it, but for those who wait for a
 * condition until a time of day, and would else wait not at all.
 */
#define EXPORTED __attribute__((__visibility__("default"), __used__))
#define US       INT64_C(1000000)

static const int64_t *offset;
static int (*next_clock_gettime)(clockid_t, struct timespec *);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void map_file(void)
{
	const char *path = getenv("TIDEGATE_CLOCK_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
	(void) close(fd);
	if (at != MAP_FAILED)
		offset = at;
}

static void prepare(void)
{
	bind_next(&next_clock_gettime, "clock_gettime");
	map_file();
}

static int64_t offset_us(void)
{
	return offset ? __atomic_load_n(offset, __ATOMIC_RELAXED) : 0;
}

static void shift(struct timespec *ts, int64_t us)
{
	int64_t s = us / US, ns = (us % US) * 1000 + ts->tv_nsec;

	if (ns < 0) {
		ns += 1000 * US;
		s--;
	} else if (ns >= 1000 * US) {
		ns -= 1000 * US;
		s++;
	}
	ts->tv_sec += (time_t) s;
	ts->tv_nsec = (long) ns;
}

EXPORTED int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r;

	(void) pthread_once(&once, prepare);
	r = next_clock_gettime(id, ts);
	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		shift(ts, offset_us());
	return r;
}

EXPORTED int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	/* The kernel's zone has meant nothing for decades. */
	if (zone)
		memset(zone, 0, sizeof(struct timezone));
	if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = (suseconds_t) (ts.tv_nsec / 1000);
	return 0;
}

EXPORTED time_t time(time_t *ret)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
		return (time_t) -1;
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

static int64_t distance_s(clockid_t id, const struct timespec *ts)
{
	struct timespec now;

	return clock_gettime(id, &now) < 0 ? INT64_MAX : llabs((int64_t) ts->tv_sec - now.tv_sec);
}

/* Which clock the condition goes by is not told; the deadline is near the time of one of them. */
EXPORTED int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict lock,
				    const struct timespec *restrict until)
{
	struct timespec ts = *until;

	if (distance_s(CLOCK_MONOTONIC, until) < distance_s(CLOCK_REALTIME, until))
		return pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &ts);
	shift(&ts, -offset_us());
	return pthread_cond_clockwait(cond, lock, CLOCK_REALTIME, &ts);
}
