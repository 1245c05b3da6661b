/* SPDX-License-Identifier: Apache-2.0 */
#include "../next.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/*
 * A disk that is slow or takes nothing, for a program, by LD_PRELOAD: the file named by TIDEGATE_DISK_FILE has two numbers of
 * four bytes, in the byte order of the machine. The first are milliseconds that each fsync() and fdatasync() takes longer;
 * the second, if not 0, is the errno with which pwrite64() fails, which is what SQLite writes with. It is mapped, so that a
 * test that writes to it makes the disk of a running program ill, and well again.
 */
#define EXPORTED __attribute__((__visibility__("default"), __used__))

static const int32_t *says; /* delay, error */
static int (*next_fsync)(int), (*next_fdatasync)(int);
static ssize_t (*next_pwrite64)(int, const void *, size_t, off64_t);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
	const char *path = getenv("TIDEGATE_DISK_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at;

	bind_next(&next_fsync, "fsync");
	bind_next(&next_fdatasync, "fdatasync");
	bind_next(&next_pwrite64, "pwrite64");
	if (fd < 0)
		return;
	at = mmap(NULL, 2 * sizeof(*says), PROT_READ, MAP_SHARED, fd, 0);
	(void) close(fd);
	if (at != MAP_FAILED)
		says = at;
}

static int32_t number(int n)
{
	(void) pthread_once(&once, prepare);
	return says ? __atomic_load_n(says + n, __ATOMIC_RELAXED) : 0;
}

static void linger(void)
{
	int32_t ms = number(0);

	if (ms > 0)
		(void) nanosleep(
			&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L },
			NULL);
}

EXPORTED int fsync(int fd)
{
	linger();
	return next_fsync(fd);
}

EXPORTED int fdatasync(int fd)
{
	linger();
	return next_fdatasync(fd);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	int32_t error = number(1);

	if (error != 0) {
		errno = error;
		return -1;
	}
	return next_pwrite64(fd, data, len, at);
}
