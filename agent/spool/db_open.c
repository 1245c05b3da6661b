/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/db_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define APPLICATION_ID 0x74677370 /* "tgsp" */
#define SCHEMA_MAX     1000       /* a larger version is damage, not the future */
#define TICK_OPS       20000      /* SQLite's virtual machine steps between two ticks */
#define LOG_SHARE      14         /* of the file: half of what disk.c leaves to the log */
#define LOG_PAGES_MIN  8
#define LOG_PAGES_MAX  256
#define COUNT_TAIL     256 /* rows among which the last appended one is looked for; see db_private.h */

/* As text, since the schema of a file that is opened is compared with it: a file with anything else
 * in it is not ours. */
static const struct table {
	int since; /* schema */
	const char *name, *sql;
} tables[] = {
	{ 1, "pack", "CREATE TABLE pack(seq INTEGER PRIMARY KEY, ord INTEGER NOT NULL, device TEXT "
		  "NOT NULL,"
		  " made INTEGER NOT NULL, gap INTEGER NOT NULL, gap_first INTEGER NOT NULL,"
		  " key_crc INTEGER NOT NULL, crc INTEGER NOT NULL, bytes BLOB NOT NULL)" },
	{ 1, "aside", "CREATE TABLE aside(seq INTEGER PRIMARY KEY, device TEXT, made INTEGER, bytes "
		   "BLOB)" },
	{ 1, "counter", "CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT "
			"ROWID" },
	{ 3, "event", "CREATE TABLE event(number INTEGER PRIMARY KEY, crc INTEGER NOT NULL, bytes BLOB NOT NULL)" },
};

static int pragma_int(struct tg_db *db, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int r = tg_db_result(db, sqlite3_prepare_v2(db->h, sql, -1, &st, NULL));

	if (r == 0)
		r = tg_db_step_int(db, st, ret);
	(void) sqlite3_finalize(st);
	return r;
}

static int on_progress(void *user)
{
	const struct tg_db *db = user;

	db->options.tick(db->options.user);
	return 0;
}

struct schema_check {
	int version;
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
		if (tables[i].since <= c->version && strcmp(values[0], tables[i].name) == 0 &&
		    strcmp(values[1], tables[i].sql) == 0) {
			c->seen++;
			return 0;
		}
	c->foreign = true;
	return 0;
}

static int check_schema(struct tg_db *db)
{
	struct schema_check c = { .version = db->version };
	int rc = sqlite3_exec(db->h, "SELECT name, sql FROM sqlite_schema", on_schema, &c, NULL);
	size_t wanted = 0;

	for (size_t i = 0; i < TG_ARRAY_SIZE(tables); i++)
		wanted += tables[i].since <= db->version;
	if (rc != SQLITE_OK)
		return tg_db_result(db, rc);
	return c.foreign || c.seen != wanted ? -EUCLEAN : 0;
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
		r = tg_db_get_counter(db, "schema", &again);
	if (r < 0)
		return r;
	if (id != APPLICATION_ID || version < TG_DB_SCHEMA_MIN || version > SCHEMA_MAX ||
	    (uint64_t) version != again)
		return -EUCLEAN;
	if (version > TG_DB_SCHEMA)
		return tg_fault_set(reterr, -EPROTONOSUPPORT,
				    "schema %d is newer than this program's %d", (int) version,
				    TG_DB_SCHEMA);
	db->version = (int) version;
	return check_schema(db);
}

static int count_with(struct tg_db *db, enum tg_db_stmt s, uint64_t *ret_rows, uint64_t *ret_ord)
{
	sqlite3_stmt *st;
	int rc, r = tg_db_prepare(db, s, &st);

	if (r < 0)
		return r;
	if (s == S_LAST_ORD)
		(void) sqlite3_bind_int(st, 1, COUNT_TAIL);
	rc = sqlite3_step(st);
	r = tg_db_result(db, rc);
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

static int count_gaps(struct tg_db *db)
{
	sqlite3_stmt *st;
	int64_t n = 0;
	int r = tg_db_prepare(db, S_COUNT_GAPS, &st);

	if (r == 0)
		r = tg_db_step_int(db, st, &n);
	if (r == 0)
		db->now.gaps = (uint64_t) n;
	return r;
}

int tg_db_recount(struct tg_db *db)
{
	uint64_t rows = 0, ord = 0;
	int r = count_with(db, S_RECOUNT, &rows, &ord);

	if (r == 0)
		r = count_gaps(db);
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
	return tg_db_exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-256; PRAGMA "
			      "temp_store=MEMORY;"
			      "PRAGMA mmap_size=0; PRAGMA secure_delete=OFF; PRAGMA "
			      "cell_size_check=ON;"
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

	r = tg_db_result(db, sqlite3_prepare_v2(db->h, "PRAGMA journal_mode=WAL", -1, &st, NULL));
	if (r < 0)
		return r;
	rc = sqlite3_step(st);
	r = tg_db_result(db, rc);
	mode = rc == SQLITE_ROW ? sqlite3_column_text(st, 0) : NULL;
	if (r == 0 && (!mode || strcmp((const char *) mode, "wal") != 0))
		r = -EIO;
	/* The change of mode is a transaction, and this is its commit. */
	rc = sqlite3_finalize(st);
	if (r == 0)
		r = tg_db_result(db, rc);
	if (r < 0)
		return r;
	return tg_db_exec(db, db->options.full ? "PRAGMA synchronous=FULL; PRAGMA "
						 "journal_size_limit=1048576"
					       : "PRAGMA synchronous=NORMAL; PRAGMA "
						 "journal_size_limit=1048576");
}

/* Says which schema the file has, in both places. In a transaction. */
static int mark_version(struct tg_db *db)
{
	char sql[48];
	int r;

	(void) snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", TG_DB_SCHEMA);
	r = tg_db_exec(db, sql);
	if (r == 0)
		r = tg_db_set_counter(db, "schema", TG_DB_SCHEMA);
	if (r == 0)
		db->version = TG_DB_SCHEMA;
	return r;
}

/* In one transaction: a cut leaves the old schema, or the new one. */
static int upgrade(struct tg_db *db)
{
	int was = db->version, r = tg_db_begin(db);

	for (size_t i = 0; i < TG_ARRAY_SIZE(tables) && r == 0; i++)
		if (tables[i].since > was)
			r = tg_db_exec(db, tables[i].sql);
	if (r == 0)
		r = count_gaps(db);
	/* What was dropped in the old one's time is history. */
	db->now.dropped_told = db->now.dropped;
	db->counters_changed = true;
	if (r == 0)
		r = mark_version(db);
	return r < 0 ? r : tg_db_commit(db);
}

static int open_existing(struct tg_db *db, const char *path, struct tg_fault *reterr)
{
	int r = check_version(db, reterr);

	if (r == 0)
		r = check_writable(db, path);
	if (r == 0)
		r = start_log(db);
	if (r == 0)
		r = tg_db_read_counters(db);
	if (r == 0 && db->version < TG_DB_SCHEMA)
		r = upgrade(db);
	if (r == 0)
		r = count_rows(db);
	if (r == 0)
		tg_db_set_max_bytes(db, db->options.max_bytes);
	return r;
}

static int open_new(struct tg_db *db)
{
	int r = tg_db_exec(db, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA "
			       "synchronous=FULL");

	if (r == 0)
		r = tg_db_begin(db);
	for (size_t i = 0; i < TG_ARRAY_SIZE(tables) && r == 0; i++)
		r = tg_db_exec(db, tables[i].sql);
	if (r == 0)
		r = tg_db_exec(db, "PRAGMA application_id=1952936816");
	if (r == 0)
		r = mark_version(db);
	db->counters_changed = true;
	return r;
}

/* Only a table of packs that is ours can be read; counts are taken if they can be had. */
static int open_salvage(struct tg_db *db)
{
	struct schema_check c = { .version = TG_DB_SCHEMA };
	uint64_t version = 0;
	int rc = sqlite3_exec(db->h,
			      "SELECT name, sql FROM sqlite_schema WHERE name = 'pack' AND type = "
			      "'table'",
			      on_schema, &c, NULL);

	if (rc != SQLITE_OK)
		return tg_db_result(db, rc);
	if (c.foreign || c.seen != 1)
		return -EUCLEAN;
	if (tg_db_get_counter(db, "schema", &version) < 0 || version > TG_DB_SCHEMA)
		version = TG_DB_SCHEMA;
	db->version = (int) version;
	if (tg_db_read_counters(db) < 0 || count_rows(db) < 0)
		db->now = (struct tg_db_counters){ 0 };
	return 0;
}

int tg_db_open(const char *path, enum tg_db_kind kind, const struct tg_db_options *o,
	       struct tg_db **ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_db_abandonp) struct tg_db *db = calloc(1, sizeof(*db));
	int rc, r;

	if (!db)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	db->options = *o;
	rc = sqlite3_open_v2(path, &db->h,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
				     (kind == TG_DB_NEW ? SQLITE_OPEN_CREATE : 0),
			     NULL);
	r = rc == SQLITE_OK ? configure(db) : tg_db_result(db, rc);
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

/* After how many pages the log is folded in: it must not grow out of its share beside a small file. */
static int log_pages(uint64_t max_bytes)
{
	uint64_t pages = max_bytes / TG_DB_PAGE / LOG_SHARE;

	if (pages > LOG_PAGES_MAX)
		return LOG_PAGES_MAX;
	return pages < LOG_PAGES_MIN ? LOG_PAGES_MIN : (int) pages;
}

void tg_db_set_max_bytes(struct tg_db *db, uint64_t max_bytes)
{
	char *sql = sqlite3_mprintf("PRAGMA max_page_count=%lld",
				    (sqlite3_int64) (max_bytes / TG_DB_PAGE + 1));

	db->options.max_bytes = max_bytes;
	if (sql)
		(void) sqlite3_exec(db->h, sql, NULL, NULL, NULL);
	sqlite3_free(sql);
	(void) sqlite3_wal_autocheckpoint(db->h, log_pages(max_bytes));
}

const char *tg_db_error_text(struct tg_db *db)
{
	return db->h ? sqlite3_errmsg(db->h) : "out of memory";
}
