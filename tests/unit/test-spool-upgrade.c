/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/store.h"
#include "spool-old.h"

#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * A spool of the schema before this one is brought up to date when it is opened, whole or not at all.
 */
#define EVENT ((UINT64_C(1) << 32) + 7)

/* --- a medium that loses what was not synced ------------------------------------------------------------------------ */

#define UNDO_MAX 512
#define CUT      99 /* exit code of a child that was cut */

static struct undo {
	int fd;
	off_t at, size; /* where, and the file's size before */
	size_t len;
	uint8_t *old;
} undo[UNDO_MAX];
static size_t n_undo;
static long cut_at = -1;  /* operations left; -1: never */
static bool lose_unsynced; /* else they reach the medium */

/* The real one; nobody here minds where the file's own offset is. */
static ssize_t put_at(int fd, const void *data, size_t len, off_t at)
{
	return lseek(fd, at, SEEK_SET) < 0 ? -1 : (ssize_t) syscall(SYS_write, fd, data, len);
}

static void cut(void)
{
	while (lose_unsynced && n_undo) {
		const struct undo *u = &undo[--n_undo];

		(void) put_at(u->fd, u->old, u->len, u->at);
		(void) !ftruncate(u->fd, u->size);
	}
	_exit(CUT);
}

static void operation(void)
{
	if (cut_at >= 0 && cut_at-- == 0)
		cut();
}

/* With 64-bit offsets this is pwrite64(), which libsqlite3 calls. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	struct stat st;

	operation();
	if (cut_at >= 0 && n_undo < UNDO_MAX && fstat(fd, &st) == 0) {
		struct undo *u = &undo[n_undo];

		*u = (struct undo){ .fd = fd, .at = at, .size = st.st_size, .old = malloc(len) };
		if (u->old && at < st.st_size)
			u->len = (size_t) pread(fd, u->old, len, at);
		n_undo++;
	}
	return put_at(fd, data, len, at);
}

int fdatasync(int fd)
{
	size_t kept = 0;

	operation();
	for (size_t i = 0; i < n_undo; i++) {
		if (undo[i].fd == fd)
			free(undo[i].old);
		else
			undo[kept++] = undo[i];
	}
	n_undo = kept;
	return 0;
}

int fsync(int fd)
{
	return fdatasync(fd);
}
/* --- the upgrade ---------------------------------------------------------------------------------------------------- */

static int is_old_row(void *user, const struct tg_row *row, enum tg_row_state state)
{
	unsigned *seen = user;
	struct tg_parcel *p = spool_bench_parcel("boiler", row->seq, 8);

	assert_int_equal(state, TG_ROW_GOOD);
	assert_int_equal(row->seq, ++*seen);
	assert_int_equal(row->len, p->len);
	assert_memory_equal(row->bytes, p->bytes, p->len);
	tg_parcel_unref(p);
	return 0;
}

static int count_event(void *user, uint64_t number, const char *text)
{
	uint64_t *sum = user;

	assert_non_null(text);
	*sum += number;
	return 0;
}

/* Opens the file, by whatever schema it has, and finds everything in it. */
static void everything_is_there(const char *dir)
{
	struct tg_store *s = NULL;
	struct tg_fault fault = { 0 };
	struct tg_db_counts counts;
	uint64_t events = 0;
	unsigned seen = 0;

	assert_int_equal(tg_store_new(dir, &spool_bench_options, &s), 0);
	if (tg_store_open(s, false, &fault) < 0)
		fail_msg("%s", fault.text);
	counts = tg_db_counts(tg_store_db(s));
	assert_int_equal(counts.rows, OLD_ROWS);
	assert_int_equal(counts.gaps, OLD_ROWS / 100);
	assert_int_equal(counts.dropped, 41);
	assert_int_equal(counts.dropped_told, 41);
	assert_int_equal(counts.set_aside, 3);
	assert_int_equal(counts.events_lost, 0);
	assert_int_equal(tg_db_read(tg_store_db(s), 1, TG_ROW_SEQ_MAX, false, UINT_MAX, is_old_row, &seen), OLD_ROWS);
	assert_int_equal(tg_db_verify(tg_store_db(s)), 0);
	/* And it is a spool like any other. */
	assert_int_equal(tg_db_begin(tg_store_db(s)), 0);
	assert_int_equal(tg_db_event_append(tg_store_db(s), EVENT, "{}"), 0);
	assert_int_equal(tg_db_commit(tg_store_db(s)), 0);
	tg_store_close(s);
	assert_int_equal(tg_store_open(s, false, &fault), 0);
	assert_int_equal(tg_db_event_read(tg_store_db(s), count_event, &events), 1);
	assert_int_equal(events, EVENT);
	tg_store_free(s);
	assert_int_equal(spool_bench_count(dir, "spool.bad-"), 0);
}

static void brings_a_file_of_schema_2_up_to_date(void **state)
{
	(void) state;
	for (int with_log = 0; with_log < 2; with_log++) {
		char dir[64];

		spool_bench_dir(dir);
		make_old(dir, with_log);
		everything_is_there(dir);
		spool_bench_remove(dir);
	}
}

/* Returns whether the open was cut at its @n-th operation. */
static bool open_cut(const char *dir, long n, bool lose)
{
	struct tg_store *s = NULL;
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		cut_at = n;
		lose_unsynced = lose;
		if (tg_store_new(dir, &spool_bench_options, &s) < 0 || tg_store_open(s, false, NULL) < 0)
			_exit(1);
		/* The power goes also when nothing is under way. */
		n = cut_at;
		cut_at = 0;
		if (n < 0)
			cut();
		lose_unsynced ? cut() : _exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == CUT || WEXITSTATUS(status) == 0));
	return WEXITSTATUS(status) == CUT;
}

/* Operations of one whole upgrade, by trying: with what is kept, the child says itself that it was not cut. */
static long operations_of_upgrade(bool with_log)
{
	long n = 0;
	bool was_cut = true;

	for (; was_cut; n++) {
		char dir[64];

		spool_bench_dir(dir);
		make_old(dir, with_log);
		was_cut = open_cut(dir, n, false);
		everything_is_there(dir);
		spool_bench_remove(dir);
	}
	return n - 1;
}

static void a_power_cut_in_the_upgrade_leaves_the_old_file_or_the_new_one(void **state)
{
	long cuts = 0;

	(void) state;
	for (int with_log = 0; with_log < 2; with_log++) {
		long operations = operations_of_upgrade(with_log);

		assert_in_range(operations, 5, 200);
		for (long n = 0; n <= operations; n++) {
			char dir[64];

			spool_bench_dir(dir);
			make_old(dir, with_log);
			(void) open_cut(dir, n, true);
			everything_is_there(dir);
			spool_bench_remove(dir);
		}
		cuts += 2 * operations;
	}
	printf("FAULT F43: %ld cuts in upgrades of the spool: the old file or the new one, with every row\n",
	       cuts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(brings_a_file_of_schema_2_up_to_date),
		cmocka_unit_test(a_power_cut_in_the_upgrade_leaves_the_old_file_or_the_new_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
