/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A power cut at any file operation of the code under test.
 *
 * A test program that includes this defines write(), fsync(), renameat() and the like itself, so that calls of
 * the code under test land here. run_cut() runs an operation in a child process that ends at its N-th file
 * operation; what it had written to a file without an fsync is cut to half, as a card may do. When the operation
 * returns success, no directory that it changed may be left without an fsync.
 *
 * For one source file of a program. What is lost of renames that were not synced is not imitated, only forbidden.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CUT   99 /* exit code of a child that was cut */
#define FILES 64 /* unsynced files and directories that are watched */

static long cut_at = -1;  /* operations left; -1: never */
static long full_at = -1; /* the same, for the one that finds the disk full */
static struct {
	dev_t dev;
	ino_t ino;
	int fd; /* of an unsynced file */
} dirty_files[FILES], dirty_dirs[FILES];
static size_t n_files, n_dirs;

/* What was not synced is lost, in part: also of files that were closed since. */
static void lose_unsynced(void)
{
	for (size_t i = 0; i < n_files; i++) {
		struct stat st;

		if (fstat(dirty_files[i].fd, &st) == 0 && st.st_ino == dirty_files[i].ino)
			(void) !ftruncate(dirty_files[i].fd, st.st_size / 2);
	}
}

static void power_cut(void)
{
	lose_unsynced();
	_exit(CUT);
}

/* Counts an operation; false when it must fail, as on a full disk. */
static bool operation(void)
{
	if (full_at >= 0 && full_at-- == 0) {
		errno = ENOSPC;
		return false;
	}
	if (cut_at >= 0 && cut_at-- == 0)
		power_cut();
	return true;
}

static void clean_dir(const struct stat *st)
{
	for (size_t i = 0; i < n_dirs;)
		if (dirty_dirs[i].ino == st->st_ino && dirty_dirs[i].dev == st->st_dev)
			dirty_dirs[i] = dirty_dirs[--n_dirs];
		else
			i++;
}

static void dirty_dir(int dirfd, const char *name)
{
	char path[4096];
	struct stat st;
	char *slash;

	snprintf(path, sizeof(path), "%s", name);
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	if (fstatat(dirfd, slash ? path : ".", &st, 0) < 0 || n_dirs == FILES)
		return;
	dirty_dirs[n_dirs].dev = st.st_dev;
	dirty_dirs[n_dirs++].ino = st.st_ino;
}

ssize_t write(int fd, const void *data, size_t len)
{
	struct stat st;

	if ((cut_at >= 0 || full_at >= 0) && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    n_files < FILES) {
		dirty_files[n_files].fd = dup(fd);
		dirty_files[n_files++].ino = st.st_ino;
		if (!operation())
			return -1;
	}
	return syscall(SYS_write, fd, data, len);
}

int fsync(int fd)
{
	struct stat st;

	if (!operation())
		return -1;
	/* The real one is left out: what it would do to the medium is what is imitated here. */
	if (fstat(fd, &st) < 0)
		return -1;
	for (size_t i = 0; i < n_files;)
		if (dirty_files[i].ino == st.st_ino) {
			(void) close(dirty_files[i].fd);
			dirty_files[i] = dirty_files[--n_files];
		} else {
			i++;
		}
	clean_dir(&st);
	return 0;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	if (!operation())
		return -1;
	dirty_dir(to_dir, to);
	return (int) syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	struct stat st;
	int r;

	if (full_at < 0) /* removing finds no disk full */
		(void) operation();
	/* A directory that goes needs no fsync of its own any more. */
	if ((flags & AT_REMOVEDIR) && fstatat(dirfd, name, &st, 0) == 0)
		clean_dir(&st);
	r = (int) syscall(SYS_unlinkat, dirfd, name, flags);
	if (r == 0)
		dirty_dir(dirfd, name);
	return r;
}

int symlinkat(const char *target, int dirfd, const char *name)
{
	if (!operation())
		return -1;
	dirty_dir(dirfd, name);
	return (int) syscall(SYS_symlinkat, target, dirfd, name);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	int r;

	if (!operation())
		return -1;
	r = (int) syscall(SYS_mkdirat, dirfd, name, mode);
	if (r == 0)
		dirty_dir(dirfd, name);
	return r;
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

/* Runs @op in a child that loses power at operation @n. Returns whether it was cut. */
static bool run_cut(int (*op)(void), long n)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		n_files = n_dirs = 0;
		cut_at = n;
		if (op() < 0)
			_exit(2);
		cut_at = -1;
		lose_unsynced();
		_exit(n_dirs ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 3)
		fail_msg("success with a directory that was not synced");
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CUT);
	return WEXITSTATUS(status) == CUT;
}
