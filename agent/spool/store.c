/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/store.h"

#include "agent/spool/rescue.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME        "spool.db"
#define NAME_NEW    "spool.new"
#define BAD_PREFIX  "spool.bad-"
#define LOCK_START  0x40000000 /* of SQLite's file format: the lock-byte page */
#define LOCK_LEN    512
#define LAST_SCANNED 256u /* rows looked at for the highest number */
#define BAD_SCANNED 64u /* set-aside files that are looked at when the oldest are removed */

struct tg_store {
	char *dir;
	char *path, *path_new; /* SQLite wants paths */
	struct tg_db_options options;
	struct tg_db *db;
};

int tg_store_new(const char *state_dir, const struct tg_db_options *o, struct tg_store **ret)
{
	tg_cleanup(tg_store_freep) struct tg_store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->options = *o;
	s->dir = strdup(state_dir);
	if (!s->dir || asprintf(&s->path, "%s/" NAME, state_dir) < 0) {
		s->path = NULL;
		return -ENOMEM;
	}
	if (asprintf(&s->path_new, "%s/" NAME_NEW, state_dir) < 0) {
		s->path_new = NULL;
		return -ENOMEM;
	}
	*ret = tg_take(s);
	return 0;
}

struct tg_store *tg_store_free(struct tg_store *s)
{
	if (!s)
		return NULL;
	tg_store_close(s);
	free(s->dir);
	free(s->path);
	free(s->path_new);
	free(s);
	return NULL;
}

void tg_store_configure(struct tg_store *s, const struct tg_db_options *o)
{
	s->options = *o;
	if (s->db)
		tg_db_set_max_bytes(s->db, o->max_bytes);
}

struct tg_db *tg_store_db(struct tg_store *s)
{
	return s->db;
}

void tg_store_close(struct tg_store *s)
{
	s->db = tg_db_close(s->db);
}

void tg_store_abandon(struct tg_store *s)
{
	s->db = tg_db_abandon(s->db);
}

/* --- the directory --- */

static int open_dir(const struct tg_store *s, int *ret, struct tg_fault *reterr)
{
	int fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return tg_fault_set(reterr, -errno, "%s: %m", s->dir);
	*ret = fd;
	return 0;
}

static bool exists(int dirfd, const char *name, struct stat *ret_st)
{
	return fstatat(dirfd, name, ret_st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int sync_dir(int dirfd)
{
	return fsync(dirfd) < 0 ? -errno : 0;
}

static int move(int dirfd, const char *from, const char *to)
{
	if (renameat(dirfd, from, dirfd, to) < 0)
		return errno == ENOENT ? 0 : -errno;
	return 0;
}

static int discard(int dirfd, const char *name)
{
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_bad_file(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return strncmp(e->d_name, BAD_PREFIX, sizeof(BAD_PREFIX) - 1) == 0 &&
	       (len < 4 || strcmp(e->d_name + len - 4, "-wal") != 0);
}

/* Removes the oldest set-aside files so that one more can be kept. What does not go, such as a full
 * directory, stays. */
static void prune(const struct tg_store *s, int dirfd)
{
	struct dirent **list = NULL;
	int n = scandir(s->dir, &list, is_bad_file, by_name);

	for (int i = 0; i < n; i++) {
		char wal[NAME_MAX + 8];

		if (n - i >= (int) TG_STORE_BAD_KEEP && i < (int) BAD_SCANNED) {
			(void) snprintf(wal, sizeof(wal), "%s-wal", list[i]->d_name);
			(void) unlinkat(dirfd, wal, 0);
			if (unlinkat(dirfd, list[i]->d_name, 0) < 0)
				(void) unlinkat(dirfd, list[i]->d_name, AT_REMOVEDIR);
		}
		free(list[i]);
	}
	free(list);
}

/* spool.bad-20261121T101510Z, with a number behind it when the clock repeats itself. */
static void bad_name(int dirfd, char out[static 64])
{
	char iso[32], stamp[32];
	struct stat st;
	size_t n = 0;

	(void) tg_clock_iso(tg_clock_wall_us(), iso);
	for (const char *p = iso; *p; p++)
		if (*p != '-' && *p != ':')
			stamp[n++] = *p;
	stamp[n] = '\0';
	(void) snprintf(out, 64, BAD_PREFIX "%s", stamp);
	for (unsigned i = 1; exists(dirfd, out, &st) && i < 1000; i++)
		(void) snprintf(out, 64, BAD_PREFIX "%s.%03u", stamp, i);
}

/*
 * The old file and its log, under one name. The log alone would be taken for that of the new file; the file
 * alone, without its log, for a whole one: it goes first, for good.
 */
static int set_aside(const struct tg_store *s, int dirfd, char out[static 64])
{
	char wal[80];
	int r;

	prune(s, dirfd);
	bad_name(dirfd, out);
	(void) snprintf(wal, sizeof(wal), "%s-wal", out);
	r = move(dirfd, NAME, out);
	if (r == 0)
		r = sync_dir(dirfd);
	if (r == 0)
		r = move(dirfd, NAME "-wal", wal);
	if (r == 0)
		r = discard(dirfd, NAME "-journal");
	if (r == 0)
		r = discard(dirfd, NAME "-shm");
	return r;
}

/* A file in the making whose journal went first would pass for a complete one. */
static int discard_new(int dirfd)
{
	int r = discard(dirfd, NAME_NEW);

	if (r == 0)
		r = sync_dir(dirfd);
	return r < 0 ? r : discard(dirfd, NAME_NEW "-journal");
}

/* spool.new becomes spool.db. */
static int adopt(int dirfd)
{
	static const char *const stray[] = { NAME "-wal", NAME "-journal", NAME "-shm" };
	int r = 0;

	/* Logs without their file must not meet the new one. */
	for (size_t i = 0; i < TG_ARRAY_SIZE(stray) && r == 0; i++)
		r = discard(dirfd, stray[i]);
	if (r == 0)
		r = sync_dir(dirfd);
	if (r == 0 && renameat(dirfd, NAME_NEW, dirfd, NAME) < 0)
		r = -errno;
	return r < 0 ? r : sync_dir(dirfd);
}

/* --- opening --- */

static int start_new(struct tg_store *s, int dirfd, struct tg_db **ret, struct tg_fault *reterr)
{
	int r = discard_new(dirfd);

	if (r < 0)
		return tg_fault_set(reterr, r, "%s: %s", s->path_new, strerror(-r));
	r = tg_db_open(s->path_new, TG_DB_NEW, &s->options, ret, reterr);
	if (r < 0) {
		(void) discard_new(dirfd);
		tg_fault_prefix(reterr, "%s", s->path_new);
	}
	return r;
}

static int make(struct tg_store *s, int dirfd, struct tg_fault *reterr)
{
	tg_cleanup(tg_db_abandonp) struct tg_db *db = NULL;
	int r = start_new(s, dirfd, &db, reterr);

	if (r < 0)
		return r;
	r = tg_db_commit(db);
	if (r < 0)
		return tg_fault_set(reterr, r, "%s: %s", s->path_new, tg_db_error_text(db));
	db = tg_db_close(db);
	r = adopt(dirfd);
	return r < 0 ? tg_fault_set(reterr, r, "%s: %s", s->path, strerror(-r)) : 0;
}

/* There is no spool.db: the last start may have been cut off between making one and naming it. */
static int find_or_make(struct tg_store *s, int dirfd, struct tg_fault *reterr)
{
	struct stat st, journal;
	int r;

	if (!exists(dirfd, NAME_NEW, &st) || !S_ISREG(st.st_mode) || st.st_size == 0 ||
	    exists(dirfd, NAME_NEW "-journal", &journal))
		return make(s, dirfd, reterr);
	r = adopt(dirfd);
	return r < 0 ? tg_fault_set(reterr, r, "%s: %s", s->path, strerror(-r)) : 0;
}

static int rewrite(int fd)
{
	uint8_t piece[16384];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, piece, sizeof(piece), at)) > 0) {
		ssize_t done = pwrite(fd, piece, (size_t) n, at);

		if (done <= 0)
			return done < 0 ? -errno : -ENOSPC;
		at += done;
	}
	if (n < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* No other process has the file: this is where SQLite keeps its locks. Closing @fd gives it up. */
static int lock(int fd)
{
	struct flock l = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_START, .l_len = LOCK_LEN
	};

	if (fcntl(fd, F_SETLK, &l) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

/*
 * After a failed fsync the kernel may show pages of the log that the medium never got, and holds them for written: another
 * fsync would say nothing about them, and to fold such a log into the file would leave half a transaction if the power
 * went then. Nor is its name durable, if that fsync was the first. The process that has seen the failure may be gone, so
 * each log that is found is written over itself, which makes its pages new, before SQLite reads it.
 */
static int renew_log(int dirfd)
{
	tg_autoclose int log = openat(dirfd, NAME "-wal", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	tg_autoclose int fd = -1;
	int r;

	if (log < 0)
		return errno == ENOENT ? 0 : -errno;
	fd = openat(dirfd, NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = lock(fd);
	if (r == 0)
		r = rewrite(log);
	return r < 0 ? r : sync_dir(dirfd);
}

static int verify_open(struct tg_store *s, struct tg_fault *reterr)
{
	/* Of the file itself, what failed is what the log still has: it is written once more, and the log started anew. */
	int r = tg_db_checkpoint(s->db, true);

	if (r == 0)
		r = tg_db_verify(s->db);
	if (r < 0) {
		(void) tg_fault_set(reterr, r, "%s: %s", s->path, tg_db_error_text(s->db));
		tg_store_abandon(s);
	}
	return r;
}

int tg_store_open(struct tg_store *s, bool verify, struct tg_fault *reterr)
{
	tg_autoclose int dirfd = -1;
	struct stat st;
	int r;

	r = open_dir(s, &dirfd, reterr);
	if (r < 0)
		return r;
	if (!exists(dirfd, NAME, &st)) {
		if (errno != ENOENT)
			return tg_fault_set(reterr, -errno, "%s: %m", s->path);
		r = find_or_make(s, dirfd, reterr);
		if (r < 0)
			return r;
	} else if (!S_ISREG(st.st_mode)) {
		return tg_fault_set(reterr, -EUCLEAN, "%s: not a file", s->path);
	} else if (st.st_size == 0) {
		return tg_fault_set(reterr, -EUCLEAN, "%s: empty", s->path);
	}

	r = renew_log(dirfd);
	if (r < 0)
		return tg_fault_set(reterr, r, "%s-wal: %s", s->path, strerror(-r));
	r = tg_db_open(s->path, TG_DB_EXISTING, &s->options, &s->db, reterr);
	if (r < 0) {
		tg_fault_prefix(reterr, "%s", s->path);
		return r;
	}
	return verify ? verify_open(s, reterr) : 0;
}

static int keep_seq(void *user, const struct tg_row *row, enum tg_row_state state)
{
	uint64_t *last = user;

	/* A number that fails its checksum may be anything. */
	if (state == TG_ROW_BAD)
		return 0;
	*last = row->seq;
	return 1;
}

static int keep_event(void *user, uint64_t number, const char *text)
{
	uint64_t *last = user;

	if (text && number > *last)
		*last = number;
	return 0;
}

uint64_t tg_store_last_seq(struct tg_store *s)
{
	tg_cleanup(tg_db_abandonp) struct tg_db *salvage = NULL;
	uint64_t last = 0;

	if (!s->db && tg_db_open(s->path, TG_DB_SALVAGE, &s->options, &salvage, NULL) < 0)
		return 0;
	/* Of a file that breaks on the way, what was seen before counts. */
	(void) !tg_db_read(s->db ? s->db : salvage, 1, TG_ROW_SEQ_MAX, true, LAST_SCANNED, keep_seq, &last);
	(void) !tg_db_event_read(s->db ? s->db : salvage, keep_event, &last);
	return last;
}

/* --- repair --- */

/* Fills the new file; it is complete, synced and closed when this returns 0. */
static int refill(struct tg_store *s, int dirfd, struct tg_store_repair *repair,
		  struct tg_fault *reterr)
{
	tg_cleanup(tg_db_abandonp) struct tg_db *from = NULL, *to = NULL;
	struct tg_db_counts old = { 0 };
	struct stat st;
	int r;

	r = start_new(s, dirfd, &to, reterr);
	if (r < 0)
		return r;
	if (exists(dirfd, NAME, &st) && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    tg_db_open(s->path, TG_DB_SALVAGE, &s->options, &from, NULL) == 0) {
		r = tg_rescue(from, to, &repair->rescued, &repair->lost);
		old = tg_db_counts(from);
	}
	if (r == 0)
		r = tg_db_carry_counts(to, &old);
	if (r == 0)
		r = tg_db_add_dropped(to, repair->lost);
	if (r == 0)
		r = tg_db_commit(to);
	if (r < 0)
		return tg_fault_set(reterr, r, "%s: %s", s->path_new, tg_db_error_text(to));
	to = tg_db_close(to);
	return 0;
}

int tg_store_repair(struct tg_store *s, struct tg_store_repair *ret, struct tg_fault *reterr)
{
	struct tg_store_repair repair = { 0 };
	tg_autoclose int dirfd = -1;
	int r;

	tg_store_abandon(s);
	r = open_dir(s, &dirfd, reterr);
	if (r < 0)
		return r;
	r = refill(s, dirfd, &repair, reterr);
	if (r < 0) {
		(void) discard_new(dirfd);
		return r;
	}
	/* That the new file has no journal left says that it is complete: before the old one goes, that must be so for good. */
	r = sync_dir(dirfd);
	if (r == 0)
		r = set_aside(s, dirfd, repair.aside);
	if (r == 0)
		r = adopt(dirfd);
	if (r < 0)
		return tg_fault_set(reterr, r, "%s: %s", s->path, strerror(-r));
	r = tg_store_open(s, false, reterr);
	if (r < 0)
		return r;

	*ret = repair;
	return 0;
}
