/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/exec/child.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_TRIES    100
#define STOP_PAUSE_MS 10

/* --- starting --- */

/* As a fresh process, in a group of its own: the agent blocks signals in its threads. */
static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r;

	(void) sigemptyset(&none);
	(void) sigfillset(&all);
	r = posix_spawnattr_setsigmask(attr, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (!r)
		r = posix_spawnattr_setpgroup(attr, 0);
	if (!r)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
							   POSIX_SPAWN_SETPGROUP);
	return r;
}

static int set_files(posix_spawn_file_actions_t *files, const char *directory, int out, int err)
{
	int r = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (!r)
		r = posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(files, err, STDERR_FILENO);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	if (!r)
		r = posix_spawn_file_actions_addchdir_np(files, directory);
	return r;
}

static int spawn(struct tg_child *c, const struct tg_exec_words *words, const char *directory,
		 const char *device, int out, int err)
{
	char name[96];
	char *environment[] = { (char[]){ "PATH=/usr/local/bin:/usr/bin:/bin" },
				(char[]){ "LANG=C.UTF-8" }, name, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r;

	(void) snprintf(name, sizeof name, "TIDEGATE_DEVICE=%s", device);
	r = posix_spawnattr_init(&attr);
	if (r)
		return -r;
	r = posix_spawn_file_actions_init(&files);
	if (r) {
		(void) posix_spawnattr_destroy(&attr);
		return -r;
	}
	r = set_attributes(&attr);
	if (!r)
		r = set_files(&files, directory, out, err);
	if (!r)
		r = posix_spawn(&c->pid, words->words[0], &files, &attr, (char **) words->words,
				environment);
	(void) posix_spawn_file_actions_destroy(&files);
	(void) posix_spawnattr_destroy(&attr);
	if (r)
		c->pid = 0;
	return -r;
}

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int tg_child_start(struct tg_child *c, const struct tg_exec_words *words, const char *directory,
		   const char *device, struct tg_fault *reterr)
{
	int out[2] = { -1, -1 }, err[2] = { -1, -1 }, r;

	*c = (struct tg_child) TG_CHILD_NONE;
	r = pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ? -errno : 0;
	if (r == 0)
		r = set_nonblocking(out[0]);
	if (r == 0)
		r = set_nonblocking(err[0]);
	if (r == 0)
		r = spawn(c, words, directory, device, out[1], err[1]);
	if (r == 0) {
		c->out = tg_take_fd(out[0]);
		c->err = tg_take_fd(err[0]);
		c->pidfd = pidfd_open(c->pid, 0);
		r = c->pidfd < 0 ? -errno : 0;
	}
	for (int i = 0; i < 2; i++) {
		tg_closep(&out[i]);
		tg_closep(&err[i]);
	}
	if (r == 0)
		return 0;
	tg_child_stop(c);
	return tg_fault_set(reterr, r, "%s does not start: %s", words->words[0], strerror(-r));
}

/* --- reading --- */

static void close_end(int *fd)
{
	tg_closep(fd);
	*fd = -1;
}

ssize_t tg_child_read(struct tg_child *c)
{
	ssize_t n;

	if (c->out < 0)
		return -EPIPE;
	if (c->len == sizeof c->text) {
		/* Nobody could take a line out of it. */
		c->overlong = true;
		c->len = 0;
	}
	n = read(c->out, c->text + c->len, sizeof c->text - c->len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close_end(&c->out);
		return -EPIPE;
	}
	c->len += (size_t) n;
	return n;
}

int tg_child_line(struct tg_child *c, char *line, size_t size)
{
	const char *end = memchr(c->text, '\n', c->len);
	size_t len = end ? (size_t) (end - c->text) : c->len, all = end ? len + 1 : len;
	bool good;

	if (!end && (c->out >= 0 || c->len == 0))
		return 0;
	good = !c->overlong && len < size && !memchr(c->text, '\0', len);
	if (good) {
		memcpy(line, c->text, len);
		line[len > 0 && line[len - 1] == '\r' ? len - 1 : len] = '\0';
	}
	c->overlong = false;
	memmove(c->text, c->text + all, c->len - all);
	c->len -= all;
	return good ? 1 : -EMSGSIZE;
}

void tg_child_complaint(struct tg_child *c, char *out, size_t size)
{
	char raw[1024];
	ssize_t n = c->err < 0 ? 0 : read(c->err, raw, sizeof raw);

	out[0] = '\0';
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_end(&c->err);
	while (n > 0 && raw[n - 1] == '\n')
		n--;
	if (n > 0)
		(void) tg_printable(out, size, raw, (size_t) n);
}

/* --- the end --- */

bool tg_child_has_ended(struct tg_child *c)
{
	siginfo_t si = { .si_pid = 0 };

	if (c->ended || c->pid <= 0 ||
	    waitid(P_PID, (id_t) c->pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
		return c->ended;
	/* What it has left behind goes with it, and as long as it is not reaped its group is nobody else's. */
	(void) kill(-c->pid, SIGKILL);
	c->ended = waitpid(c->pid, &c->status, 0) == c->pid;
	return c->ended;
}

const char *tg_child_end_words(const struct tg_child *c, char *out, size_t size)
{
	out[0] = '\0';
	if (WIFSIGNALED(c->status))
		(void) snprintf(out, size, "killed by signal %d", WTERMSIG(c->status));
	else if (WEXITSTATUS(c->status) != 0)
		(void) snprintf(out, size, "exit status %d", WEXITSTATUS(c->status));
	return out;
}

void tg_child_stop(struct tg_child *c)
{
	if (c->pid > 0 && !tg_child_has_ended(c))
		(void) kill(-c->pid, SIGKILL);
	for (int i = 0; c->pid > 0 && !tg_child_has_ended(c) && i < STOP_TRIES; i++)
		(void) poll(NULL, 0, STOP_PAUSE_MS);
	close_end(&c->out);
	close_end(&c->err);
	close_end(&c->pidfd);
	c->pid = 0;
	c->len = 0;
}
