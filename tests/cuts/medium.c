/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/medium.h"

#include "tests/next.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS    1024
#define NO_FD  (-1)
#define DIR_FD (-2)

static struct {
	struct medium_log *log; /* NULL: nothing is recorded */
	char dir[64];
	size_t dir_len;
	int fds[FDS]; /* file, NO_FD or DIR_FD */
	struct {
		char name[IMAGE_NAME];
		unsigned file;
	} names[IMAGE_FILES];
	size_t n_names;
	enum medium_lie lie;

	unsigned fail_kinds, fail_nth, failed;
	int fail_error;
	bool fail_for_good, failing, full_next;
} m;

const char *medium_kind_name(enum medium_kind k)
{
	static const char *const names[MEDIUM_KINDS_] = {
		[MEDIUM_OPEN] = "open",     [MEDIUM_CREATE] = "create",
		[MEDIUM_WRITE] = "write",   [MEDIUM_RESIZE] = "resize",
		[MEDIUM_SYNC] = "sync",     [MEDIUM_SYNC_DIR] = "sync directory",
		[MEDIUM_RENAME] = "rename", [MEDIUM_UNLINK] = "unlink",
	};

	return names[k];
}

/* --- names and descriptors --- */

static void watch(const char *dir)
{
	assert(strlen(dir) < sizeof(m.dir));
	(void) snprintf(m.dir, sizeof(m.dir), "%s", dir);
	m.dir_len = strlen(dir);
	for (size_t i = 0; i < FDS; i++)
		m.fds[i] = NO_FD;
}

/* The name within the directory, "" for itself; NULL for other paths. */
static const char *within(const char *path)
{
	if (m.dir_len == 0 || strncmp(path, m.dir, m.dir_len) != 0)
		return NULL;
	path += m.dir_len;
	if (*path == '/')
		path++;
	else if (*path)
		return NULL;
	return strchr(path, '/') ? NULL : path;
}

static int find_name(const char *name)
{
	for (size_t i = 0; i < m.n_names; i++)
		if (strcmp(m.names[i].name, name) == 0)
			return (int) i;
	return -1;
}

static void set_name(const char *name, unsigned file)
{
	int at = find_name(name);

	if (at < 0) {
		assert(m.n_names < IMAGE_FILES && strlen(name) < IMAGE_NAME);
		at = (int) m.n_names++;
		(void) snprintf(m.names[at].name, IMAGE_NAME, "%s", name);
	}
	m.names[at].file = file;
}

static void drop_name(const char *name)
{
	int at = find_name(name);

	if (at >= 0)
		m.names[at] = m.names[--m.n_names];
}

static int file_of(int fd)
{
	return fd >= 0 && fd < FDS ? m.fds[fd] : NO_FD;
}

static bool is_dir(int fd)
{
	return m.dir_len > 0 && file_of(fd) == DIR_FD;
}

/* --- recording --- */

void medium_set_lie(enum medium_lie lie)
{
	m.lie = lie;
}

void medium_start(struct medium_log *log, const char *dir, const struct image *base)
{
	assert(!m.log && log->n == 0);
	m.dir_len = 0;
	image_store(base, dir);
	image_copy(&log->base, base);
	watch(dir);
	m.n_names = 0;
	for (size_t i = 0; i < base->n; i++)
		set_name(base->files[i].name, log->files++);
	m.log = log;
}

void medium_stop(void)
{
	m.log = NULL;
	m.dir_len = 0;
}

void medium_go_on(struct medium_log *log)
{
	assert(!m.log);
	m.log = log;
	m.dir_len = strlen(m.dir);
}

void medium_log_done(struct medium_log *log)
{
	for (size_t i = 0; i < log->n; i++)
		free(log->ops[i].data);
	free(log->ops);
	image_done(&log->base);
	*log = (struct medium_log){ .n = 0 };
}

size_t medium_position(void)
{
	return m.log ? m.log->n : 0;
}

static struct medium_op *record(enum medium_kind kind, unsigned file)
{
	static struct medium_op nowhere;
	struct medium_log *l = m.log;

	if (!l)
		return &nowhere;
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 256;
		l->ops = reallocarray(l->ops, l->room, sizeof(*l->ops));
		assert(l->ops);
	}
	l->ops[l->n] = (struct medium_op){ .kind = kind, .file = file };
	return l->ops + l->n++;
}

static void record_name(enum medium_kind kind, unsigned file, const char *name, const char *to)
{
	struct medium_op *op = record(kind, file);

	(void) snprintf(op->name, sizeof(op->name), "%s", name);
	(void) snprintf(op->to, sizeof(op->to), "%s", to);
}

static void record_write(unsigned file, const void *data, size_t len, uint64_t offset)
{
	struct medium_op *op;

	if (!m.log)
		return;
	op = record(MEDIUM_WRITE, file);
	op->data = malloc(len);
	assert(op->data);
	memcpy(op->data, data, len);
	op->len = len;
	op->offset = offset;
}

/* --- failing --- */

void medium_fail(const char *dir, unsigned kinds, unsigned nth, bool for_good, int error)
{
	if (!m.log)
		watch(dir);
	m.fail_kinds = kinds;
	m.fail_nth = nth;
	m.fail_for_good = for_good;
	m.fail_error = error;
	m.failing = true;
	m.failed = 0;
	m.full_next = false;
}

unsigned medium_heal(void)
{
	m.failing = false;
	if (!m.log)
		m.dir_len = 0;
	return m.failed;
}

/* 0, or the error that this call ends with. */
static int fails(enum medium_kind kind)
{
	if (m.full_next && kind == MEDIUM_WRITE) {
		m.full_next = false;
		m.failed++;
		return ENOSPC;
	}
	if (!m.failing || !(m.fail_kinds & 1u << kind))
		return 0;
	if (m.fail_nth > 1) {
		m.fail_nth--;
		return 0;
	}
	if (!m.fail_for_good)
		m.failing = false;
	m.failed++;
	return m.fail_error;
}

/* --- the calls --- */

static int real_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	static int (*real)(int, const char *, int, ...);

	if (!real)
		bind_next(&real, "openat64");
	return real(dirfd, path, flags, mode);
}

/* @name: within the directory, "" for itself, or NULL. */
static int open_at(int dirfd, const char *path, int flags, mode_t mode, const char *name)
{
	int fd, at, e = 0;

	if (!name)
		return real_openat(dirfd, path, flags, mode);
	at = find_name(name);
	if (*name)
		e = fails(flags & O_CREAT && faccessat(dirfd, path, F_OK, 0) < 0 ? MEDIUM_CREATE
										 : MEDIUM_OPEN);
	if (e != 0) {
		errno = e > 0 ? e : EIO;
		return -1;
	}
	fd = real_openat(dirfd, path, flags, mode);
	if (fd < 0 || fd >= FDS)
		return fd;
	if (!*name) {
		m.fds[fd] = DIR_FD;
	} else if (!m.log) {
		m.fds[fd] = 0; /* it is watched, to fail */
	} else if (at >= 0) {
		m.fds[fd] = (int) m.names[at].file;
	} else {
		m.fds[fd] = (int) m.log->files;
		set_name(name, m.log->files);
		record_name(MEDIUM_CREATE, m.log->files++, name, "");
	}
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & O_CREAT ? (mode_t) va_arg(ap, unsigned) : 0;
}

int open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_at(AT_FDCWD, path, flags, mode, within(path));
}

int openat(int dirfd, const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_at(dirfd, path, flags, mode, is_dir(dirfd) ? path : NULL);
}

int close(int fd)
{
	if (fd >= 0 && fd < FDS)
		m.fds[fd] = NO_FD;
	return (int) syscall(SYS_close, fd);
}

static ssize_t real_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);

	if (!real)
		bind_next(&real, "pwrite64");
	return real(fd, data, len, offset);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	int file = file_of(fd), e = file >= 0 && m.dir_len ? fails(MEDIUM_WRITE) : 0;
	ssize_t n;

	if (e > 0) {
		errno = e;
		return -1;
	}
	if (e == MEDIUM_SHORT) {
		len = (len + 1) / 2;
		m.full_next = true;
	}
	n = real_pwrite(fd, data, len, offset);
	if (n > 0 && file >= 0)
		record_write((unsigned) file, data, (size_t) n, (uint64_t) offset);
	return n;
}

int ftruncate(int fd, off_t len)
{
	static int (*real)(int, off_t);
	int file = file_of(fd), e = file >= 0 && m.dir_len ? fails(MEDIUM_RESIZE) : 0;

	if (e != 0) {
		errno = e > 0 ? e : EIO;
		return -1;
	}
	if (!real)
		bind_next(&real, "ftruncate64");
	if (file >= 0)
		record(MEDIUM_RESIZE, (unsigned) file)->offset = (uint64_t) len;
	return real(fd, len);
}

static int sync_file(unsigned file)
{
	int e = fails(MEDIUM_SYNC);

	if (e != 0) {
		record(MEDIUM_SYNC, file)->failed = true;
		errno = e > 0 ? e : EIO;
		return -1;
	}
	if (m.lie != MEDIUM_LOSES_SYNCS && m.lie != MEDIUM_LOSES_FILE_SYNCS)
		(void) record(MEDIUM_SYNC, file);
	return 0;
}

static int sync_dir(void)
{
	int e = fails(MEDIUM_SYNC_DIR);

	if (e != 0) {
		errno = e > 0 ? e : EIO;
		return -1;
	}
	if (m.lie != MEDIUM_LOSES_SYNCS && m.lie != MEDIUM_LOSES_DIR_SYNCS)
		(void) record(MEDIUM_SYNC_DIR, 0);
	return 0;
}

static int sync_any(int fd, long number)
{
	int file = file_of(fd);

	if (m.dir_len == 0 || file == NO_FD)
		return (int) syscall(number, fd);
	return file == DIR_FD ? sync_dir() : sync_file((unsigned) file);
}

int fsync(int fd)
{
	return sync_any(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return sync_any(fd, SYS_fdatasync);
}

/* @name: within the directory, or NULL. */
static int unlink_at(int dirfd, const char *path, int flags, const char *name)
{
	int r, e = name ? fails(MEDIUM_UNLINK) : 0;

	if (e != 0) {
		errno = e > 0 ? e : EIO;
		return -1;
	}
	r = (int) syscall(SYS_unlinkat, dirfd, path, flags);
	if (r == 0 && name && m.log) {
		record_name(MEDIUM_UNLINK, 0, name, "");
		drop_name(name);
	}
	return r;
}

int unlink(const char *path)
{
	return unlink_at(AT_FDCWD, path, 0, within(path));
}

int unlinkat(int dirfd, const char *path, int flags)
{
	return unlink_at(dirfd, path, flags, is_dir(dirfd) ? path : NULL);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	bool ours = is_dir(from_dir) && is_dir(to_dir);
	int r, at = ours ? find_name(from) : -1, e = ours ? fails(MEDIUM_RENAME) : 0;

	if (e != 0) {
		errno = e > 0 ? e : EIO;
		return -1;
	}
	r = (int) syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
	if (r == 0 && at >= 0 && m.log) {
		unsigned file = m.names[at].file;

		record_name(MEDIUM_RENAME, file, from, to);
		drop_name(from);
		set_name(to, file);
	}
	return r;
}
