/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/scripts.h"

#include "base/clock.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL 10u   /* readings of a pack of some 150 bytes */
#define LARGE 1000u /* of one of some 12 kB */
#define DAY   (86400 * TG_US_PER_S)
#define FULL_LOG                                                                                   \
	24u /* commits of one large pack each that make SQLite fold its log, and begin it anew */

static void open_it(struct subject *s)
{
	assert(subject_open(s) == 0);
}

static void first_start(struct subject *s)
{
	open_it(s);
	subject_put(s, 3, SMALL);
	subject_turns(s, 2);
}

/* One group commit a second, while the link is down. */
static void append(struct subject *s)
{
	open_it(s);
	for (unsigned i = 0; i < 12; i++) {
		subject_put(s, 1 + i % 4, SMALL);
		subject_turn(s);
	}
	subject_put(s, 2, LARGE);
	subject_turns(s, 2);
}

static void fill(struct subject *s, unsigned n)
{
	open_it(s);
	subject_put(s, n, SMALL);
	subject_turn(s);
	subject_close(s);
}

static void fill_60(struct subject *s)
{
	fill(s, 60);
}

static void fill_200(struct subject *s)
{
	fill(s, 200);
}

/* The same as the release before has left it: schema 2, which knew no events. */
static void fill_old(struct subject *s)
{
	char path[128];
	sqlite3 *h = NULL;

	fill(s, 60);
	(void) snprintf(path, sizeof(path), "%s/spool.db", s->dir);
	assert(sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
	assert(sqlite3_exec(h,
			    "PRAGMA locking_mode=EXCLUSIVE; DROP TABLE event; DELETE FROM counter "
			    "WHERE name NOT IN"
			    " ('schema', 'appended', 'removed', 'dropped', 'set_aside');"
			    "UPDATE counter SET value = 2 WHERE name = 'schema'; PRAGMA "
			    "user_version = 2",
			    NULL, NULL, NULL) == SQLITE_OK);
	assert(sqlite3_close(h) == SQLITE_OK);
}

/* The first start of this release. */
static void upgrade(struct subject *s)
{
	open_it(s);
	assert(s->disk.error != 0 || s->disk.counts.rows == 60);
	subject_put(s, 3, SMALL);
	subject_turns(s, 2);
}

/* Acknowledgements come, and rows go in bulk. */
static void acknowledge(struct subject *s)
{
	open_it(s);
	subject_up(s, 16);
	for (unsigned i = 0; i < 8; i++) {
		subject_turn(s);
		(void) subject_take(s);
		subject_ack(s, 3 + i % 5);
	}
	subject_down(s);
	subject_turns(s, 2);
}

/* A long backlog in pages, live packs between, and the link breaks on the way. */
static void turn_pages(struct subject *s)
{
	open_it(s);
	for (unsigned session = 0; session < 2; session++) {
		subject_up(s, 32);
		for (unsigned i = 0; i < 5; i++) {
			subject_put(s, 2, SMALL);
			subject_turn(s);
			(void) subject_take(s);
			subject_ack(s, 24);
		}
		subject_down(s);
		subject_turn(s);
	}
}

static void small_disk(struct subject_limits *l)
{
	l->disk.max_size = 1 << 18;
}

static void small_disk_newest(struct subject_limits *l)
{
	small_disk(l);
	l->disk.drop_newest = l->queue.drop_newest = true;
}

static void fill_small_disk(struct subject *s)
{
	open_it(s);
	for (unsigned i = 0; i < 6; i++) {
		subject_put(s, 2, LARGE);
		subject_turn(s);
	}
	subject_close(s);
}

/* max-size is reached, again and again. */
static void overflow(struct subject *s)
{
	open_it(s);
	for (unsigned i = 0; i < 8; i++) {
		subject_put(s, 3, i % 2 ? LARGE : 300);
		subject_turn(s);
	}
	subject_up(s, 8);
	for (unsigned i = 0; i < 3; i++) {
		subject_put(s, 1, SMALL);
		subject_turn(s);
		(void) subject_take(s);
		subject_ack(s, 6);
	}
	subject_down(s);
	subject_turns(s, 2);
	assert(s->disk.error != 0 || s->disk.counts.dropped > 0);
}

/* Packs that were read at @boot_us. */
static void put_dated(struct subject *s, unsigned n, uint64_t boot_us)
{
	for (unsigned i = 0; i < n; i++) {
		struct tg_parcel *like = subject_parcel(++s->seq, SMALL), *p = NULL;
		struct tg_unpacked u;

		assert(tg_parcel_unpack(like, &u) == 0);
		for (size_t k = 0; k < u.pack.n_samples; k++)
			u.samples[k].boot_us = boot_us;
		u.pack.wall_offset_us = tg_clock_wall_us() - (int64_t) tg_clock_boot_us();
		assert(tg_parcel_new(&u.pack, &p) == 0);
		tg_unpacked_done(&u);
		tg_parcel_unref(like);
		subject_put_parcel(s, p);
	}
}

static void thirty_days(struct subject_limits *l)
{
	l->disk.max_age_us = 30 * DAY;
}

static void grow_old(struct subject *s)
{
	open_it(s);
	put_dated(s, 30, s->now);
	subject_turn(s);
	subject_close(s);
	s->now += 40 * DAY;
}

static void expire(struct subject *s)
{
	open_it(s);
	for (unsigned i = 0; i < 3; i++) {
		put_dated(s, 3, s->now);
		subject_turn(s);
		s->now += 61 * TG_US_PER_S;
	}
	subject_turns(s, 2);
	assert(s->disk.error != 0 || s->disk.counts.dropped > 0);
}

static void set_aside(struct subject *s)
{
	open_it(s);
	subject_up(s, 8);
	for (unsigned i = 0; i < 5; i++) {
		subject_put(s, 1, SMALL);
		subject_turn(s);
		(void) subject_take(s);
		subject_refuse(s, 1);
		subject_ack(s, 4);
	}
	subject_down(s);
	subject_turns(s, 2);
}

/* SQLite folds its log into the file by itself, and writes it from the front again. */
static void fill_log(struct subject *s)
{
	open_it(s);
	for (unsigned i = 0; i < 2 * FULL_LOG; i++) {
		subject_put(s, 1, LARGE);
		subject_turn(s);
	}
}

static void fill_half_log(struct subject *s)
{
	open_it(s);
	for (unsigned i = 0; i < 40; i++) {
		subject_put(s, 3, LARGE);
		subject_turn(s);
	}
	subject_kill(s);
}

/* All is sent: the file shrinks. */
static void shrink(struct subject *s)
{
	uint64_t before;

	open_it(s);
	before = s->disk.file_bytes;
	subject_up(s, 64);
	for (unsigned i = 0; i < 14; i++) {
		subject_turn(s);
		(void) subject_take(s);
		subject_ack(s, 64);
	}
	subject_put(s, 2, SMALL);
	subject_turns(s, 3);
	subject_down(s);
	subject_turn(s);
	assert(s->disk.error != 0 || s->disk.file_bytes < before / 2);
}

static void restart(struct subject *s)
{
	for (unsigned i = 0; i < 3; i++) {
		open_it(s);
		subject_put(s, 4, SMALL);
		subject_turn(s);
		subject_put(s, 1, SMALL);
		subject_close(s);
	}
	open_it(s);
}

static void normal(struct subject_limits *l)
{
	l->disk.full = false;
}

/* Commits, acknowledgements and checkpoints with durability = normal. */
static void loosely(struct subject *s)
{
	open_it(s);
	for (unsigned i = 0; i < 14; i++) {
		subject_put(s, 3, SMALL);
		subject_turn(s);
	}
	subject_up(s, 16);
	for (unsigned i = 0; i < 12; i++) {
		subject_turn(s);
		(void) subject_take(s);
		subject_ack(s, 4);
	}
	subject_down(s);
	subject_turns(s, 12);
}

/* Full, normal, full: the file is closed and opened for that. */
static void change_mode(struct subject *s)
{
	open_it(s);
	for (unsigned i = 0; i < 3; i++) {
		subject_put(s, 3, SMALL);
		subject_turn(s);
		s->limits.disk.full = !s->limits.disk.full;
		tg_disk_configure(&s->disk, &s->limits.disk);
		subject_turns(s, 2);
	}
	s->limits.disk.full = true;
	tg_disk_configure(&s->disk, &s->limits.disk);
	subject_turns(s, 2);
}

/* A page in the middle of the file is wiped, and part of the packs are in the log. */
static void damage(struct subject *s)
{
	struct image im = IMAGE_NULL;
	struct image_file *f;

	fill(s, 120);
	open_it(s);
	subject_put(s, 20, SMALL);
	subject_turn(s);
	subject_kill(s);
	image_load(&im, s->dir);
	f = image_find(&im, "spool.db");
	assert(f && f->len > 10 * 4096);
	image_file_write(f, 6 * 4096, NULL, 4096);
	image_store(&im, s->dir);
	image_done(&im);
}

static void repair(struct subject *s)
{
	open_it(s);
	subject_put(s, 3, SMALL);
	subject_turns(s, 2);
	subject_up(s, 32);
	for (unsigned i = 0; i < 2; i++) {
		subject_turn(s);
		(void) subject_take(s);
		subject_ack(s, 32);
	}
	subject_down(s);
	subject_turns(s, 2);
}

const struct script scripts[] = {
	{ .name = "first start", .run = first_start, .quick = true, .failing = 1 },
	{ .name = "append", .run = append, .quick = true, .failing = 1 },
	{ .name = "acknowledge",
	  .prepare = fill_60,
	  .run = acknowledge,
	  .quick = true,
	  .failing = 2 },
	{ .name = "page turn", .prepare = fill_200, .run = turn_pages, .every = 2, .failing = 8 },
	{ .name = "max-size, drop-oldest",
	  .limit = small_disk,
	  .prepare = fill_small_disk,
	  .run = overflow,
	  .every = 3,
	  .failing = 8 },
	{ .name = "max-size, drop-newest",
	  .limit = small_disk_newest,
	  .prepare = fill_small_disk,
	  .run = overflow,
	  .every = 3,
	  .failing = 8 },
	{ .name = "max-age", .limit = thirty_days, .prepare = grow_old, .run = expire, .failing = 1 },
	{ .name = "set aside", .prepare = fill_60, .run = set_aside, .failing = 2 },
	{ .name = "log folded", .run = fill_log, .large = true, .every = 8 },
	{ .name = "shrink", .prepare = fill_half_log, .run = shrink, .large = true, .every = 6 },
	{ .name = "stop and start", .prepare = fill_60, .run = restart, .failing = 1 },
	{ .name = "durability changed", .prepare = fill_60, .run = change_mode, .failing = 1 },
	{ .name = "upgrade of the schema",
	  .prepare = fill_old,
	  .run = upgrade,
	  .quick = true,
	  .failing = 2 },
	{ .name = "repair", .prepare = damage, .run = repair, .damaged = true },
	{ .name = "durability = normal", .limit = normal, .run = loosely, .failing = 4 },
};
const size_t n_scripts = sizeof(scripts) / sizeof(scripts[0]);
