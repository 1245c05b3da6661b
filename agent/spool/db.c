/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATION_ID 0x74677370 /* "tgsp" */
#define SCHEMA_MAX     1000       /* a larger version is damage, not the future */
#define PAGE           4096u
#define ASIDE_KEEP     256
#define TICK_OPS       20000 /* SQLite's virtual machine steps between two ticks */
#define COUNT_TAIL     256 /* rows among which the last appended one is looked for; see count_rows() \
			    */

/* Every statement, prepared once. */
enum stmt {
	S_BEGIN,
	S_COMMIT,
	S_ROLLBACK,
	S_APPEND,
	S_REMOVE,
	S_ASIDE_COPY,
	S_ASIDE_TRIM,
	S_READ_UP,
	S_READ_DOWN,
	S_COUNTER,
	S_SET_COUNTER,
	S_LAST_ORD,
	S_RECOUNT,
	S_PAGES,
	S_FREE_PAGES,
	S_COUNT_
};

static const char *const statements[S_COUNT_] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_ROLLBACK] = "ROLLBACK",
	[S_APPEND] = "INSERT OR IGNORE INTO pack(seq, ord, device, made, gap, gap_first, key_crc, "
		     "crc, bytes)"
		     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[S_REMOVE] = "DELETE FROM pack WHERE seq = ?1",
	[S_ASIDE_COPY] = "INSERT OR IGNORE INTO aside SELECT seq, device, made, bytes FROM pack "
			 "WHERE seq = ?1",
	[S_ASIDE_TRIM] = "DELETE FROM aside WHERE seq <= (SELECT seq FROM aside ORDER BY seq DESC "
			 "LIMIT 1 OFFSET ?1)",
	[S_READ_UP] = "SELECT seq, device, made, gap, gap_first, key_crc, crc, bytes FROM pack"
		      " WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
	[S_READ_DOWN] = "SELECT seq, device, made, gap, gap_first, key_crc, crc, bytes FROM pack"
			" WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT ?3",
	[S_COUNTER] = "SELECT value FROM counter WHERE name = ?1",
	[S_SET_COUNTER] = "REPLACE INTO counter(name, value) VALUES (?1, ?2)",
	[S_LAST_ORD] = "SELECT count(*), max(ord) FROM (SELECT ord FROM pack ORDER BY seq DESC "
		       "LIMIT ?1)",
	[S_RECOUNT] = "SELECT count(*), max(ord) FROM pack",
	[S_PAGES] = "PRAGMA page_count",
	[S_FREE_PAGES] = "PRAGMA freelist_count",
};

/* As text, since the schema of a file that is opened is compared with it: a file with anything else
 * in it is not ours. */
static const struct table {
	const char *name, *sql;
} tables[] = {
	{ "pack", "CREATE TABLE pack(seq INTEGER PRIMARY KEY, ord INTEGER NOT NULL, device TEXT "
		  "NOT NULL,"
		  " made INTEGER NOT NULL, gap INTEGER NOT NULL, gap_first INTEGER NOT NULL,"
		  " key_crc INTEGER NOT NULL, crc INTEGER NOT NULL, bytes BLOB NOT NULL)" },
	{ "aside", "CREATE TABLE aside(seq INTEGER PRIMARY KEY, device TEXT, made INTEGER, bytes "
		   "BLOB)" },
	{ "counter", "CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT "
		     "ROWID" },
};

/*
 * How many rows there are is `appended` minus `removed`. To write both with each
 * commit would cost one more page each time, so `appended` stands in the rows
 * themselves (ord) and is written down only with deletes, which are rare and in bulk.
 */
struct counters {
	uint64_t appended, removed, dropped, set_aside;
};

static const struct counter {
	const char *name;
	size_t offset;
} counters[] = {
	{ "appended", offsetof(struct counters, appended) },
	{ "removed", offsetof(struct counters, removed) },
	{ "dropped", offsetof(struct counters, dropped) },
	{ "set_aside", offsetof(struct counters, set_aside) },
};

struct tg_db {
	sqlite3 *h;
	sqlite3_stmt *stmt[S_COUNT_];
	struct counters now, committed;
	bool counters_changed; /* in this transaction, beyond `appended` */
	struct tg_db_options options;
};

/* The one converter. */
static int errno_of(sqlite3 *h, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_ERROR: /* our statements are right, so the schema is not what it says */
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
	case SQLITE_SCHEMA:
		return -EUCLEAN;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_TOOBIG:
		return -EMSGSIZE;
	case SQLITE_CANTOPEN: {
		int e = sqlite3_system_errno(h);

		return e > 0 ? -e : -EIO;
	}
	default:
		if (rc == SQLITE_IOERR_NOMEM)
			return -ENOMEM;
		/* A file that is shorter than its own header says. */
		return rc == SQLITE_IOERR_SHORT_READ ? -EUCLEAN : -EIO;
	}
}

static int result(struct tg_db *db, int rc)
{
	return errno_of(db->h, rc);
}

static int exec(struct tg_db *db, const char *sql)
{
	return result(db, sqlite3_exec(db->h, sql, NULL, NULL, NULL));
}

static int prepare(struct tg_db *db, enum stmt s, sqlite3_stmt **ret)
{
	if (!db->stmt[s]) {
		int rc = sqlite3_prepare_v3(db->h, statements[s], -1, SQLITE_PREPARE_PERSISTENT,
					    &db->stmt[s], NULL);

		if (rc != SQLITE_OK)
			return result(db, rc);
	}
	*ret = db->stmt[s];
	return 0;
}

/* Steps a statement that yields nothing, and makes it ready for the next time. */
static int run(struct tg_db *db, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	(void) sqlite3_reset(st);
	(void) sqlite3_clear_bindings(st);
	return result(db, rc);
}

static int run_plain(struct tg_db *db, enum stmt s)
{
	sqlite3_stmt *st;
	int r = prepare(db, s, &st);

	return r < 0 ? r : run(db, st);
}

/* The first column of the first row; -ENOENT when there is none. */
static int step_int(struct tg_db *db, sqlite3_stmt *st, int64_t *ret)
{
	int rc = sqlite3_step(st), r = result(db, rc);

	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	else if (r == 0)
		r = -ENOENT;
	(void) sqlite3_reset(st);
	(void) sqlite3_clear_bindings(st);
	return r;
}

static int pragma_int(struct tg_db *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int r = result(db, sqlite3_prepare_v2(db->h, sql, -1, &st, NULL));

	if (r == 0)
		r = step_int(db, st, ret);
	(void) sqlite3_finalize(st);
	return r;
}

static int get_counter(struct tg_db *db, const char *name, uint64_t *ret)
{
	sqlite3_stmt *st;
	int64_t v = 0;
	int r = prepare(db, S_COUNTER, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	r = step_int(db, st, &v);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	if (v < 0)
		return -EUCLEAN;
	*ret = (uint64_t) v;
	return 0;
}

static int set_counter(struct tg_db *db, const char *name, uint64_t value)
{
	sqlite3_stmt *st;
	int r = prepare(db, S_SET_COUNTER, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(st, 2, (sqlite3_int64) value);
	return run(db, st);
}

static int write_counters(struct tg_db *db)
{
	int r = 0;

	for (size_t i = 0; i < TG_ARRAY_SIZE(counters) && r == 0; i++) {
		const char *base = (const char *) &db->now;
		uint64_t v;

		memcpy(&v, base + counters[i].offset, sizeof(v));
		r = set_counter(db, counters[i].name, v);
	}
	return r;
}

static int read_counters(struct tg_db *db)
{
	int r = 0;

	for (size_t i = 0; i < TG_ARRAY_SIZE(counters) && r == 0; i++) {
		char *base = (char *) &db->now;
		uint64_t v = 0;

		r = get_counter(db, counters[i].name, &v);
		memcpy(base + counters[i].offset, &v, sizeof(v));
	}
	return r;
}

/* --- opening --- */

static int on_progress(void *user)
{
	const struct tg_db *db = user;

	db->options.tick(db->options.user);
	return 0;
}

struct schema_check {
	size_t seen;
	bool foreign;
};

static int on_schema(void *user, int n, char **values, char **names)
{
	struct schema_check *c = user;

	(void) n;
	(void) names;
	/* The automatic index of a key has no text; ours have none of those, but sqlite_stat1 and
	 * the like are not ours. */
	for (size_t i = 0; values[0] && values[1] && i < TG_ARRAY_SIZE(tables); i++)
		if (strcmp(values[0], tables[i].name) == 0 &&
		    strcmp(values[1], tables[i].sql) == 0) {
			c->seen++;
			return 0;
		}
	c->foreign = true;
	return 0;
}

static int check_schema(struct tg_db *db)
{
	struct schema_check c = { 0 };
	int rc = sqlite3_exec(db->h, "SELECT name, sql FROM sqlite_schema", on_schema, &c, NULL);

	if (rc != SQLITE_OK)
		return result(db, rc);
	return c.foreign || c.seen != TG_ARRAY_SIZE(tables) ? -EUCLEAN : 0;
}

static int check_version(struct tg_db *db, struct tg_fault *reterr)
{
	int64_t id = 0, version = 0;
	uint64_t again = 0;
	int r;

	r = pragma_int(db, "PRAGMA application_id", &id);
	if (r == 0)
		r = pragma_int(db, "PRAGMA user_version", &version);
	if (r == 0)
		r = get_counter(db, "schema", &again);
	if (r < 0)
		return r;
	if (id != APPLICATION_ID || version < 1 || version > SCHEMA_MAX ||
	    (uint64_t) version != again)
		return -EUCLEAN;
	if (version > TG_DB_SCHEMA)
		return tg_fault_set(reterr, -EPROTONOSUPPORT,
				    "schema %d is newer than this program's %d", (int) version,
				    TG_DB_SCHEMA);
	return check_schema(db);
}

static int count_with(struct tg_db *db, enum stmt s, uint64_t *ret_rows, uint64_t *ret_ord)
{
	sqlite3_stmt *st;
	int rc, r = prepare(db, s, &st);

	if (r < 0)
		return r;
	if (s == S_LAST_ORD)
		(void) sqlite3_bind_int(st, 1, COUNT_TAIL);
	rc = sqlite3_step(st);
	r = result(db, rc);
	if (rc == SQLITE_ROW) {
		int64_t ord = sqlite3_column_int64(st, 1);

		*ret_rows = (uint64_t) sqlite3_column_int64(st, 0);
		*ret_ord = ord > 0 ? (uint64_t) ord : 0;
	}
	(void) sqlite3_reset(st);
	return r;
}

/* The last appended rows are among the highest numbers, give or take the few that came out of
 * order. */
static int count_rows(struct tg_db *db)
{
	uint64_t rows = 0, ord = 0;
	int r = count_with(db, S_LAST_ORD, &rows, &ord);

	if (r < 0)
		return r;
	if (ord > db->now.appended)
		db->now.appended = ord;
	if (rows < COUNT_TAIL)
		db->now.removed =
			db->now.appended - (rows < db->now.appended ? rows : db->now.appended);
	if (db->now.removed > db->now.appended || db->now.appended > TG_ROW_SEQ_MAX)
		return tg_db_recount(db);
	db->committed = db->now;
	return 0;
}

int tg_db_recount(struct tg_db *db)
{
	uint64_t rows = 0, ord = 0;
	int r = count_with(db, S_RECOUNT, &rows, &ord);

	if (r < 0)
		return r;
	db->now.appended = ord > rows ? ord : rows;
	db->now.removed = db->now.appended - rows;
	db->committed = db->now;
	return 0;
}

/* What every connection gets before it reads anything. */
static int configure(struct tg_db *db)
{
	/* Lengths and operations that our rows can need; a damaged file cannot make more of it. */
	(void) sqlite3_limit(db->h, SQLITE_LIMIT_LENGTH, 1024 * 1024);
	(void) sqlite3_limit(db->h, SQLITE_LIMIT_ATTACHED, 0);
	(void) sqlite3_limit(db->h, SQLITE_LIMIT_TRIGGER_DEPTH, 1);
	(void) sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void) sqlite3_extended_result_codes(db->h, 1);
	if (db->options.tick)
		sqlite3_progress_handler(db->h, TICK_OPS, on_progress, db);
	/*
	 * Exclusive: one process, and no shared-memory file that a full disk could turn into
	 * SIGBUS. secure_delete, which Debian switches on, would write every deleted byte once
	 * more.
	 */
	return exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-256; PRAGMA "
			"temp_store=MEMORY;"
			"PRAGMA mmap_size=0; PRAGMA secure_delete=OFF; PRAGMA cell_size_check=ON;"
			"PRAGMA trusted_schema=OFF");
}

/* A file that the file system lets us write, but that says it must not be: damaged. */
static int check_writable(struct tg_db *db, const char *path)
{
	if (!sqlite3_db_readonly(db->h, "main"))
		return 0;
	if (access(path, W_OK) == 0)
		return -EUCLEAN;
	return errno == EROFS ? -EROFS : -EACCES;
}

static int start_log(struct tg_db *db)
{
	sqlite3_stmt *st = NULL;
	const unsigned char *mode;
	int rc, r;

	r = result(db, sqlite3_prepare_v2(db->h, "PRAGMA journal_mode=WAL", -1, &st, NULL));
	if (r < 0)
		return r;
	rc = sqlite3_step(st);
	r = result(db, rc);
	mode = rc == SQLITE_ROW ? sqlite3_column_text(st, 0) : NULL;
	if (r == 0 && (!mode || strcmp((const char *) mode, "wal") != 0))
		r = -EIO;
	(void) sqlite3_finalize(st);
	if (r < 0)
		return r;
	return exec(db, db->options.full ? "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=256;"
					   "PRAGMA journal_size_limit=1048576"
					 : "PRAGMA synchronous=NORMAL; PRAGMA "
					   "wal_autocheckpoint=256;"
					   "PRAGMA journal_size_limit=1048576");
}

static int open_existing(struct tg_db *db, const char *path, struct tg_fault *reterr)
{
	int r = check_version(db, reterr);

	if (r == 0)
		r = check_writable(db, path);
	if (r == 0)
		r = start_log(db);
	if (r == 0)
		r = read_counters(db);
	if (r == 0)
		r = count_rows(db);
	if (r == 0)
		tg_db_set_max_bytes(db, db->options.max_bytes);
	return r;
}

static int open_new(struct tg_db *db)
{
	int r = exec(db, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA "
			 "synchronous=FULL");

	if (r == 0)
		r = tg_db_begin(db);
	for (size_t i = 0; i < TG_ARRAY_SIZE(tables) && r == 0; i++)
		r = exec(db, tables[i].sql);
	if (r == 0)
		r = exec(db, "PRAGMA application_id=1952936816; PRAGMA user_version=2");
	if (r == 0)
		r = set_counter(db, "schema", TG_DB_SCHEMA);
	db->counters_changed = true;
	return r;
}

/* Only a table of packs that is ours can be read; counts are taken if they can be had. */
static int open_salvage(struct tg_db *db)
{
	struct schema_check c = { 0 };
	int rc = sqlite3_exec(db->h,
			      "SELECT name, sql FROM sqlite_schema WHERE name = 'pack' AND type = "
			      "'table'",
			      on_schema, &c, NULL);

	if (rc != SQLITE_OK)
		return result(db, rc);
	if (c.foreign || c.seen != 1)
		return -EUCLEAN;
	if (read_counters(db) < 0 || count_rows(db) < 0)
		db->now = (struct counters){ 0 };
	return 0;
}

int tg_db_open(const char *path, enum tg_db_kind kind, const struct tg_db_options *o,
	       struct tg_db **ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_db_abandonp) struct tg_db *db = calloc(1, sizeof(*db));
	int rc, r;

	if (!db)
		return -ENOMEM;
	db->options = *o;
	rc = sqlite3_open_v2(path, &db->h,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
				     (kind == TG_DB_NEW ? SQLITE_OPEN_CREATE : 0),
			     NULL);
	r = rc == SQLITE_OK ? configure(db) : result(db, rc);
	if (r == 0)
		switch (kind) {
		case TG_DB_EXISTING:
			r = open_existing(db, path, reterr);
			break;
		case TG_DB_NEW:
			r = open_new(db);
			break;
		case TG_DB_SALVAGE:
			r = open_salvage(db);
			break;
		}
	if (r < 0)
		return r == -EPROTONOSUPPORT ? r
					     : tg_fault_set(reterr, r, "%s",
							    r == -EUCLEAN ? "damaged, or not a "
									    "spool"
									  : tg_db_error_text(db));

	*ret = tg_take(db);
	return 0;
}

static struct tg_db *let_go(struct tg_db *db, bool fold)
{
	if (!db)
		return NULL;
	for (size_t i = 0; i < S_COUNT_; i++)
		(void) sqlite3_finalize(db->stmt[i]);
	if (db->h && !fold)
		(void) sqlite3_db_config(db->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void) sqlite3_close_v2(db->h);
	free(db);
	return NULL;
}

struct tg_db *tg_db_close(struct tg_db *db)
{
	return let_go(db, true);
}

struct tg_db *tg_db_abandon(struct tg_db *db)
{
	return let_go(db, false);
}

void tg_db_set_max_bytes(struct tg_db *db, uint64_t max_bytes)
{
	char *sql = sqlite3_mprintf("PRAGMA max_page_count=%lld",
				    (sqlite3_int64) (max_bytes / PAGE + 1));

	db->options.max_bytes = max_bytes;
	if (sql)
		(void) exec(db, sql);
	sqlite3_free(sql);
}

const char *tg_db_error_text(struct tg_db *db)
{
	return db->h ? sqlite3_errmsg(db->h) : "out of memory";
}

/* --- transactions --- */

int tg_db_begin(struct tg_db *db)
{
	return run_plain(db, S_BEGIN);
}

int tg_db_commit(struct tg_db *db)
{
	int r = db->counters_changed ? write_counters(db) : 0;

	if (r == 0)
		r = run_plain(db, S_COMMIT);
	if (r == 0) {
		db->committed = db->now;
		db->counters_changed = false;
	}
	return r;
}

void tg_db_rollback(struct tg_db *db)
{
	/* After some failures SQLite has rolled back by itself. */
	if (!sqlite3_get_autocommit(db->h))
		(void) run_plain(db, S_ROLLBACK);
	db->now = db->committed;
	db->counters_changed = false;
}

int tg_db_append(struct tg_db *db, const struct tg_row *row)
{
	uint32_t key_crc = tg_row_key_crc(row);
	sqlite3_stmt *st;
	int r = prepare(db, S_APPEND, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) row->seq);
	(void) sqlite3_bind_int64(st, 2, (sqlite3_int64) db->now.appended + 1);
	(void) sqlite3_bind_text(st, 3, row->device, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(st, 4, row->made_wall_us);
	(void) sqlite3_bind_int64(st, 5, (sqlite3_int64) row->gap);
	(void) sqlite3_bind_int64(st, 6, (sqlite3_int64) row->gap_first);
	(void) sqlite3_bind_int64(st, 7, key_crc);
	(void) sqlite3_bind_int64(st, 8, tg_row_crc(row, key_crc));
	(void) sqlite3_bind_blob(st, 9, row->bytes, (int) row->len, SQLITE_STATIC);
	r = run(db, st);
	if (r == 0 && sqlite3_changes(db->h) == 1)
		db->now.appended++;
	return r;
}

int tg_db_remove(struct tg_db *db, uint64_t seq)
{
	sqlite3_stmt *st;
	int r = prepare(db, S_REMOVE, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) seq);
	r = run(db, st);
	if (r == 0 && sqlite3_changes(db->h) > 0) {
		db->now.removed++;
		db->counters_changed = true;
	}
	return r;
}

int tg_db_set_aside(struct tg_db *db, uint64_t seq)
{
	sqlite3_stmt *st;
	int r = prepare(db, S_ASIDE_COPY, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) seq);
	r = run(db, st);
	if (r == 0)
		r = prepare(db, S_ASIDE_TRIM, &st);
	if (r < 0)
		return r;
	(void) sqlite3_bind_int(st, 1, ASIDE_KEEP);
	r = run(db, st);
	if (r < 0)
		return r;
	db->now.set_aside++;
	db->counters_changed = true;
	return tg_db_remove(db, seq);
}

int tg_db_add_dropped(struct tg_db *db, uint64_t dropped)
{
	db->now.dropped += dropped;
	db->counters_changed = db->counters_changed || dropped > 0;
	return 0;
}

int tg_db_carry_counts(struct tg_db *db, uint64_t dropped, uint64_t set_aside)
{
	db->now.dropped += dropped;
	db->now.set_aside += set_aside;
	db->counters_changed = true;
	return 0;
}

/* --- reading --- */

static const char *text_of(sqlite3_stmt *st, int column)
{
	const char *text;

	if (sqlite3_column_type(st, column) != SQLITE_TEXT)
		return NULL;
	text = (const char *) sqlite3_column_text(st, column);
	/* A NUL inside would hide the rest from everybody who looks at it. */
	return text && strlen(text) == (size_t) sqlite3_column_bytes(st, column) ? text : NULL;
}

static enum tg_row_state view(sqlite3_stmt *st, struct tg_row *ret)
{
	*ret = (struct tg_row){
		.seq = (uint64_t) sqlite3_column_int64(st, 0),
		.device = text_of(st, 1),
		.made_wall_us = sqlite3_column_int64(st, 2),
		.gap = (uint64_t) sqlite3_column_int64(st, 3),
		.gap_first = (uint64_t) sqlite3_column_int64(st, 4),
	};
	if (sqlite3_column_type(st, 7) == SQLITE_BLOB) {
		ret->bytes = sqlite3_column_blob(st, 7);
		ret->len = (size_t) sqlite3_column_bytes(st, 7);
	}
	return tg_row_check(ret, (uint64_t) sqlite3_column_int64(st, 5),
			    (uint64_t) sqlite3_column_int64(st, 6));
}

int tg_db_read(struct tg_db *db, uint64_t lo, uint64_t hi, bool down, unsigned limit,
	       tg_db_row_fn fn, void *user)
{
	sqlite3_stmt *st;
	int rc = SQLITE_DONE, seen = 0, r = prepare(db, down ? S_READ_DOWN : S_READ_UP, &st);

	if (r < 0)
		return r;
	(void) sqlite3_bind_int64(st, 1, (sqlite3_int64) lo);
	(void) sqlite3_bind_int64(st, 2, (sqlite3_int64) hi);
	(void) sqlite3_bind_int64(st, 3, limit);
	while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct tg_row row;
		enum tg_row_state state = view(st, &row);

		if (row.seq < lo || row.seq > hi) {
			r = -EUCLEAN;
			break;
		}
		if (down)
			hi = row.seq - 1;
		else
			lo = row.seq + 1;
		seen++;
		r = fn(user, &row, state);
	}
	if (r == 0)
		r = result(db, rc);
	(void) sqlite3_reset(st);
	return r < 0 ? r : seen;
}

struct tg_db_counts tg_db_counts(const struct tg_db *db)
{
	return (struct tg_db_counts){
		.rows = db->now.appended - db->now.removed,
		.dropped = db->now.dropped,
		.set_aside = db->now.set_aside,
	};
}

int tg_db_usage(struct tg_db *db, uint64_t *ret_used, uint64_t *ret_file)
{
	int64_t pages = 0, unused = 0;
	sqlite3_stmt *st;
	int r = prepare(db, S_PAGES, &st);

	if (r == 0)
		r = step_int(db, st, &pages);
	if (r == 0)
		r = prepare(db, S_FREE_PAGES, &st);
	if (r == 0)
		r = step_int(db, st, &unused);
	if (r < 0)
		return r;
	if (pages < 0 || unused < 0 || unused > pages)
		return -EUCLEAN;
	*ret_used = (uint64_t) (pages - unused) * PAGE;
	*ret_file = (uint64_t) pages * PAGE;
	return 0;
}

/* --- upkeep --- */

int tg_db_checkpoint(struct tg_db *db, bool restart)
{
	return result(db, sqlite3_wal_checkpoint_v2(db->h, NULL,
						    restart ? SQLITE_CHECKPOINT_TRUNCATE
							    : SQLITE_CHECKPOINT_FULL,
						    NULL, NULL));
}

int tg_db_shrink(struct tg_db *db)
{
	int r = exec(db, "PRAGMA incremental_vacuum");

	return r < 0 ? r : tg_db_checkpoint(db, true);
}

static int on_check(void *user, int n, char **values, char **names)
{
	bool *ok = user;

	(void) names;
	*ok = n == 1 && values[0] && strcmp(values[0], "ok") == 0;
	return 0;
}

int tg_db_verify(struct tg_db *db)
{
	bool ok = false;
	int rc = sqlite3_exec(db->h, "PRAGMA quick_check(1)", on_check, &ok, NULL);

	if (rc != SQLITE_OK)
		return result(db, rc);
	return ok ? 0 : -EUCLEAN;
}
