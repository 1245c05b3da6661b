/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/next.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * Preloaded into tidegated: notes every commit of the spool that has reached
 * the medium, as seen at the system calls. A line in the file that
 * TG_PROMISE_LOG names, on another file system:
 *
 *	commit BEGIN END	seconds of CLOCK_BOOTTIME
 *
 * BEGIN is the first write of the transaction to spool.db-wal, END when the
 * fdatasync() after its commit frame has returned 0. Syncs without a commit
 * frame before them (a new log's header, a checkpoint) promise nothing.
 *
 * TG_PROMISE_NO_SYNC set: fsync() and its like do nothing and say it was done;
 * the commits are noted all the same.
 */
#define EXPORTED __attribute__((__visibility__("default"), __used__))
#define FRAME_HEADER                                                                               \
	24u /* of SQLite's write-ahead log: page, size of the file after a commit or 0, ... */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double begun; /* 0: no transaction */
static bool committed;

static double boot_s(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_BOOTTIME, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static bool is_log_of_spool(int fd)
{
	static const char name[] = "/spool.db-wal";
	char link[32], path[PATH_MAX];
	ssize_t n;

	(void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n >= (ssize_t) sizeof(name) - 1 &&
	       memcmp(path + n - (sizeof(name) - 1), name, sizeof(name) - 1) == 0;
}

static void note_write(int fd, const void *data, size_t n)
{
	const unsigned char *d = data;

	if (n != FRAME_HEADER || !is_log_of_spool(fd))
		return;
	(void) pthread_mutex_lock(&lock);
	/* Behind a commit frame that nobody synced, another transaction begins: it is not to look like one that takes long. */
	if (begun == 0 || committed)
		begun = boot_s();
	committed = false;
	if (d[4] || d[5] || d[6] || d[7])
		committed = true;
	(void) pthread_mutex_unlock(&lock);
}

static void note_sync(int fd)
{
	const char *path = getenv("TG_PROMISE_LOG");
	char line[64];
	int log, n;

	if (!path || !is_log_of_spool(fd))
		return;
	(void) pthread_mutex_lock(&lock);
	if (committed) {
		n = snprintf(line, sizeof(line), "commit %.6f %.6f\n", begun, boot_s());
		log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (log >= 0) {
			/* One short write to a file in memory is whole or not there. */
			if (write(log, line, (size_t) n) != n)
				abort();
			(void) close(log);
		}
		begun = 0;
		committed = false;
	}
	(void) pthread_mutex_unlock(&lock);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	NEXT(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
	note_write(fd, data, n);
	return next(fd, data, n, at);
}

EXPORTED int fsync(int fd)
{
	NEXT(int, "fsync", int);
	int r = getenv("TG_PROMISE_NO_SYNC") ? 0 : next(fd);

	if (r == 0)
		note_sync(fd);
	return r;
}

EXPORTED int fdatasync(int fd)
{
	NEXT(int, "fdatasync", int);
	int r = getenv("TG_PROMISE_NO_SYNC") ? 0 : next(fd);

	if (r == 0)
		note_sync(fd);
	return r;
}
