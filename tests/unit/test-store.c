/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/store.h"
#include "spool-bench.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/*
 * The store on real files that are cut, flipped, replaced and killed.
 */
#define ROWS    300u
#define DEVICES 3u

struct bench {
	char dir[64];
	struct tg_store *store;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	spool_bench_dir(b->dir);
	assert_int_equal(tg_store_new(b->dir, &spool_bench_options, &b->store), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_store_free(b->store);
	spool_bench_remove(b->dir);
	free(b);
	return 0;
}

static const char *device_of(uint64_t seq)
{
	static const char *const devices[DEVICES] = { "boiler", "meter", "pump" };

	return devices[seq % DEVICES];
}

/* Small packs, a few of several pages. */
static struct tg_parcel *parcel_of(uint64_t seq)
{
	return spool_bench_parcel(device_of(seq), seq, seq % 50 == 0 ? 400 : 4 + seq % 8);
}

static void append(struct tg_db *db, uint64_t seq)
{
	struct tg_parcel *p = parcel_of(seq);
	const struct tg_row row = {
		.seq = seq,
		.device = device_of(seq),
		.made_wall_us = 1000000 + (int64_t) seq,
		.bytes = p->bytes,
		.len = p->len,
	};

	assert_int_equal(tg_db_append(db, &row), 0);
	tg_parcel_unref(p);
}

static void append_rows(struct tg_db *db, uint64_t from, uint64_t to)
{
	assert_int_equal(tg_db_begin(db), 0);
	for (uint64_t seq = from; seq <= to; seq++)
		append(db, seq);
	assert_int_equal(tg_db_commit(db), 0);
}

struct seen {
	unsigned good, gaps, bad;
	uint64_t last;
	bool has[ROWS * 4];
};

static int on_row(void *user, const struct tg_row *row, enum tg_row_state state)
{
	struct seen *s = user;

	assert_true(row->seq > s->last);
	s->last = row->seq;
	if (state == TG_ROW_GOOD && row->gap == 0) {
		struct tg_parcel *p = parcel_of(row->seq);

		/* What passes for good is exactly what was written. */
		assert_string_equal(row->device, device_of(row->seq));
		assert_int_equal(row->len, p->len);
		assert_memory_equal(row->bytes, p->bytes, p->len);
		assert_int_equal(row->made_wall_us, 1000000 + (int64_t) row->seq);
		tg_parcel_unref(p);
		s->good++;
		if (row->seq < ROWS * 4)
			s->has[row->seq] = true;
	} else if (state == TG_ROW_GOOD) {
		assert_string_equal(row->device, device_of(row->seq));
		s->gaps++;
	} else {
		s->bad++;
	}
	return 0;
}

static struct seen read_all(struct tg_db *db)
{
	struct seen s = { 0 };

	assert_true(tg_db_read(db, 1, TG_ROW_SEQ_MAX, false, UINT_MAX, on_row, &s) >= 0);
	return s;
}

static void open_store(struct bench *b)
{
	assert_int_equal(tg_store_open(b->store, false, NULL), 0);
}

/* Opens it, by way of a repair if need be; then reads until it is read. */
static struct seen open_and_read(struct tg_store *store, bool *ret_repaired)
{
	struct tg_store_repair repair;
	struct tg_fault fault = { 0 };
	struct seen s = { 0 };
	int r = tg_store_open(store, false, &fault);

	*ret_repaired = false;
	if (r == 0) {
		r = tg_db_read(tg_store_db(store), 1, TG_ROW_SEQ_MAX, false, UINT_MAX, on_row, &s);
		if (r >= 0)
			return s;
	}
	if (r != -EUCLEAN)
		print_error("%d: %s\n", r, fault.text);
	assert_int_equal(r, -EUCLEAN);
	assert_int_equal(tg_store_repair(store, &repair, &fault), 0);
	*ret_repaired = true;
	return read_all(tg_store_db(store));
}

static void keeps_rows_and_counts_over_a_restart(void **state)
{
	struct bench *b = *state;
	struct tg_db *db;

	open_store(b);
	append_rows(tg_store_db(b->store), 1, ROWS);
	db = tg_store_db(b->store);
	assert_int_equal(tg_db_begin(db), 0);
	for (uint64_t seq = 1; seq <= 100; seq++)
		assert_int_equal(tg_db_remove(db, seq), 0);
	assert_int_equal(tg_db_remove(db, 5), 0);
	assert_int_equal(tg_db_set_aside(db, 101), 0);
	assert_int_equal(tg_db_add_dropped(db, 7), 0);
	assert_int_equal(tg_db_commit(db), 0);
	append_rows(db, ROWS + 1, ROWS + 50);
	append_rows(db, ROWS + 1, ROWS + 50);
	assert_int_equal(tg_db_counts(db).rows, ROWS - 101 + 50);

	/* Clean, and as after a kill. */
	assert_int_equal(spool_bench_rows(b->dir), ROWS - 101 + 50);
	tg_store_close(b->store);
	open_store(b);
	db = tg_store_db(b->store);
	assert_int_equal(tg_db_counts(db).rows, ROWS - 101 + 50);
	assert_int_equal(tg_db_counts(db).dropped, 7);
	assert_int_equal(tg_db_counts(db).set_aside, 1);
	assert_int_equal(read_all(db).good, ROWS - 101 + 50);
	assert_int_equal(tg_db_verify(db), 0);
}

static void forgets_a_transaction_that_is_rolled_back(void **state)
{
	struct bench *b = *state;
	struct tg_db *db;

	open_store(b);
	db = tg_store_db(b->store);
	append_rows(db, 1, 10);
	assert_int_equal(tg_db_begin(db), 0);
	append(db, 11);
	assert_int_equal(tg_db_remove(db, 1), 0);
	tg_db_rollback(db);
	assert_int_equal(tg_db_counts(db).rows, 10);
	assert_int_equal(read_all(db).good, 10);
}

static void gives_the_disk_back_after_a_drain(void **state)
{
	struct bench *b = *state;
	uint64_t used, file, before;
	struct tg_db *db;

	open_store(b);
	db = tg_store_db(b->store);
	append_rows(db, 1, 3000);
	assert_int_equal(tg_db_usage(db, &used, &before), 0);
	assert_int_equal(tg_db_begin(db), 0);
	for (uint64_t seq = 1; seq <= 3000; seq++)
		assert_int_equal(tg_db_remove(db, seq), 0);
	assert_int_equal(tg_db_commit(db), 0);
	assert_int_equal(tg_db_shrink(db), 0);
	assert_int_equal(tg_db_usage(db, &used, &file), 0);
	assert_true(before > 1000000);
	assert_true(file < 65536);
}

static void refuses_a_row_beyond_its_bound(void **state)
{
	struct bench *b = *state;
	struct tg_db *db;
	int r = 0;

	open_store(b);
	db = tg_store_db(b->store);
	tg_db_set_max_bytes(db, 200000);
	assert_int_equal(tg_db_begin(db), 0);
	for (uint64_t seq = 1; seq <= 5000 && r == 0; seq++) {
		struct tg_parcel *p = parcel_of(seq);
		const struct tg_row row = {
			.seq = seq, .device = "x", .bytes = p->bytes, .len = p->len
		};

		r = tg_db_append(db, &row);
		tg_parcel_unref(p);
	}
	assert_int_equal(r, -ENOSPC);
	tg_db_rollback(db);
	append_rows(db, 1, 10);
}

/* --- damage --- */

static void sets_aside_what_is_no_spool(void **state)
{
	static const char letter[] = "Dear gateway, I am a file that has nothing to do with you.\n";
	struct bench *b = *state;
	char path[512];
	bool repaired;

	spool_bench_path(path, b->dir, "spool.db");
	for (int kind = 0; kind < 5; kind++) {
		switch (kind) {
		case 0:
			spool_bench_write(b->dir, "spool.db", letter, sizeof(letter));
			break;
		case 1:
			spool_bench_write(b->dir, "spool.db", "", 0);
			break;
		case 2:
			assert_int_equal(mkdir(path, 0700), 0);
			break;
		case 3:
			assert_int_equal(symlink("/etc/passwd", path), 0);
			break;
		default:
			spool_bench_write(b->dir, "spool.db", (char[8192]){ 0 }, 8192);
			break;
		}
		assert_int_equal(open_and_read(b->store, &repaired).good, 0);
		assert_true(repaired);
		append_rows(tg_store_db(b->store), 1, 3);
		tg_store_close(b->store);
		open_store(b);
		assert_int_equal(read_all(tg_store_db(b->store)).good, 3);
		tg_store_close(b->store);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(spool_bench_count(b->dir, "spool.bad-"), TG_STORE_BAD_KEEP);
}

static void leaves_a_newer_file_alone(void **state)
{
	struct bench *b = *state;
	struct tg_fault fault = { 0 };
	uint8_t *before, *after;
	size_t len, len_after;

	open_store(b);
	append_rows(tg_store_db(b->store), 1, 3);
	tg_store_close(b->store);
	spool_bench_make_newer(b->dir);
	before = spool_bench_read(b->dir, "spool.db", &len);
	assert_int_equal(tg_store_open(b->store, false, &fault), -EPROTONOSUPPORT);
	after = spool_bench_read(b->dir, "spool.db", &len_after);
	assert_int_equal(len, len_after);
	assert_memory_equal(before, after, len);
	assert_int_equal(spool_bench_count(b->dir, "spool.bad-"), 0);
	free(before);
	free(after);
}

/* A file, and its log when it was not closed, as they were at some instant. */
struct image {
	uint8_t *db, *wal;
	size_t db_len, wal_len;
};

static struct image take_image(struct bench *b, bool with_log)
{
	struct image im = { 0 };

	open_store(b);
	append_rows(tg_store_db(b->store), 1, 200);
	assert_int_equal(tg_db_checkpoint(tg_store_db(b->store), true), 0);
	/* One commit each, so that a cut log has many ends. */
	for (uint64_t seq = 201; seq <= ROWS; seq++)
		append_rows(tg_store_db(b->store), seq, seq);
	if (!with_log)
		tg_store_close(b->store);
	im.db = spool_bench_read(b->dir, "spool.db", &im.db_len);
	im.wal = spool_bench_read(b->dir, "spool.db-wal", &im.wal_len);
	tg_store_close(b->store);
	assert_non_null(im.db);
	return im;
}

static void done_image(struct image *im)
{
	free(im->db);
	free(im->wal);
}

/* Puts the image into a directory of its own, opens and reads it, and sees that it can be written. */
static struct seen try_image(const struct image *im, bool *ret_repaired)
{
	struct tg_store *store = NULL;
	struct seen s;
	char dir[64];

	spool_bench_dir(dir);
	spool_bench_write(dir, "spool.db", im->db, im->db_len);
	if (im->wal)
		spool_bench_write(dir, "spool.db-wal", im->wal, im->wal_len);
	assert_int_equal(tg_store_new(dir, &spool_bench_options, &store), 0);
	s = open_and_read(store, ret_repaired);
	if (tg_db_begin(tg_store_db(store)) == 0) {
		append(tg_store_db(store), ROWS + 1);
		/* Damage may still hide where nobody has looked; then the next repair deals with it. */
		if (tg_db_commit(tg_store_db(store)) < 0)
			tg_db_rollback(tg_store_db(store));
	}
	tg_store_free(store);
	spool_bench_remove(dir);
	return s;
}

static void rescues_what_is_left_of_a_truncated_file(void **state)
{
	struct image whole = take_image(*state, false);
	unsigned last = 0, repairs = 0;

	for (size_t len = 0; len < whole.db_len; len += len < 8192 ? 509 : 3571) {
		struct image cut = whole;
		struct seen s;
		bool repaired;

		cut.db_len = len;
		s = try_image(&cut, &repaired);
		repairs += repaired;
		if (s.good > last)
			last = s.good;
	}
	/* Nearly all of it is there when only the end is missing. */
	assert_true(last > ROWS / 2);
	assert_true(repairs > 10);
	done_image(&whole);
}

static void keeps_every_commit_before_the_cut_of_its_log(void **state)
{
	struct image whole = take_image(*state, true);
	unsigned before = 200;

	assert_true(whole.wal_len > 100 * 4096);
	for (size_t len = 0; len <= whole.wal_len; len += 2053) {
		struct image cut = whole;
		struct seen s;
		bool repaired;

		cut.wal_len = len;
		s = try_image(&cut, &repaired);
		assert_false(repaired);
		assert_int_equal(s.bad + s.gaps, 0);
		/* A prefix of the history, and never a shorter one for a longer log. */
		assert_true(s.good >= before && s.good <= ROWS);
		for (unsigned seq = 1; seq <= s.good; seq++)
			assert_true(s.has[seq]);
		before = s.good;
	}
	assert_true(before > 290);
	done_image(&whole);
}

static void never_delivers_a_row_with_a_flipped_bit(void **state)
{
	struct image whole = take_image(*state, false);
	unsigned tries = 0, rows = 0, worst = ROWS;

	for (size_t at = 0; at < whole.db_len; at += at < 600 ? 7 : 397) {
		struct seen s;
		bool repaired;

		whole.db[at] ^= (uint8_t) (1u << at % 8);
		s = try_image(&whole, &repaired);
		whole.db[at] ^= (uint8_t) (1u << at % 8);
		tries++;
		rows += s.good;
		if (s.good < worst)
			worst = s.good;
	}
	/* Of one bit, nearly everything is left on average. */
	assert_true(rows > tries * (ROWS - ROWS / 4));
	done_image(&whole);
}

static void never_delivers_a_wrong_row_from_a_flipped_log(void **state)
{
	struct image whole = take_image(*state, true);

	for (size_t at = 0; at < whole.wal_len; at += at < 100 ? 3 : 4001) {
		bool repaired;

		whole.wal[at] ^= (uint8_t) (1u << at % 8);
		assert_true(try_image(&whole, &repaired).good >= 200);
		whole.wal[at] ^= (uint8_t) (1u << at % 8);
	}
	done_image(&whole);
}

static void rescues_rows_on_both_sides_of_a_wiped_page(void **state)
{
	struct image whole = take_image(*state, false);
	unsigned repairs = 0;

	for (size_t page = 2; (page + 1) * 4096 <= whole.db_len; page += 3) {
		uint8_t *at = whole.db + page * 4096, old[4096];
		struct seen s;
		bool repaired;

		memcpy(old, at, sizeof(old));
		memset(at, 0xa5, sizeof(old));
		s = try_image(&whole, &repaired);
		memcpy(at, old, sizeof(old));
		repairs += repaired;
		/* The root of the packs takes all with it, a page of the tree its rows. */
		if (repaired && s.good > 0)
			assert_true(s.good > ROWS / 2);
	}
	assert_true(repairs > 5);
	done_image(&whole);
}

/* --- starts that were cut --- */

static void takes_a_new_file_that_a_cut_left_without_its_name(void **state)
{
	struct bench *b = *state;
	char from[512], to[512];

	open_store(b);
	append_rows(tg_store_db(b->store), 1, 10);
	tg_store_close(b->store);
	spool_bench_path(from, b->dir, "spool.db");
	spool_bench_path(to, b->dir, "spool.new");
	assert_int_equal(rename(from, to), 0);
	/* The log of the file that was set aside must not be played into it. */
	spool_bench_write(b->dir, "spool.db-wal", "stray", 5);
	open_store(b);
	assert_int_equal(read_all(tg_store_db(b->store)).good, 10);
	assert_int_equal(spool_bench_count(b->dir, "spool.new"), 0);
}

static void throws_away_a_new_file_that_was_not_finished(void **state)
{
	struct bench *b = *state;

	spool_bench_write(b->dir, "spool.new", "half", 4);
	spool_bench_write(b->dir, "spool.new-journal", "of it", 5);
	open_store(b);
	append_rows(tg_store_db(b->store), 1, 10);
	assert_int_equal(spool_bench_count(b->dir, "spool.new"), 0);
	assert_int_equal(spool_bench_count(b->dir, "spool.bad-"), 0);
}

static void says_so_when_there_is_no_directory(void **state)
{
	struct tg_store *store = NULL;
	struct tg_fault fault = { 0 };

	(void) state;
	assert_int_equal(tg_store_new("/nonexistent/tidegate", &spool_bench_options, &store), 0);
	assert_int_equal(tg_store_open(store, false, &fault), -ENOENT);
	assert_non_null(strstr(fault.text, "/nonexistent/tidegate"));
	tg_store_free(store);
}

/* --- other processes --- */

static void leaves_a_file_alone_that_another_process_has(void **state)
{
	struct bench *b = *state;
	pid_t pid;
	int status;

	open_store(b);
	append_rows(tg_store_db(b->store), 1, 3);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct tg_store *other = NULL;
		int r = tg_store_new(b->dir, &spool_bench_options, &other);

		if (r == 0)
			r = tg_store_open(other, false, NULL);
		_exit(r == -EBUSY ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(spool_bench_count(b->dir, "spool.bad-"), 0);
}

/* Commits for ever, and reports each commit that has returned. */
static void writer(const char *dir, uint64_t from, int report)
{
	struct tg_store *store = NULL;

	if (tg_store_new(dir, &spool_bench_options, &store) < 0 ||
	    tg_store_open(store, false, NULL) < 0)
		_exit(1);
	for (uint64_t seq = from;; seq++) {
		struct tg_db *db = tg_store_db(store);

		append_rows(db, seq, seq);
		if (write(report, &seq, sizeof(seq)) != sizeof(seq))
			_exit(1);
	}
}

static void has_every_commit_after_a_kill(void **state)
{
	struct bench *b = *state;
	uint64_t last = 0;

	for (int round = 0; round < 12; round++) {
		uint64_t seq, target = last + 20 + (uint64_t) round * 7 % 30;
		struct seen s;
		int fds[2];
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			writer(b->dir, last + 1, fds[1]);
		(void) close(fds[1]);
		while (last < target && read(fds[0], &seq, sizeof(seq)) == sizeof(seq))
			last = seq;
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(fds[0], &seq, sizeof(seq)) == sizeof(seq))
			last = seq;
		(void) close(fds[0]);

		open_store(b);
		s = read_all(tg_store_db(b->store));
		assert_true(s.last == last || s.last == last + 1);
		for (uint64_t i = 1; i <= last; i++)
			assert_true(s.has[i]);
		assert_int_equal(tg_db_counts(tg_store_db(b->store)).rows, s.good);
		last = s.last;
		tg_store_close(b->store);
	}
}

static uint64_t bytes_read(void)
{
	FILE *f = fopen("/proc/self/io", "re");
	unsigned long long n = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "rchar: %llu", &n), 1);
	(void) fclose(f);
	return n;
}

static void does_not_read_the_backlog_at_start(void **state)
{
	struct bench *b = *state;
	struct tg_parcel *p = spool_bench_parcel("boiler", 1, 3);
	struct tg_db *db;
	uint64_t before, used, file;

	open_store(b);
	db = tg_store_db(b->store);
	assert_int_equal(tg_db_begin(db), 0);
	for (uint64_t seq = 1; seq <= 100000; seq++) {
		const struct tg_row row = {
			.seq = seq, .device = "boiler", .bytes = p->bytes, .len = p->len
		};

		assert_int_equal(tg_db_append(db, &row), 0);
	}
	assert_int_equal(tg_db_commit(db), 0);
	tg_store_close(b->store);

	before = bytes_read();
	open_store(b);
	db = tg_store_db(b->store);
	assert_int_equal(tg_db_counts(db).rows, 100000);
	assert_true(bytes_read() - before < 512 * 1024);
	assert_int_equal(tg_db_usage(db, &used, &file), 0);
	assert_true(file > 10000000);
	tg_parcel_unref(p);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(keeps_rows_and_counts_over_a_restart),
		TEST(forgets_a_transaction_that_is_rolled_back),
		TEST(gives_the_disk_back_after_a_drain),
		TEST(refuses_a_row_beyond_its_bound),
		TEST(sets_aside_what_is_no_spool),
		TEST(leaves_a_newer_file_alone),
		TEST(rescues_what_is_left_of_a_truncated_file),
		TEST(keeps_every_commit_before_the_cut_of_its_log),
		TEST(never_delivers_a_row_with_a_flipped_bit),
		TEST(never_delivers_a_wrong_row_from_a_flipped_log),
		TEST(rescues_rows_on_both_sides_of_a_wiped_page),
		TEST(takes_a_new_file_that_a_cut_left_without_its_name),
		TEST(throws_away_a_new_file_that_was_not_finished),
		TEST(says_so_when_there_is_no_directory),
		TEST(leaves_a_file_alone_that_another_process_has),
		TEST(has_every_commit_after_a_kill),
		TEST(does_not_read_the_backlog_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
