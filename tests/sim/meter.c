/* SPDX-License-Identifier: Apache-2.0 */
#include "meter.h"

#include "tests/next.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static struct meter meter;
static uint64_t boot_us, wall_us;

struct meter meter_read(void)
{
	return meter;
}

static ssize_t counted(int fd, ssize_t n)
{
	if (fd > STDERR_FILENO && n > 0) {
		meter.writes++;
		meter.bytes += (uint64_t) n;
	}
	return n;
}

ssize_t write(int fd, const void *data, size_t len)
{
	NEXT(ssize_t, "write", int, const void *, size_t);
	return counted(fd, next(fd, data, len));
}

/* What SQLite calls, as Debian builds it, on 32 bits and on 64. */
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	NEXT(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
	return counted(fd, next(fd, data, len, at));
}

int fsync(int fd)
{
	NEXT(int, "fsync", int);
	meter.syncs++;
	return next(fd);
}

int fdatasync(int fd)
{
	NEXT(int, "fdatasync", int);
	meter.syncs++;
	return next(fd);
}

static void as_time(uint64_t us, struct timespec *ret)
{
	ret->tv_sec = (time_t) (us / 1000000);
	ret->tv_nsec = (long) (us % 1000000 * 1000);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	if (boot_us == 0 || id == CLOCK_PROCESS_CPUTIME_ID)
		return (int) syscall(SYS_clock_gettime, id, ret);
	as_time(id == CLOCK_REALTIME ? wall_us : boot_us, ret);
	return 0;
}

void meter_clock_set(uint64_t boot, uint64_t wall)
{
	boot_us = boot;
	wall_us = wall;
}

double meter_cpu_s(void)
{
	struct rusage u;

	(void) getrusage(RUSAGE_SELF, &u);
	return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

uint64_t meter_memory(void)
{
	unsigned long size, resident, shared;
	FILE *f = fopen("/proc/self/statm", "re");
	int n = f ? fscanf(f, "%lu %lu %lu", &size, &resident, &shared) : 0;

	if (f)
		(void) fclose(f);
	return n == 3 ? (uint64_t) (resident - shared) * (uint64_t) sysconf(_SC_PAGESIZE) : 0;
}
