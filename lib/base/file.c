/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

TG_DEFINE_CLEANUP(DIR *, closedir)

static int fail(struct tg_fault *reterr, const char *what, const char *name)
{
	int e = errno;

	return tg_fault_set(reterr, -e, "%s %s: %s", what, name, strerror(e));
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t) n;
	}
	return 0;
}

/* Writes, fsyncs and closes the new file @name; removes it again when any of it fails. */
int tg_file_create(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		   struct tg_fault *reterr)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode), r;

	if (fd < 0)
		return fail(reterr, "cannot create", name);
	r = write_all(fd, data, len);
	/* The umask has had its say; the caller's mode is exact. */
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r < 0) {
		(void) unlinkat(dirfd, name, 0);
		return tg_fault_set(reterr, r, "cannot write %s: %s", name, strerror(-r));
	}
	return 0;
}

int tg_file_sync_dir(int dirfd, const char *dir, struct tg_fault *reterr)
{
	tg_autoclose int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(reterr, "cannot open directory", dir);
	if (fsync(fd) < 0)
		return fail(reterr, "cannot sync directory", dir);
	return 0;
}

/* The directory part of @name, "." when there is none. */
static int parent_of(const char *name, char out[static PATH_MAX], struct tg_fault *reterr)
{
	const char *slash = strrchr(name, '/');
	size_t len = slash ? (size_t) (slash - name) : 0;

	if (len >= PATH_MAX)
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long: %.100s...", name);
	if (slash && len == 0)
		len = 1; /* "/name" */
	memcpy(out, slash ? name : ".", slash ? len : 1);
	out[slash ? len : 1] = '\0';
	return 0;
}

/* A hidden sibling: ".NAME.RANDOM" where recovery and readers never look. */
static int temp_name(const char *name, char out[static PATH_MAX], struct tg_fault *reterr)
{
	const char *slash = strrchr(name, '/');
	int dir = slash ? (int) (slash - name) + 1 : 0;
	int n = snprintf(out, PATH_MAX, "%.*s.%s.%08x", dir, name, name + dir,
			 (unsigned) tg_random_u64());

	if (n < 0 || n >= PATH_MAX)
		return tg_fault_set(reterr, -ENAMETOOLONG, "path too long: %.100s...", name);
	return 0;
}

/* A name that temp_name() may have made. */
static bool is_temp_name(const char *name)
{
	const char *dot = *name == '.' ? strrchr(name + 1, '.') : NULL;

	return dot && dot > name + 1 && strlen(dot + 1) == 8 &&
	       strspn(dot + 1, "0123456789abcdef") == 8;
}

int tg_file_sweep(int dirfd, const char *dir, struct tg_fault *reterr)
{
	int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	tg_cleanup(closedirp) DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!list) {
		r = fail(reterr, "cannot list directory", dir);
		if (fd >= 0)
			(void) close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(list)))
		/* A directory was not made here. */
		if (is_temp_name(e->d_name) && unlinkat(fd, e->d_name, 0) < 0 && errno != ENOENT &&
		    errno != EISDIR)
			r = fail(reterr, "cannot remove", e->d_name);
	return r;
}

static int rename_and_sync(int dirfd, const char *temp, const char *name, struct tg_fault *reterr)
{
	char dir[PATH_MAX];
	int r = parent_of(name, dir, reterr);

	if (r < 0)
		return r;
	if (renameat(dirfd, temp, dirfd, name) < 0)
		return fail(reterr, "cannot rename to", name);
	return tg_file_sync_dir(dirfd, dir, reterr);
}

int tg_file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		    struct tg_fault *reterr)
{
	char temp[PATH_MAX];
	int r = temp_name(name, temp, reterr);

	if (r < 0)
		return r;
	r = tg_file_create(dirfd, temp, data, len, mode, reterr);
	if (r < 0)
		return r;
	r = rename_and_sync(dirfd, temp, name, reterr);
	if (r < 0)
		(void) unlinkat(dirfd, temp, 0);
	return r;
}

int tg_file_relink(int dirfd, const char *name, const char *target, struct tg_fault *reterr)
{
	char temp[PATH_MAX];
	int r = temp_name(name, temp, reterr);

	if (r < 0)
		return r;
	if (symlinkat(target, dirfd, temp) < 0)
		return fail(reterr, "cannot link", name);
	r = rename_and_sync(dirfd, temp, name, reterr);
	if (r < 0)
		(void) unlinkat(dirfd, temp, 0);
	return r;
}

static int read_all(int fd, char *data, size_t max, size_t *ret_len)
{
	size_t len = 0;

	/* One byte more than allowed tells a file that grew behind fstat() from one that fits. */
	while (len <= max) {
		ssize_t n = read(fd, data + len, max + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t) n;
	}
	if (len > max)
		return -EFBIG;
	*ret_len = len;
	return 0;
}

int tg_file_read(int dirfd, const char *name, size_t max, char **ret_data, size_t *ret_len,
		 struct tg_fault *reterr)
{
	/* O_NONBLOCK: a FIFO in the place of the file must not hold the caller. */
	tg_autoclose int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	tg_autofree char *data = NULL;
	struct stat st;
	size_t len = 0, room;
	int r;

	if (fd < 0)
		return fail(reterr, "cannot open", name);
	if (fstat(fd, &st) < 0)
		return fail(reterr, "cannot read", name);
	if (!S_ISREG(st.st_mode))
		return tg_fault_set(reterr, -EINVAL, "%s is not a regular file", name);
	if (st.st_size > 0 && (uint64_t) st.st_size > max)
		return tg_fault_set(reterr, -EFBIG, "%s is longer than %zu bytes", name, max);
	/* Files of /proc and /sys say 0 or a page: for those the bound is the room. */
	room = st.st_size > 0 && (st.st_size % 4096) ? (size_t) st.st_size : max;
	data = malloc(room + 2);
	if (!data)
		return tg_fault_set(reterr, -ENOMEM, "out of memory reading %s", name);
	r = read_all(fd, data, room, &len);
	if (r < 0)
		return tg_fault_set(reterr, r, "cannot read %s: %s", name, strerror(-r));
	data[len] = '\0';
	*ret_data = tg_take(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int tg_file_mkdirs(const char *path, mode_t mode, struct tg_fault *reterr)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	struct stat st;

	if (len == 0 || len >= sizeof(part))
		return tg_fault_set(reterr, -ENAMETOOLONG, "bad directory path '%.100s'", path);
	memcpy(part, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		char c = part[i];

		if (c != '/' && c != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return fail(reterr, "cannot make directory", part);
		part[i] = c;
	}
	if (stat(path, &st) < 0)
		return fail(reterr, "cannot look at", path);
	if (!S_ISDIR(st.st_mode))
		return tg_fault_set(reterr, -ENOTDIR, "%s is not a directory", path);
	return 0;
}

void tg_file_hold_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void) close(fd);
}
