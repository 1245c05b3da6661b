/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/textfile.h"

#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* No *.prom, which is all that the collector of node_exporter looks for. */
#define NEW ".new"

enum work { IDLE, WRITING, WRITTEN };

struct tg_textfile {
	uint64_t next_us;
	pthread_t thread;
	_Atomic int work;           /* not IDLE: the thread is to be joined */
	char path[PATH_MAX], *text; /* the thread's while it writes */
	bool failing;
};

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		left -= (size_t) n;
	}
	return 0;
}

static int replace(const char *path, const char *text)
{
	tg_autoclose int fd = -1;
	char name[PATH_MAX + sizeof(NEW)];
	int r;

	(void) snprintf(name, sizeof(name), "%s" NEW, path);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text);
	/* The umask of the agent is for its own files. */
	if (r == 0 && fchmod(fd, 0644) < 0)
		r = -errno;
	if (r == 0 && rename(name, path) < 0)
		r = -errno;
	if (r < 0)
		(void) unlink(name);
	return r;
}

static void *write_text(void *arg)
{
	struct tg_textfile *t = arg;
	int r = replace(t->path, t->text);

	if (r < 0 && !t->failing)
		tg_log(LOG_WARNING, "metrics", "cannot write %s: %s; trying again", t->path,
		       strerror(-r));
	else if (r == 0 && t->failing)
		tg_log(LOG_NOTICE, "metrics", "%s is written again", t->path);
	t->failing = r < 0;
	atomic_store(&t->work, WRITTEN);
	return NULL;
}

static void join(struct tg_textfile *t)
{
	if (atomic_load(&t->work) != WRITTEN)
		return;
	(void) pthread_join(t->thread, NULL);
	free(t->text);
	t->text = NULL;
	atomic_store(&t->work, IDLE);
}

int tg_textfile_new(struct tg_textfile **ret)
{
	struct tg_textfile *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*ret = t;
	return 0;
}

bool tg_textfile_due(struct tg_textfile *t, const char *path, uint64_t now_us)
{
	join(t);
	return *path && now_us >= t->next_us && atomic_load(&t->work) == IDLE;
}

void tg_textfile_write(struct tg_textfile *t, const char *path, char *text, uint64_t now_us)
{
	t->next_us = tg_us_add(now_us, TG_TEXTFILE_EVERY_US);
	if (!text)
		return;
	(void) snprintf(t->path, sizeof(t->path), "%s", path);
	t->text = text;
	atomic_store(&t->work, WRITING);
	if (pthread_create(&t->thread, NULL, write_text, t) == 0)
		return;
	free(t->text);
	t->text = NULL;
	atomic_store(&t->work, IDLE);
}

int tg_textfile_stop(struct tg_textfile *t, uint64_t timeout_us)
{
	uint64_t until = tg_us_add(tg_clock_boot_us(), timeout_us);

	if (!t)
		return 0;
	while (atomic_load(&t->work) == WRITING && tg_clock_boot_us() < until)
		(void) poll(NULL, 0, 5);
	join(t);
	return atomic_load(&t->work) == IDLE ? 0 : -ETIMEDOUT;
}

struct tg_textfile *tg_textfile_free(struct tg_textfile *t)
{
	/* A thread that hangs in the disk keeps what it uses; the process is about to end. */
	if (!t || atomic_load(&t->work) == WRITING)
		return NULL;
	join(t);
	free(t);
	return NULL;
}
