/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk.h"
#include "agent/spool/spool.h"
#include "base/clock.h"
#include "spool-bench.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * Events for the cloud in the spool's file: over restarts, damage and the upgrade of a file that had none yet.
 */
#define EPOCH   (UINT64_C(1) << 32)
#define WAIT_US (20 * TG_US_PER_S) /* for what takes milliseconds, unless the machine is busy */

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

/* --- a file of schema 2 --------------------------------------------------------------------------------------------- */

#define OLD_ROWS 300u

static const char old_schema[] =
	"PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; BEGIN;"
	"CREATE TABLE pack(seq INTEGER PRIMARY KEY, ord INTEGER NOT NULL, device TEXT NOT NULL, made INTEGER NOT NULL,"
	" gap INTEGER NOT NULL, gap_first INTEGER NOT NULL, key_crc INTEGER NOT NULL, crc INTEGER NOT NULL, bytes BLOB NOT NULL);"
	"CREATE TABLE aside(seq INTEGER PRIMARY KEY, device TEXT, made INTEGER, bytes BLOB);"
	"CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO counter VALUES ('schema', 2), ('appended', 300), ('removed', 0), ('dropped', 41), ('set_aside', 3);"
	"PRAGMA application_id=1952936816; PRAGMA user_version=2; COMMIT; PRAGMA journal_mode=WAL";

static void insert_old(sqlite3_stmt *st, uint64_t seq)
{
	struct tg_parcel *p = spool_bench_parcel("boiler", seq, 8);
	const struct tg_row row = {
		.seq = seq,
		.device = "boiler",
		.made_wall_us = 1000000 + (int64_t) seq,
		.gap = seq % 100 == 0 ? 5 : 0,
		.gap_first = seq % 100 == 0 ? seq - 5 : 0,
		.bytes = p->bytes,
		.len = p->len,
	};
	uint32_t key_crc = tg_row_key_crc(&row);

	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) seq);
	(void) sqlite3_bind_int64(st, 2, (sqlite3_int64) seq);
	(void) sqlite3_bind_int64(st, 3, row.made_wall_us);
	(void) sqlite3_bind_int64(st, 4, (sqlite3_int64) row.gap);
	(void) sqlite3_bind_int64(st, 5, (sqlite3_int64) row.gap_first);
	(void) sqlite3_bind_int64(st, 6, key_crc);
	(void) sqlite3_bind_int64(st, 7, tg_row_crc(&row, key_crc));
	(void) sqlite3_bind_blob(st, 8, p->bytes, (int) p->len, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	assert_int_equal(sqlite3_reset(st), SQLITE_OK);
	tg_parcel_unref(p);
}

/* @with_log: as a kill leaves it, with half of the rows in the log alone. */
static void make_old(const char *dir, bool with_log)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *h = NULL;
	char path[512];

	spool_bench_path(path, dir, "spool.db");
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, old_schema, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(h, "INSERT INTO pack VALUES (?1, ?2, 'boiler', ?3, ?4, ?5, ?6, ?7, ?8)",
					    -1, &st, NULL),
			 SQLITE_OK);
	for (uint64_t seq = 1; seq <= OLD_ROWS; seq++) {
		if (seq == OLD_ROWS / 2)
			assert_int_equal(sqlite3_wal_checkpoint_v2(h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
					 SQLITE_OK);
		insert_old(st, seq);
	}
	(void) sqlite3_finalize(st);
	if (with_log)
		(void) sqlite3_db_config(h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
	spool_bench_path(path, dir, "spool.db-shm");
	(void) unlink(path);
}

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
	assert_int_equal(tg_db_event_append(tg_store_db(s), EPOCH + 7, "{}"), 0);
	assert_int_equal(tg_db_commit(tg_store_db(s)), 0);
	tg_store_close(s);
	assert_int_equal(tg_store_open(s, false, &fault), 0);
	assert_int_equal(tg_db_event_read(tg_store_db(s), count_event, &events), 1);
	assert_int_equal(events, EPOCH + 7);
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

/* --- the shelf, on the disk ----------------------------------------------------------------------------------------- */

static char *text_of(uint64_t number)
{
	char *text = NULL;

	assert_true(asprintf(&text, "{\"event\":\"number-%llu\"}", (unsigned long long) number) > 0);
	return text;
}

struct disk_bench {
	char dir[64];
	struct tg_queue q;
	struct tg_disk disk;
	uint64_t now;
};

static void disk_start(struct disk_bench *b)
{
	const struct tg_queue_limits queue = { .memory = 1 << 20, .commit_interval_us = TG_US_PER_S };
	const struct tg_disk_limits disk = { .max_size = 8 << 20, .full = true };

	b->now = tg_clock_boot_us();
	tg_queue_init(&b->q, &queue, b->now);
	assert_int_equal(tg_disk_init(&b->disk, b->dir, &disk, NULL, NULL, &b->q, NULL), 0);
}

static void disk_stop(struct disk_bench *b)
{
	tg_disk_done(&b->disk);
	tg_queue_done(&b->q);
}

static void disk_put(struct disk_bench *b, uint64_t number)
{
	tg_shelf_put(&b->disk.shelf, number, text_of(number));
}

/* The events that somebody would find who opens the file after a kill: how many, and the first. */
static unsigned stored(const char *dir, uint64_t *ret_first, uint64_t *ret_lost)
{
	struct tg_shelf shelf = { .n = 0 };
	struct tg_store *s = NULL;
	char copy[64];
	unsigned n;

	spool_bench_dir(copy);
	spool_bench_copy(dir, copy);
	assert_int_equal(tg_store_new(copy, &spool_bench_options, &s), 0);
	assert_int_equal(tg_store_open(s, false, NULL), 0);
	assert_int_equal(tg_shelf_load(&shelf, tg_store_db(s)), 0);
	n = (unsigned) tg_shelf_waiting(&shelf);
	*ret_first = n ? tg_shelf_next(&shelf)->number : 0;
	if (ret_lost)
		*ret_lost = tg_db_counts(tg_store_db(s)).events_lost;
	tg_shelf_done(&shelf);
	tg_store_free(s);
	spool_bench_remove(copy);
	return n;
}

static void the_oldest_goes_when_too_many_wait(void **state)
{
	struct disk_bench b;
	uint64_t first, lost;

	(void) state;
	spool_bench_dir(b.dir);
	disk_start(&b);
	for (uint64_t n = 1; n <= TG_SHELF_EVENTS + 6; n++) {
		disk_put(&b, EPOCH + n);
		tg_disk_turn(&b.disk, b.now);
	}
	assert_int_equal(stored(b.dir, &first, &lost), TG_SHELF_EVENTS);
	assert_int_equal(first, EPOCH + 7);
	assert_int_equal(lost, 6);
	assert_int_equal(b.disk.counts.events_lost, 6);
	/* Nobody took one of them, the others were delivered: the file forgets all. */
	for (uint64_t n = 1; n <= TG_SHELF_EVENTS + 6; n++)
		tg_shelf_finish(&b.disk.shelf, EPOCH + n, n != 9);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(stored(b.dir, &first, &lost), 0);
	assert_int_equal(lost, 7);
	assert_int_equal(b.disk.shelf.n, 0);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

static void an_event_without_room_stays_in_memory_and_fails_nothing(void **state)
{
	struct disk_bench b;
	char *long_text = malloc(TG_DB_EVENT_MAX + 1);
	uint64_t first;

	(void) state;
	assert_non_null(long_text);
	memset(long_text, 'x', TG_DB_EVENT_MAX);
	long_text[TG_DB_EVENT_MAX] = '\0';
	spool_bench_dir(b.dir);
	disk_start(&b);
	tg_db_set_max_bytes(tg_store_db(b.disk.store), 0);
	tg_shelf_put(&b.disk.shelf, EPOCH + 1, long_text);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(b.disk.error, 0);
	assert_int_equal(tg_shelf_waiting(&b.disk.shelf), 1);
	assert_int_equal(tg_shelf_stored(&b.disk.shelf), 0);
	assert_true(tg_disk_due_us(&b.disk) > b.now && tg_disk_due_us(&b.disk) <= b.now + 60 * TG_US_PER_S);
	tg_db_set_max_bytes(tg_store_db(b.disk.store), 8 << 20);
	b.now = tg_disk_due_us(&b.disk);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(tg_shelf_stored(&b.disk.shelf), 1);
	assert_int_equal(stored(b.dir, &first, NULL), 1);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

/* Flips a bit in every copy of @mark. */
static void damage(const char *dir, const char *mark)
{
	size_t size, len = strlen(mark);
	uint8_t *data = spool_bench_read(dir, "spool.db", &size), *at;
	unsigned found = 0;

	assert_non_null(data);
	for (at = data; (at = memmem(at, size - (size_t) (at - data), mark, len)); found++)
		at[len - 1] ^= 0x40;
	assert_true(found > 0);
	spool_bench_write(dir, "spool.db", data, size);
	free(data);
}

static void a_damaged_event_is_not_sent_but_counted(void **state)
{
	struct disk_bench b;
	uint64_t first;

	(void) state;
	spool_bench_dir(b.dir);
	disk_start(&b);
	disk_put(&b, EPOCH + 1);
	disk_put(&b, EPOCH + 2);
	assert_int_equal(tg_disk_finish(&b.disk, b.now), 0);
	disk_stop(&b);
	damage(b.dir, "number-4294967297");
	disk_start(&b);
	assert_int_equal(tg_shelf_waiting(&b.disk.shelf), 1);
	assert_int_equal(tg_shelf_next(&b.disk.shelf)->number, EPOCH + 2);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(b.disk.error, 0);
	assert_int_equal(b.disk.counts.events_lost, 1);
	assert_int_equal(stored(b.dir, &first, NULL), 1);
	assert_int_equal(first, EPOCH + 2);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

static void events_are_rescued_from_a_damaged_file(void **state)
{
	struct disk_bench b;
	uint64_t first;
	uint8_t *data;
	size_t len;

	(void) state;
	spool_bench_dir(b.dir);
	disk_start(&b);
	disk_put(&b, EPOCH + 1);
	disk_put(&b, EPOCH + 2);
	for (uint64_t seq = 1; seq <= 500; seq++)
		assert_int_equal(tg_queue_put(&b.q, spool_bench_parcel("boiler", seq, 20), b.now), 0);
	b.now += 2 * TG_US_PER_S;
	tg_disk_turn(&b.disk, b.now);
	tg_shelf_finish(&b.disk.shelf, EPOCH + 1, true);
	assert_int_equal(tg_disk_finish(&b.disk, b.now), 0);
	disk_stop(&b);
	data = spool_bench_read(b.dir, "spool.db", &len);
	assert_non_null(data);
	memset(data + len / 8192 * 4096, 0x5a, 4096);
	spool_bench_write(b.dir, "spool.db", data, len);
	free(data);

	/* Found by what reads it first. */
	disk_start(&b);
	tg_queue_link_up(&b.q, 100);
	for (int i = 0; i < 1000 && b.disk.repairs == 0; i++) {
		struct tg_queue_pick pick;
		uint64_t again;

		b.now += TG_US_PER_S;
		tg_disk_turn(&b.disk, b.now);
		while (tg_queue_pick(&b.q, b.now, &pick, &again)) {
			uint64_t seq = pick.item->seq;

			tg_queue_handed(&b.q, &pick);
			assert_true(tg_queue_ack(&b.q, seq, b.now));
		}
	}
	assert_int_equal(b.disk.repairs, 1);
	assert_true(b.disk.repaired.rescued > 100);
	assert_int_equal(tg_shelf_waiting(&b.disk.shelf), 1);
	assert_int_equal(stored(b.dir, &first, NULL), 1);
	assert_int_equal(first, EPOCH + 2);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

static void an_event_that_only_memory_has_left_is_written_again(void **state)
{
	struct disk_bench b;
	char path[512];
	uint64_t first;

	(void) state;
	spool_bench_dir(b.dir);
	disk_start(&b);
	disk_put(&b, EPOCH + 3);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(tg_shelf_stored(&b.disk.shelf), 1);
	/* The file goes altogether: only the next open notices. */
	tg_store_abandon(b.disk.store);
	spool_bench_path(path, b.dir, "spool.db-wal");
	(void) unlink(path);
	spool_bench_write(b.dir, "spool.db", "rubbish", 7);
	tg_queue_set_disk(&b.q, TG_QUEUE_DISK_FAILING);
	b.disk.retry_us = 0;
	tg_disk_turn(&b.disk, b.now);
	tg_disk_turn(&b.disk, b.now);
	assert_int_equal(b.disk.error, 0);
	assert_int_equal(stored(b.dir, &first, NULL), 1);
	assert_int_equal(first, EPOCH + 3);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

static void gap_records_that_wait_are_counted(void **state)
{
	struct disk_bench b;

	(void) state;
	spool_bench_dir(b.dir);
	make_old(b.dir, false);
	disk_start(&b);
	assert_int_equal(b.disk.counts.gaps, 3);
	assert_int_equal(tg_db_begin(tg_store_db(b.disk.store)), 0);
	assert_int_equal(tg_db_remove(tg_store_db(b.disk.store), 100), 0);
	assert_int_equal(tg_db_remove(tg_store_db(b.disk.store), 101), 0);
	assert_int_equal(tg_db_commit(tg_store_db(b.disk.store)), 0);
	disk_stop(&b);
	disk_start(&b);
	assert_int_equal(b.disk.counts.gaps, 2);
	assert_int_equal(b.disk.counts.rows, OLD_ROWS - 2);
	disk_stop(&b);
	spool_bench_remove(b.dir);
}

/* --- the whole spool ------------------------------------------------------------------------------------------------ */

struct bench {
	char dir[64];
	struct tg_config cfg;
	struct tg_spool *spool;
	struct tg_mailbox *events;
	pthread_mutex_t lock;
	struct tg_spool_state state;
};

static void on_state(void *user, const struct tg_spool_state *st)
{
	struct bench *b = user;

	pthread_mutex_lock(&b->lock);
	b->state = *st;
	pthread_mutex_unlock(&b->lock);
}

static void wait_stored(struct bench *b, uint64_t n)
{
	uint64_t until = tg_clock_boot_us() + WAIT_US, is;

	do {
		usleep(5000);
		pthread_mutex_lock(&b->lock);
		is = b->state.events_stored;
		pthread_mutex_unlock(&b->lock);
	} while (is != n && tg_clock_boot_us() < until);
	assert_int_equal(is, n);
}

static void start(struct bench *b)
{
	assert_int_equal(tg_spool_new(b->dir, &b->cfg, on_state, b, &b->spool, NULL), 0);
}

static void stop(struct bench *b)
{
	assert_int_equal(tg_spool_stop(b->spool, WAIT_US), 0);
	b->spool = tg_spool_free(b->spool);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	spool_bench_dir(b->dir);
	pthread_mutex_init(&b->lock, NULL);
	b->cfg.spool.memory = 1 << 20;
	b->cfg.spool.max_size = 8 << 20;
	b->cfg.spool.commit_interval_us = 60 * TG_US_PER_S;
	assert_int_equal(tg_mailbox_new(TG_SPOOL_EVENTS, sizeof(struct tg_spool_event), tg_spool_drop_event, &b->events), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	tg_spool_free(b->spool);
	tg_mailbox_free(b->events);
	spool_bench_remove(b->dir);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return 0;
}

static void put(struct bench *b, uint64_t number)
{
	char *text = text_of(number);

	assert_int_equal(tg_spool_event_put(b->spool, number, text), 0);
	free(text);
}

static void expect(struct bench *b, uint64_t number)
{
	char *text = text_of(number);
	struct tg_spool_event e;

	assert_int_equal(tg_mailbox_wait(b->events, tg_clock_boot_us() + WAIT_US), 1);
	assert_int_equal(tg_mailbox_take(b->events, &e), 1);
	assert_int_equal(e.number, number);
	assert_string_equal(e.json, text);
	tg_spool_drop_event(&e);
	free(text);
}

static void hands_over_what_an_earlier_run_has_left(void **state)
{
	struct bench *b = *state;
	uint64_t first;

	start(b);
	assert_int_equal(tg_spool_last_seq(b->spool), 0);
	put(b, EPOCH + 1);
	put(b, EPOCH + 2);
	put(b, EPOCH + 3);
	/* At once: no pack, no end of the process is needed. */
	wait_stored(b, 3);
	assert_int_equal(stored(b->dir, &first, NULL), 3);
	assert_int_equal(tg_spool_event_done(b->spool, EPOCH + 2, true), 0);
	wait_stored(b, 2);
	stop(b);

	start(b);
	assert_int_equal(tg_spool_last_seq(b->spool), EPOCH + 3);
	put(b, 2 * EPOCH + 1);
	assert_int_equal(tg_spool_events_to(b->spool, b->events), 0);
	expect(b, EPOCH + 1);
	expect(b, EPOCH + 3);
	/* The newest is known to who has put it. */
	wait_stored(b, 3);
	assert_int_equal(tg_mailbox_count(b->events), 0);
	for (uint64_t n = 1; n <= 3; n += 2)
		assert_int_equal(tg_spool_event_done(b->spool, EPOCH + n, true), 0);
	wait_stored(b, 1);
	stop(b);

	start(b);
	assert_int_equal(tg_spool_events_to(b->spool, b->events), 0);
	expect(b, 2 * EPOCH + 1);
	stop(b);
}

static void keeps_events_in_memory_until_the_disk_is_there(void **state)
{
	struct bench *b = *state;
	uint64_t first;

	assert_int_equal(rmdir(b->dir), 0);
	start(b);
	put(b, EPOCH + 1);
	put(b, EPOCH + 2);
	assert_int_equal(tg_spool_event_done(b->spool, EPOCH + 1, true), 0);
	usleep(50000);
	assert_int_equal(mkdir(b->dir, 0700), 0);
	wait_stored(b, 1);
	assert_int_equal(stored(b->dir, &first, NULL), 1);
	assert_int_equal(first, EPOCH + 2);
	stop(b);
}

static void remembers_how_much_of_what_was_dropped_has_been_told(void **state)
{
	struct bench *b = *state;

	start(b);
	assert_int_equal(tg_spool_dropped_told(b->spool, 12), 0);
	assert_int_equal(tg_spool_dropped_told(b->spool, 9), 0);
	stop(b);
	start(b);
	put(b, EPOCH + 1);
	wait_stored(b, 1);
	assert_int_equal(b->state.dropped_told, 12);
	stop(b);
}

static void refuses_an_event_that_is_too_long(void **state)
{
	struct bench *b = *state;
	char *text = malloc(TG_SPOOL_EVENT_MAX + 2);

	assert_non_null(text);
	memset(text, 'x', TG_SPOOL_EVENT_MAX + 1);
	text[TG_SPOOL_EVENT_MAX + 1] = '\0';
	start(b);
	assert_int_equal(tg_spool_event_put(b->spool, EPOCH + 1, text), -EMSGSIZE);
	text[TG_SPOOL_EVENT_MAX] = '\0';
	assert_int_equal(tg_spool_event_put(b->spool, EPOCH + 1, text), 0);
	wait_stored(b, 1);
	stop(b);
	free(text);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(brings_a_file_of_schema_2_up_to_date),
		cmocka_unit_test(a_power_cut_in_the_upgrade_leaves_the_old_file_or_the_new_one),
		cmocka_unit_test(the_oldest_goes_when_too_many_wait),
		cmocka_unit_test(an_event_without_room_stays_in_memory_and_fails_nothing),
		cmocka_unit_test(a_damaged_event_is_not_sent_but_counted),
		cmocka_unit_test(events_are_rescued_from_a_damaged_file),
		cmocka_unit_test(an_event_that_only_memory_has_left_is_written_again),
		cmocka_unit_test(gap_records_that_wait_are_counted),
		TEST(hands_over_what_an_earlier_run_has_left),
		TEST(keeps_events_in_memory_until_the_disk_is_there),
		TEST(remembers_how_much_of_what_was_dropped_has_been_told),
		TEST(refuses_an_event_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
