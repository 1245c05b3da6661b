/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity generations, with a power cut at every file operation.
 *
 * This program defines write(), fsync(), renameat() and the like itself, so that calls
 * of the code under test land here. A child process runs an operation and ends at its N-th
 * file operation; what it had written to a file without an fsync is cut to half, as a
 * card may do. The parent then recovers and looks. When an operation returns
 * success, no directory that it changed may be left without an fsync.
 */
#include "identity/generation.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define CUT   99 /* exit code of a child that was cut */
#define FILES 64 /* unsynced files and directories that are watched */

static long cut_at = -1; /* operations left; -1: never */
static struct {
	dev_t dev;
	ino_t ino;
	int fd; /* of an unsynced file */
} dirty_files[FILES], dirty_dirs[FILES];
static size_t n_files, n_dirs;

static void power_cut(void)
{
	for (size_t i = 0; i < n_files; i++) {
		struct stat st;

		if (fstat(dirty_files[i].fd, &st) == 0 && st.st_ino == dirty_files[i].ino)
			(void) !ftruncate(dirty_files[i].fd, st.st_size / 2);
	}
	_exit(CUT);
}

static void operation(void)
{
	if (cut_at < 0)
		return;
	if (cut_at-- == 0)
		power_cut();
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

	if (cut_at >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && n_files < FILES) {
		dirty_files[n_files].fd = fd;
		dirty_files[n_files++].ino = st.st_ino;
		operation();
	}
	return syscall(SYS_write, fd, data, len);
}

int fsync(int fd)
{
	struct stat st;
	int r;

	operation();
	r = (int) syscall(SYS_fsync, fd);
	if (fstat(fd, &st) < 0)
		return r;
	for (size_t i = 0; i < n_files;)
		if (dirty_files[i].ino == st.st_ino)
			dirty_files[i] = dirty_files[--n_files];
		else
			i++;
	clean_dir(&st);
	return r;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	operation();
	dirty_dir(to_dir, to);
	return (int) syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	struct stat st;
	int r;

	operation();
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
	operation();
	dirty_dir(dirfd, name);
	return (int) syscall(SYS_symlinkat, target, dirfd, name);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	int r;

	operation();
	r = (int) syscall(SYS_mkdirat, dirfd, name, mode);
	if (r == 0)
		dirty_dir(dirfd, name);
	return r;
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

/* ---- a state directory ---- */

static char base[] = "/tmp/tidegate-generation-XXXXXX";
static char dir[64];

static const struct tg_generation_files files = { "-----KEY-----\n", "-----CHAIN-----\n" };

static int remove_tree(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;

	if (!d)
		return unlink(path);
	while ((e = readdir(d))) {
		char sub[512];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (unlink(sub) < 0)
			(void) remove_tree(sub);
	}
	(void) closedir(d);
	return rmdir(path);
}

static int setup(void **state)
{
	(void) state;
	snprintf(dir, sizeof(dir), "%s/state", base);
	return mkdir(dir, 0700);
}

static int teardown(void **state)
{
	(void) state;
	return remove_tree(dir);
}

static int make_base(void **state)
{
	(void) state;
	return mkdtemp(base) ? 0 : -1;
}

static int remove_base(void **state)
{
	(void) state;
	return rmdir(base);
}

static int write_one(void)
{
	struct tg_manifest m = { .method = "aws-fleet", .subject = "CN=gw", .issuer = "CN=ca" };
	struct tg_fault fault = { 0 };
	int r;

	memset(m.fingerprint, 'a', 64);
	r = tg_generation_write(dir, &files, &m, &fault);
	if (r < 0)
		fprintf(stderr, "write: %s\n", fault.text);
	return r < 0 ? r : (int) m.number;
}

static unsigned slot(enum tg_slot s)
{
	struct tg_manifest m;
	int r = tg_generation_read(dir, s, &m, NULL);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0 ? m.number : 0;
}

static bool exists(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/identity/%s", dir, name);
	return access(path, F_OK) == 0;
}

static void damage(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/identity/%s", dir, name);
	assert_int_equal(tg_file_replace(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static void a_written_generation_is_the_candidate_and_whole(void **state)
{
	tg_autofree char *bundle = NULL;
	char path[256];

	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 1);
	assert_int_equal(slot(TG_SLOT_CURRENT), 0);
	assert_int_equal(
		tg_generation_path(dir, TG_SLOT_CANDIDATE, TG_FILE_BUNDLE, path, sizeof(path)), 0);
	assert_non_null(strstr(path, "/identity/generations/000001/bundle.pem"));
	assert_int_equal(tg_file_read(AT_FDCWD, path, 4096, &bundle, NULL, NULL), 0);
	assert_string_equal(bundle, "-----CHAIN-----\n-----KEY-----\n");
	assert_int_equal(tg_generation_path(dir, TG_SLOT_CURRENT, TG_FILE_KEY, path, sizeof(path)),
			 -ENOENT);
	assert_int_equal(tg_generation_path(dir, TG_SLOT_CANDIDATE, TG_FILE_KEY, path, 10),
			 -ENAMETOOLONG);
}

static void promotion_moves_the_links_and_forgets_when_told(void **state)
{
	(void) state;
	assert_int_equal(tg_generation_promote(dir, false, NULL), -ENOENT);
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(write_one(), 2);
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 1);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
	assert_true(exists("generations/000001/key.pem"));
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	assert_false(exists("generations/000001/key.pem"));
	assert_false(exists("generations/000001/bundle.pem"));
	assert_true(exists("generations/000001/chain.pem"));
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 1);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
}

static void roll_back_keeps_current_and_never_reuses_a_number(void **state)
{
	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	assert_int_equal(write_one(), 2);
	assert_int_equal(tg_generation_roll_back(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
	assert_false(exists("generations/000002/key.pem"));
	assert_true(exists("generations/000002/manifest"));
	assert_int_equal(tg_generation_roll_back(dir, NULL), 0);
	assert_int_equal(write_one(), 3);
}

static void damage_on_the_medium_is_found(void **state)
{
	static const char *const parts[] = { "key.pem", "chain.pem", "bundle.pem", "manifest" };
	struct tg_manifest m;
	char name[64];

	(void) state;
	for (unsigned i = 0; i < TG_ARRAY_SIZE(parts); i++) {
		assert_int_equal(write_one(), i + 1);
		snprintf(name, sizeof(name), "generations/%06u/%s", i + 1, parts[i]);
		damage(name, "-----kEY-----\n");
		assert_int_equal(tg_generation_read(dir, TG_SLOT_CANDIDATE, &m, NULL), -EBADMSG);
		assert_int_equal(tg_generation_promote(dir, true, NULL), -EBADMSG);
		assert_int_equal(tg_generation_recover(dir, NULL), 0);
		assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
	}
}

static void a_damaged_current_falls_back_to_a_previous_with_key(void **state)
{
	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	assert_int_equal(write_one(), 2);
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	assert_int_equal(write_one(), 3);
	damage("generations/000002/bundle.pem", "x");
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 0);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 3);
}

static void foreign_links_and_leftovers_are_swept(void **state)
{
	char path[256];

	(void) state;
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(write_one(), 1);
	snprintf(path, sizeof(path), "%s/identity/current", dir);
	assert_int_equal(symlink("../../etc", path), 0);
	snprintf(path, sizeof(path), "%s/identity/previous", dir);
	assert_int_equal(symlink("generations/000042", path), 0);
	snprintf(path, sizeof(path), "%s/identity/generations/.new", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	damage("generations/.new/key.pem", "half");
	damage(".candidate.0123", "half");
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_false(exists("generations/.new"));
	assert_false(exists(".candidate.0123"));
	assert_int_equal(slot(TG_SLOT_CURRENT), 0);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 0);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 1);
}

static void refuses_text_that_would_make_a_broken_bundle(void **state)
{
	const struct tg_generation_files no_newline = { "key", "chain" };
	tg_autofree char *big = malloc(TG_GENERATION_FILE_MAX + 2);
	struct tg_generation_files too_big = { "k\n", big };
	struct tg_manifest m = { .number = 55 };

	(void) state;
	memset(big, '\n', TG_GENERATION_FILE_MAX);
	big[TG_GENERATION_FILE_MAX] = '\0';
	assert_int_equal(tg_generation_write(dir, &no_newline, &m, NULL), -EINVAL);
	assert_int_equal(tg_generation_write(dir, &too_big, &m, NULL), -EFBIG);
	assert_int_equal(m.number, 55);
	assert_false(exists("generations/000001"));
}

/* ---- cuts ---- */

static int do_write(void)
{
	return write_one() < 0 ? -1 : 0;
}

static int do_promote(void)
{
	return tg_generation_promote(dir, false, NULL);
}

static int do_promote_and_forget(void)
{
	return tg_generation_promote(dir, true, NULL);
}

static int do_roll_back(void)
{
	return tg_generation_roll_back(dir, NULL);
}

static int do_recover(void)
{
	return tg_generation_recover(dir, NULL);
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
		_exit(n_dirs ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 3)
		fail_msg("success with a directory that was not synced");
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CUT);
	return WEXITSTATUS(status) == CUT;
}

/* @generations before: that many are written and promoted, then one candidate if @candidate. */
static void prepare(int generations, bool candidate)
{
	for (int i = 0; i < generations; i++) {
		assert_true(write_one() > 0);
		assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	}
	if (candidate)
		assert_true(write_one() > 0);
}

/* Keys on the disk belong to linked generations, and every link is good. */
static void check_consistent(unsigned at_least_current)
{
	unsigned current = slot(TG_SLOT_CURRENT), candidate = slot(TG_SLOT_CANDIDATE),
		 previous = slot(TG_SLOT_PREVIOUS);

	if (at_least_current)
		assert_true(current >= at_least_current);
	if (candidate)
		assert_true(candidate > current);
	if (previous)
		assert_true(previous < current);
	for (unsigned i = 1; i < 8; i++) {
		char name[64];

		snprintf(name, sizeof(name), "generations/%06u/key.pem", i);
		if (exists(name))
			assert_true(i == current || i == candidate || i == previous);
	}
	assert_false(exists("generations/.new"));
}

static void cut_everywhere(int (*op)(void), int generations, bool candidate)
{
	bool cut = true;
	long n;

	for (n = 0; cut; n++) {
		void *none = NULL;

		assert_true(n < 500);
		prepare(generations, candidate);
		cut = run_cut(op, n);
		/* The recovery may be cut as well. */
		for (long m = 0; run_cut(do_recover, m); m++)
			;
		check_consistent((unsigned) generations);
		/* And the machine goes on: a new one is written and promoted. */
		assert_true(write_one() > 0);
		assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
		assert_true(slot(TG_SLOT_CURRENT) > (unsigned) generations);
		(void) teardown(&none);
		(void) setup(&none);
	}
	assert_true(n > 2); /* there was something to cut */
}

static void a_cut_while_writing_leaves_one_identity_or_none(void **state)
{
	(void) state;
	cut_everywhere(do_write, 0, false);
	cut_everywhere(do_write, 1, false);
	cut_everywhere(do_write, 2, true);
}

static void a_cut_while_promoting_leaves_one_identity(void **state)
{
	(void) state;
	cut_everywhere(do_promote, 0, true);
	cut_everywhere(do_promote, 1, true);
	cut_everywhere(do_promote_and_forget, 2, true);
}

static void a_cut_while_rolling_back_leaves_one_identity(void **state)
{
	(void) state;
	cut_everywhere(do_roll_back, 0, true);
	cut_everywhere(do_roll_back, 2, true);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_written_generation_is_the_candidate_and_whole),
		TEST(promotion_moves_the_links_and_forgets_when_told),
		TEST(roll_back_keeps_current_and_never_reuses_a_number),
		TEST(damage_on_the_medium_is_found),
		TEST(a_damaged_current_falls_back_to_a_previous_with_key),
		TEST(foreign_links_and_leftovers_are_swept),
		TEST(refuses_text_that_would_make_a_broken_bundle),
		TEST(a_cut_while_writing_leaves_one_identity_or_none),
		TEST(a_cut_while_promoting_leaves_one_identity),
		TEST(a_cut_while_rolling_back_leaves_one_identity),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
