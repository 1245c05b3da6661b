/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Arbitrary bytes as spool.db, and as its log: opened, rescued, read and
 * written again. Input: the length of the log in 256-byte units, the log, the file.
 */
static char dir[64];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void remove_dir(void)
{
	(void) rmdir(dir);
}

static void put_file(const char *name, const uint8_t *data, size_t len)
{
	char path[128];
	int fd;

	(void) snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t) len)
		abort();
	(void) close(fd);
}

static void clear_dir(void)
{
	char path[512];
	static const char *const names[] = { "spool.db",     "spool.db-wal", "spool.db-journal",
					     "spool.db-shm", "spool.new",    "spool.new-journal" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void) snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void) unlink(path);
	}
}

static int on_row(void *user, const struct tg_row *row, enum tg_row_state state)
{
	uint64_t *last = user;

	if (row->seq <= *last || (state == TG_ROW_GOOD) != (row->bytes != NULL))
		abort();
	*last = row->seq;
	return 0;
}

static int read_rows(struct tg_store *s)
{
	uint64_t last = 0;

	return tg_db_read(tg_store_db(s), 1, TG_ROW_SEQ_MAX, false, 1000, on_row, &last);
}

static void write_row(struct tg_store *s)
{
	const struct tg_row row = { .seq = TG_ROW_SEQ_MAX,
				    .device = "boiler",
				    .bytes = (const uint8_t *) "abc",
				    .len = 3 };
	struct tg_db *db = tg_store_db(s);

	if (tg_db_begin(db) < 0 || tg_db_append(db, &row) < 0 || tg_db_commit(db) < 0)
		tg_db_rollback(db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tg_db_options options = { .max_bytes = 1 << 20, .full = false };
	struct tg_store_repair repair;
	struct tg_store *s = NULL;
	struct tg_fault fault;
	size_t log;
	int r;

	if (size < 1)
		return 0;
	if (!dir[0]) {
		(void) snprintf(dir, sizeof(dir), "/dev/shm/tidegate-fuzz-XXXXXX");
		if (!mkdtemp(dir) || atexit(remove_dir) != 0)
			abort();
	}
	log = data[0] * 256u < size - 1 ? data[0] * 256u : size - 1;
	if (log > 0)
		put_file("spool.db-wal", data + 1, log);
	put_file("spool.db", data + 1 + log, size - 1 - log);

	if (tg_store_new(dir, &options, &s) < 0)
		abort();
	r = tg_store_open(s, data[0] & 1, &fault);
	if (r == 0)
		r = read_rows(s);
	if (r == -EUCLEAN) {
		/* Whatever it was, there is a good one afterwards. */
		if (tg_store_repair(s, &repair, &fault) < 0 || read_rows(s) < 0)
			abort();
		r = 0;
		(void) snprintf(fault.text, sizeof(fault.text), "%s/%s-wal", dir, repair.aside);
		(void) unlink(fault.text);
		*strrchr(fault.text, '-') = '\0';
		(void) unlink(fault.text);
	}
	if (r >= 0)
		write_row(s);
	tg_store_free(s);
	clear_dir();
	return 0;
}
