/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/next.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Preloaded into tidegated and tidegate-provision: names every call that leaves something behind when the power fails,
 * and lets it fail at one of them.
 *
 * A point is "ROLE CALL OBJECT #N": the N-th time that this process made this call on this object. The calls are those that
 * change the state directory, one for every command to the TPM, and connect and send on TCP. Points are named and not
 * merely numbered, as the order of threads differs from run to run and the names do not.
 *
 *	TG_CUT_STATE	the state directory
 *	TG_CUT_MOUNT	the ext4 file system that it is on
 *	TG_CUT_TPM	the TPM's socket
 *	TG_CUT_LOG	where every point is noted as it is reached, a line each; on another file system
 *	TG_CUT_AT	the point and a word: before, after or torn; none: no cut
 *	TG_CUT_GROUP	the process group that the power failure ends, the TPM's in it; that of this process
 *	TG_CUT_NO_SYNC	set: fsync() and its like do nothing
 *
 * What a power cut leaves on the medium:
 *	before	the call is not made; all that was not synced is gone
 *	after	the call was made; on a file system, the kernel has just committed its journal by itself, so that names and sizes
 *		are on the medium and data that nobody synced is not. The peer of a send, or the TPM, has answered
 *	torn	half of a write, and all before it, got to the medium by chance
 */
#define EXT4_IOC_SHUTDOWN 0x8004587dUL
#define NOLOGFLUSH        2u /* what is only in the running transaction is lost, too */

#define NAMES_MAX   512 /* different calls and objects of one process; an enrolment has about 100 */
#define NAME_MAX_   160
#define TPM_WAIT_MS 10000
#define NET_WAIT_MS 300  /* a message that is not answered costs as much */
#define SETTLE_US   5000 /* for what a service does behind its first word */

enum when { WHEN_NEVER, WHEN_AFTER, WHEN_TORN };
enum medium { MEDIUM_DISK, MEDIUM_TPM, MEDIUM_NET };

struct point {
	enum when when; /* of the cut that is still to be made at this point */
	enum medium medium;
};

struct counted {
	char name[NAME_MAX_];
	unsigned n;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct counted counts[NAMES_MAX];
static size_t counts_n;
static const char *state, *mountpoint, *tpm, *cut_at, *role;
static int log_fd = -1;
static bool no_sync;

/* --- the cut -------------------------------------------------------------------------------------------------------------- */

/* The kernel commits the journal when anything is synced: the whole of it, but the data of that one file only. */
static void commit_journal(int mount_fd)
{
	int fd = (int) syscall(SYS_openat, mount_fd, ".commit", O_WRONLY | O_CREAT | O_CLOEXEC,
			       0600);

	if (fd < 0)
		return;
	(void) syscall(SYS_write, fd, "x", 1);
	(void) syscall(SYS_fsync, fd);
	(void) syscall(SYS_close, fd);
}

_Noreturn static void cut(enum when when, enum medium medium)
{
	unsigned how = NOLOGFLUSH;
	int fd =
		(int) syscall(SYS_openat, AT_FDCWD, mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (when == WHEN_TORN)
		(void) syscall(SYS_syncfs, fd);
	if (when == WHEN_AFTER && medium == MEDIUM_DISK)
		commit_journal(fd);
	if (ioctl(fd, EXT4_IOC_SHUTDOWN, &how) < 0)
		(void) dprintf(log_fd, "ERROR shutdown: %m\n");
	(void) kill(0, SIGKILL);
	for (;;)
		(void) pause();
}

/* --- points --------------------------------------------------------------------------------------------------------------- */

static unsigned count(const char *name)
{
	for (size_t i = 0; i < counts_n; i++)
		if (strcmp(counts[i].name, name) == 0)
			return ++counts[i].n;
	if (counts_n == NAMES_MAX)
		return 0;
	(void) snprintf(counts[counts_n].name, NAME_MAX_, "%s", name);
	return counts[counts_n++].n = 1;
}

/* Notes the point; cuts here when it is the one and the call is not to be made, else says what is to follow. */
static struct point arrive(enum medium medium, const char *call, const char *object)
{
	struct point p = { WHEN_NEVER, medium };
	char name[NAME_MAX_], line[NAME_MAX_ + 32];
	const char *word = NULL;
	size_t len;
	int n;

	if (log_fd < 0)
		return p;
	(void) snprintf(name, sizeof(name), "%s %s %s", role, call, object);
	(void) pthread_mutex_lock(&lock);
	n = snprintf(line, sizeof(line), "%s #%u\n", name, count(name));
	(void) syscall(SYS_write, log_fd, line, (size_t) n);
	len = (size_t) n - 1;
	if (cut_at && strncmp(cut_at, line, len) == 0 && cut_at[len] == ' ')
		word = cut_at + len + 1;
	if (word) {
		(void) dprintf(log_fd, "CUT %s\n", cut_at);
		cut_at = NULL;
		if (strcmp(word, "before") == 0)
			cut(WHEN_NEVER, medium);
		p.when = strcmp(word, "torn") == 0 ? WHEN_TORN : WHEN_AFTER;
	}
	(void) pthread_mutex_unlock(&lock);
	return p;
}

/* The peer has done its part as soon as it answers. */
static void depart(struct point p, int fd, short events)
{
	struct pollfd answer = { .fd = fd, .events = events };
	int e = errno;

	if (p.when == WHEN_NEVER)
		return;
	if (p.medium != MEDIUM_DISK) {
		(void) poll(&answer, 1, p.medium == MEDIUM_TPM ? TPM_WAIT_MS : NET_WAIT_MS);
		if (p.medium == MEDIUM_NET)
			(void) usleep(SETTLE_US);
	}
	errno = e;
	cut(p.when, p.medium);
}

/* --- objects -------------------------------------------------------------------------------------------------------------- */

/* The path below the state directory with the random part of temporary names left out; false for all others, and for the spool,
 * whose promise is another one. */
static bool is_state(const char *path, char out[static NAME_MAX_])
{
	size_t len = state ? strlen(state) : 0;
	const char *base, *dot;

	if (!len || strncmp(path, state, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return false;
	path += len;
	path += *path == '/';
	if (strncmp(path, "spool.", 6) == 0)
		return false;
	base = strrchr(path, '/');
	base = base ? base + 1 : path;
	dot = *base == '.' ? strrchr(base + 1, '.') : NULL;
	if (dot && strlen(dot + 1) == 8 && strspn(dot + 1, "0123456789abcdef") == 8)
		(void) snprintf(out, NAME_MAX_, "%.*s.*", (int) (dot - path), path);
	else
		(void) snprintf(out, NAME_MAX_, "%s", *path ? path : ".");
	return true;
}

static bool path_of_fd(int fd, char out[static PATH_MAX])
{
	char link[32];
	ssize_t n;

	(void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	if (n <= 0)
		return false;
	out[n] = '\0';
	return out[0] == '/';
}

static bool is_state_at(int dirfd, const char *name, char out[static NAME_MAX_])
{
	char path[2 * PATH_MAX], dir[PATH_MAX];

	if (*name == '/' || dirfd == AT_FDCWD)
		return is_state(name, out);
	if (!path_of_fd(dirfd, dir))
		return false;
	(void) snprintf(path, sizeof(path), "%s/%s", dir, strcmp(name, ".") == 0 ? "" : name);
	path[strlen(path) - (path[strlen(path) - 1] == '/')] = '\0';
	return is_state(path, out);
}

/* A directory that is there already is not made, a file that is not there is not removed. */
enum needs { NEEDS_NOTHING, NEEDS_NONE, NEEDS_ONE };

static struct point arrive_at(const char *call, int dirfd, const char *name, enum needs needs)
{
	char object[NAME_MAX_];
	int e = errno;
	struct point p = { WHEN_NEVER, MEDIUM_DISK };
	bool there =
		needs != NEEDS_NOTHING && faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if ((needs == NEEDS_NONE && there) || (needs == NEEDS_ONE && !there)) {
		errno = e;
		return p;
	}
	if (is_state_at(dirfd, name, object))
		p = arrive(MEDIUM_DISK, call, object);
	errno = e;
	return p;
}

static struct point arrive_fd(const char *call, int fd)
{
	char path[PATH_MAX], object[NAME_MAX_];
	int e = errno;
	struct point p = { WHEN_NEVER, MEDIUM_DISK };

	if (path_of_fd(fd, path) && is_state(path, object))
		p = arrive(MEDIUM_DISK, call, object);
	errno = e;
	return p;
}

static const char *command_name(uint32_t code, char out[static 16])
{
	static const struct {
		uint32_t code;
		const char *name;
	} known[] = {
		{ 0x120, "EvictControl" },
		{ 0x12b, "Clear" },
		{ 0x131, "CreatePrimary" },
		{ 0x144, "Startup" },
		{ 0x153, "Create" },
		{ 0x157, "Load" },
		{ 0x15d, "Sign" },
		{ 0x161, "ContextLoad" },
		{ 0x162, "ContextSave" },
		{ 0x165, "FlushContext" },
		{ 0x167, "LoadExternal" },
		{ 0x169, "NV_ReadPublic" },
		{ 0x14e, "NV_Read" },
		{ 0x173, "ReadPublic" },
		{ 0x176, "StartAuthSession" },
		{ 0x177, "VerifySignature" },
		{ 0x17a, "GetCapability" },
		{ 0x17b, "GetRandom" },
		{ 0x17c, "GetTestResult" },
		{ 0x17e, "Hash" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].code == code)
			return known[i].name;
	(void) snprintf(out, 16, "0x%x", (unsigned) code);
	return out;
}

/* A command's header: tag, size, code; all in one write. */
#define TPM_HEADER 10

static struct point arrive_tpm(const uint8_t *buf, size_t len)
{
	struct point none = { WHEN_NEVER, MEDIUM_TPM };
	char number[16];

	if (len < TPM_HEADER || buf[0] != 0x80)
		return none;
	return arrive(MEDIUM_TPM, "tpm",
		      command_name((uint32_t) buf[6] << 24 | (uint32_t) buf[7] << 16 |
					   (uint32_t) buf[8] << 8 | buf[9],
				   number));
}

static struct point arrive_peer(const char *call, const struct sockaddr *peer, socklen_t len,
				const void *buf, size_t size)
{
	struct point none = { WHEN_NEVER, MEDIUM_NET };
	const struct sockaddr_un *un = (const struct sockaddr_un *) peer;

	if (len < sizeof(sa_family_t))
		return none;
	if (peer->sa_family == AF_INET || peer->sa_family == AF_INET6)
		return arrive(MEDIUM_NET, call, "tcp");
	if (peer->sa_family == AF_UNIX && tpm && buf &&
	    strncmp(un->sun_path, tpm, sizeof(un->sun_path)) == 0)
		return arrive_tpm(buf, size);
	return none;
}

/* Of anything that is written to: a file, the TPM, a server. */
static struct point arrive_any(const char *call, int fd, const void *buf, size_t size)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct point p;
	int e = errno;

	memset(&peer, 0, sizeof(peer));
	if (getpeername(fd, (struct sockaddr *) &peer, &len) < 0)
		p = arrive_fd(call, fd);
	else
		p = arrive_peer("send", (struct sockaddr *) &peer, len, buf, size);
	errno = e;
	return p;
}

__attribute__((__constructor__)) static void begin(void)
{
	const char *log = getenv("TG_CUT_LOG"), *group = getenv("TG_CUT_GROUP");

	/* A preload that is not wanted, or whose cut would end somebody else's processes. */
	if (!log || !group || getpgrp() != (pid_t) strtol(group, NULL, 10))
		return;
	log_fd = (int) syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			       0600);
	role = strcmp(program_invocation_short_name, "tidegated") == 0 ? "agent" : "helper";
	mountpoint = getenv("TG_CUT_MOUNT");
	tpm = getenv("TG_CUT_TPM");
	cut_at = getenv("TG_CUT_AT");
	no_sync = getenv("TG_CUT_NO_SYNC") != NULL;
	state = getenv("TG_CUT_STATE");
}

/* --- the calls ------------------------------------------------------------------------------------------------------------ */

#define EXPORTED __attribute__((__visibility__("default"), __used__))

static size_t half_if_torn(struct point p, size_t size)
{
	return p.when == WHEN_TORN ? size / 2 : size;
}

EXPORTED ssize_t write(int fd, const void *buf, size_t size)
{
	NEXT(ssize_t, "write", int, const void *, size_t);
	struct point p = arrive_any("write", fd, buf, size);
	ssize_t n = next(fd, buf, half_if_torn(p, size));

	depart(p, fd, POLLIN);
	return n;
}

EXPORTED ssize_t writev(int fd, const struct iovec *iov, int n_iov)
{
	NEXT(ssize_t, "writev", int, const struct iovec *, int);
	struct point p = arrive_any("write", fd, NULL, 0);
	ssize_t n = next(fd, iov, n_iov);

	depart(p, fd, POLLIN);
	return n;
}

EXPORTED ssize_t send(int fd, const void *buf, size_t size, int flags)
{
	NEXT(ssize_t, "send", int, const void *, size_t, int);
	struct point p = arrive_any("send", fd, buf, size);
	ssize_t n = next(fd, buf, size, flags);

	depart(p, fd, POLLIN);
	return n;
}

EXPORTED int connect(int fd, const struct sockaddr *peer, socklen_t len)
{
	NEXT(int, "connect", int, const struct sockaddr *, socklen_t);
	struct point p = arrive_peer("connect", peer, len, NULL, 0);
	int r = next(fd, peer, len);

	depart(p, fd, POLLOUT);
	return r;
}

EXPORTED int fsync(int fd)
{
	NEXT(int, "fsync", int);
	struct point p = arrive_fd("fsync", fd);
	int r = no_sync ? 0 : next(fd);

	depart(p, fd, 0);
	return r;
}

EXPORTED int fdatasync(int fd)
{
	NEXT(int, "fdatasync", int);
	struct point p = arrive_fd("fsync", fd);
	int r = no_sync ? 0 : next(fd);

	depart(p, fd, 0);
	return r;
}

EXPORTED int ftruncate(int fd, off_t size)
{
	NEXT(int, "ftruncate64", int, off_t);
	struct point p = arrive_fd("truncate", fd);
	int r = next(fd, size);

	depart(p, fd, 0);
	return r;
}

EXPORTED int rename(const char *from, const char *to)
{
	NEXT(int, "rename", const char *, const char *);
	struct point p = arrive_at("rename", AT_FDCWD, to, NEEDS_NOTHING);
	int r = next(from, to);

	depart(p, -1, 0);
	return r;
}

EXPORTED int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	NEXT(int, "renameat", int, const char *, int, const char *);
	struct point p = arrive_at("rename", to_dir, to, NEEDS_NOTHING);
	int r = next(from_dir, from, to_dir, to);

	depart(p, -1, 0);
	return r;
}

EXPORTED int unlink(const char *name)
{
	NEXT(int, "unlink", const char *);
	struct point p = arrive_at("unlink", AT_FDCWD, name, NEEDS_ONE);
	int r = next(name);

	depart(p, -1, 0);
	return r;
}

EXPORTED int unlinkat(int dir, const char *name, int flags)
{
	NEXT(int, "unlinkat", int, const char *, int);
	struct point p = arrive_at(flags & AT_REMOVEDIR ? "rmdir" : "unlink", dir, name, NEEDS_ONE);
	int r = next(dir, name, flags);

	depart(p, -1, 0);
	return r;
}

EXPORTED int symlinkat(const char *target, int dir, const char *name)
{
	NEXT(int, "symlinkat", const char *, int, const char *);
	struct point p = arrive_at("symlink", dir, name, NEEDS_NOTHING);
	int r = next(target, dir, name);

	depart(p, -1, 0);
	return r;
}

EXPORTED int mkdir(const char *name, mode_t mode)
{
	NEXT(int, "mkdir", const char *, mode_t);
	struct point p = arrive_at("mkdir", AT_FDCWD, name, NEEDS_NONE);
	int r = next(name, mode);

	depart(p, -1, 0);
	return r;
}

EXPORTED int mkdirat(int dir, const char *name, mode_t mode)
{
	NEXT(int, "mkdirat", int, const char *, mode_t);
	struct point p = arrive_at("mkdir", dir, name, NEEDS_NONE);
	int r = next(dir, name, mode);

	depart(p, -1, 0);
	return r;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

EXPORTED int openat(int dir, const char *name, int flags, ...)
{
	NEXT(int, "openat64", int, const char *, int, ...);
	struct point p = { WHEN_NEVER, MEDIUM_DISK };
	va_list ap;
	mode_t mode;
	int fd;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (flags & O_CREAT)
		p = arrive_at("create", dir, name, NEEDS_NONE);
	fd = next(dir, name, flags, mode);
	depart(p, fd, 0);
	return fd;
}

EXPORTED int open(const char *name, int flags, ...)
{
	NEXT(int, "open64", const char *, int, ...);
	struct point p = { WHEN_NEVER, MEDIUM_DISK };
	va_list ap;
	mode_t mode;
	int fd;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	if (flags & O_CREAT)
		p = arrive_at("create", AT_FDCWD, name, NEEDS_NONE);
	fd = next(name, flags, mode);
	depart(p, fd, 0);
	return fd;
}
