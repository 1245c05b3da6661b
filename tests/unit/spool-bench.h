/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pack/parcel.h"
#include "agent/spool/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * What the tests of the spool share: a state directory of their own, parcels, and a look at the
 * file from outside. Files are looked at through copies, as the spool holds a lock that a second
 * connection in this process would drop.
 */
static inline void spool_bench_dir(char out[static 64])
{
	(void) snprintf(out, 64, "/tmp/tidegate-spool-XXXXXX");
	assert_non_null(mkdtemp(out));
}

static inline void spool_bench_path(char out[static 512], const char *dir, const char *name)
{
	(void) snprintf(out, 512, "%s/%s", dir, name);
}

static inline void spool_bench_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[512];

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		spool_bench_path(path, dir, e->d_name);
		if (unlink(path) < 0)
			(void) rmdir(path);
	}
	if (d)
		(void) closedir(d);
	assert_int_equal(rmdir(dir), 0);
}

/* How many names start with @prefix, not counting the logs of those files. */
static inline unsigned spool_bench_count(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0 && !strstr(e->d_name, "-wal");
	(void) closedir(d);
	return n;
}

static inline void spool_bench_write(const char *dir, const char *name, const void *data,
				     size_t len)
{
	char path[512];
	FILE *f;

	spool_bench_path(path, dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Returns an owned copy, NULL when there is no such file. */
static inline uint8_t *spool_bench_read(const char *dir, const char *name, size_t *ret_len)
{
	char path[512];
	struct stat st;
	uint8_t *data;
	FILE *f;

	*ret_len = 0;
	spool_bench_path(path, dir, name);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	assert_int_equal(fstat(fileno(f), &st), 0);
	data = malloc((size_t) st.st_size + 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, (size_t) st.st_size, f), st.st_size);
	*ret_len = (size_t) st.st_size;
	(void) fclose(f);
	return data;
}

/* Sizes and times of the last write of file and log: equal before and after means that nothing was
 * written. */
struct spool_bench_print {
	long long size[2], seconds[2], nanoseconds[2];
};

static inline struct spool_bench_print spool_bench_print(const char *dir)
{
	static const char *const names[] = { "spool.db", "spool.db-wal" };
	struct spool_bench_print p;
	char path[512];

	memset(&p, 0, sizeof(p));
	for (int i = 0; i < 2; i++) {
		struct stat st;

		spool_bench_path(path, dir, names[i]);
		if (stat(path, &st) < 0)
			continue;
		p.size[i] = (long long) st.st_size;
		p.seconds[i] = (long long) st.st_mtim.tv_sec;
		p.nanoseconds[i] = (long long) st.st_mtim.tv_nsec;
	}
	return p;
}

/* Copies file and log from one directory to another. */
static inline void spool_bench_copy(const char *from, const char *to)
{
	static const char *const names[] = { "spool.db", "spool.db-wal" };

	for (int i = 0; i < 2; i++) {
		size_t len;
		uint8_t *data = spool_bench_read(from, names[i], &len);

		if (data)
			spool_bench_write(to, names[i], data, len);
		free(data);
	}
}

/* A pack of @device with @points readings that are a function of @seq. */
static inline struct tg_parcel *spool_bench_parcel(const char *device, uint64_t seq, size_t points)
{
	struct tg_sample samples[TG_PACK_SAMPLES];
	char names[TG_PACK_SAMPLES][24];
	struct tg_parcel *p = NULL;
	const struct tg_pack pack = {
		.seq = seq,
		.device = device,
		.wall_offset_us = INT64_C(1790000000000000),
		.clock = TG_CLOCK_SYNCHRONISED,
		.n_samples = points,
		.samples = samples,
	};

	for (size_t i = 0; i < points; i++) {
		(void) snprintf(names[i], sizeof(names[i]), "p%zu", i);
		samples[i] = (struct tg_sample){
			.point = names[i],
			.unit = "Cel",
			.reason = "",
			.value = { .type = TG_VALUE_REAL,
				   .real = (double) seq + (double) i / 1024 },
			.boot_us = 1000 + seq,
		};
	}
	assert_int_equal(tg_parcel_new(&pack, &p), 0);
	return p;
}

/* Whether @p is a gap record, and what it says. */
struct spool_bench_gap {
	uint64_t count, first, last;
};

static inline bool spool_bench_is_gap(const struct tg_parcel *p, struct spool_bench_gap *ret)
{
	struct tg_unpacked u;
	bool gap;

	assert_int_equal(tg_parcel_unpack(p, &u), 0);
	gap = u.pack.n_samples == 3 && strcmp(u.samples[0].point, "_gap") == 0;
	if (gap) {
		assert_string_equal(u.samples[1].point, "_gap_first");
		assert_string_equal(u.samples[2].point, "_gap_last");
		*ret = (struct spool_bench_gap){ u.samples[0].value.u, u.samples[1].value.u,
						 u.samples[2].value.u };
		assert_int_equal(ret->last, p->seq);
	}
	tg_unpacked_done(&u);
	return gap;
}

static const struct tg_db_options spool_bench_options = { .max_bytes = 64 << 20, .full = true };

/* Rows that somebody who opens the file now would find, as after a kill: asked of a copy. */
static inline uint64_t spool_bench_rows(const char *dir)
{
	struct tg_store *s = NULL;
	char copy[64];
	uint64_t rows;

	spool_bench_dir(copy);
	spool_bench_copy(dir, copy);
	assert_int_equal(tg_store_new(copy, &spool_bench_options, &s), 0);
	assert_int_equal(tg_store_open(s, false, NULL), 0);
	rows = tg_db_counts(tg_store_db(s)).rows;
	s = tg_store_free(s);
	spool_bench_remove(copy);
	return rows;
}

/* Makes a closed file say that it is one version newer: in SQLite's header, and in the counter
 * `schema`. */
static inline void spool_bench_make_newer(const char *dir)
{
	static const uint8_t was[] = { 's', 'c', 'h', 'e', 'm', 'a', TG_DB_SCHEMA };
	size_t len;
	uint8_t *data = spool_bench_read(dir, "spool.db", &len), *at;

	assert_non_null(data);
	at = memmem(data, len, was, sizeof(was));
	assert_non_null(at);
	at[sizeof(was) - 1] = TG_DB_SCHEMA + 1;
	assert_int_equal(data[63], TG_DB_SCHEMA);
	data[63] = TG_DB_SCHEMA + 1;
	spool_bench_write(dir, "spool.db", data, len);
	free(data);
}
