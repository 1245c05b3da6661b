/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "tests/cuts/outage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * What the imitated power cut leaves, of operations that are done here by hand: neither more than a medium may lose, nor less.
 */
struct bench {
	char dir[64];
	struct medium_log log;
	size_t at;             /* the position that is looked at */
	const char *name;      /* whose content is compared */
	char contents[64][24]; /* each that was seen once; "-" for no such name */
	size_t n;
};

static int setup(void **state)
{
	static struct bench b;
	struct image empty = IMAGE_NULL;

	b = (struct bench){ .name = "f" };
	(void) snprintf(b.dir, sizeof(b.dir), "/tmp/tidegate-outage-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	medium_start(&b.log, b.dir, &empty);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	medium_stop();
	medium_log_done(&b->log);
	image_wipe(b->dir);
	return rmdir(b->dir);
}

static int make(const struct bench *b, const char *name)
{
	char path[96];
	int fd;

	(void) snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void put(int fd, const char *text, off_t at)
{
	assert_int_equal(pwrite(fd, text, strlen(text), at), (ssize_t) strlen(text));
}

static void sync_names(const struct bench *b)
{
	int fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(fsync(fd), 0);
	assert_int_equal(close(fd), 0);
}

static bool on_image(void *user, const struct image *im, size_t position, const char *what)
{
	struct bench *b = user;
	const struct image_file *f = image_find(im, b->name);
	char text[24] = "-";

	(void) what;
	if (position != b->at)
		return true;
	if (f) {
		assert_true(f->len < sizeof(text));
		text[f->len] = '\0';
		for (size_t i = 0; i < f->len; i++)
			text[i] = f->data[i] ? (char) f->data[i] : '.';
	}
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->contents[i], text) == 0)
			return true;
	assert_true(b->n < 64);
	memcpy(b->contents[b->n++], text, sizeof(text));
	return true;
}

/* Which contents of the file a cut at @position may leave. */
static void look(struct bench *b, size_t position)
{
	const struct outage_options o = { .full = true };

	b->at = position;
	b->n = 0;
	assert_int_equal(outage_each(&b->log, &o, on_image, b), b->log.n + 1);
}

static bool may_be(const struct bench *b, const char *text)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->contents[i], text) == 0)
			return true;
	return false;
}

static void loses_a_name_that_was_not_synced(void **state)
{
	struct bench *b = *state;
	int fd = make(b, "f");

	put(fd, "abcd", 0);
	assert_int_equal(fdatasync(fd), 0);
	look(b, medium_position());
	assert_true(may_be(b, "-") && may_be(b, "abcd"));
	sync_names(b);
	look(b, medium_position());
	assert_int_equal(b->n, 1);
	assert_true(may_be(b, "abcd"));
	assert_int_equal(close(fd), 0);
}

static void keeps_what_was_synced_and_tears_the_rest(void **state)
{
	struct bench *b = *state;
	int fd = make(b, "f");

	sync_names(b);
	put(fd, "abcd", 0);
	assert_int_equal(fsync(fd), 0);
	put(fd, "XY", 1);
	put(fd, "efgh", 4);
	look(b, medium_position());
	assert_true(may_be(b, "abcd"));     /* neither */
	assert_true(may_be(b, "aXYdefgh")); /* both */
	assert_true(may_be(b, "abcd....")); /* the length alone */
	assert_true(may_be(b, "aXYd"));     /* one */
	assert_true(may_be(b, "abcdefgh")); /* the other */
	assert_true(may_be(b, "aXYdef"));   /* half of the last */
	assert_true(may_be(b, "aXYd..gh"));
	for (size_t i = 0; i < b->n; i++)
		assert_true(b->contents[i][0] == 'a' && b->contents[i][3] == 'd');
	/* A cut before the first of them knows nothing of them. */
	look(b, medium_position() - 2);
	assert_int_equal(b->n, 1);
	assert_int_equal(close(fd), 0);
}

static void truncates_when_it_is_synced(void **state)
{
	struct bench *b = *state;
	int fd = make(b, "f");

	sync_names(b);
	put(fd, "abcd", 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(ftruncate(fd, 1), 0);
	look(b, medium_position());
	assert_int_equal(b->n, 2);
	assert_true(may_be(b, "abcd") && may_be(b, "a"));
	assert_int_equal(fsync(fd), 0);
	look(b, medium_position());
	assert_int_equal(b->n, 1);
	assert_true(may_be(b, "a"));
	assert_int_equal(close(fd), 0);
}

static void forgets_what_a_failed_sync_was_about(void **state)
{
	struct bench *b = *state;
	int fd = make(b, "f");

	sync_names(b);
	put(fd, "abcd", 0);
	medium_fail(b->dir, 1u << MEDIUM_SYNC, 1, false, EIO);
	assert_int_equal(fsync(fd), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(medium_heal(), 1);
	/* The kernel has given these pages up: success now says nothing about them. */
	assert_int_equal(fsync(fd), 0);
	look(b, medium_position());
	assert_true(may_be(b, "") && may_be(b, "abcd"));
	put(fd, "abcd", 0);
	assert_int_equal(fsync(fd), 0);
	look(b, medium_position());
	assert_int_equal(b->n, 1);
	assert_true(may_be(b, "abcd"));
	assert_int_equal(close(fd), 0);
}

static void renames_in_order_or_not(void **state)
{
	struct bench *b = *state;
	int fd = make(b, "f"), other = make(b, "g"),
	    dir = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	put(fd, "old", 0);
	put(other, "new", 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fsync(other), 0);
	sync_names(b);
	assert_int_equal(renameat(dir, "f", dir, "h"), 0);
	assert_int_equal(renameat(dir, "g", dir, "f"), 0);
	look(b, medium_position());
	assert_int_equal(b->n, 3);
	assert_true(may_be(b, "old") && may_be(b, "-") && may_be(b, "new"));
	assert_int_equal(unlinkat(dir, "f", 0), 0);
	sync_names(b);
	look(b, medium_position());
	assert_int_equal(b->n, 1);
	assert_true(may_be(b, "-"));
	b->name = "h";
	look(b, medium_position());
	assert_true(b->n == 1 && may_be(b, "old"));
	assert_int_equal(close(fd) + close(other) + close(dir), 0);
}

static void a_medium_that_lies_keeps_nothing(void **state)
{
	struct bench *b = *state;
	int fd;

	medium_set_lie(MEDIUM_LOSES_SYNCS);
	fd = make(b, "f");
	put(fd, "abcd", 0);
	assert_int_equal(fsync(fd), 0);
	sync_names(b);
	medium_set_lie(MEDIUM_HONEST);
	look(b, medium_position());
	assert_true(may_be(b, "-") && may_be(b, "") && may_be(b, "...."));
	assert_int_equal(close(fd), 0);
}

static void fails_the_call_that_it_is_told_to(void **state)
{
	struct bench *b = *state;
	int fd = make(b, "f");

	medium_fail(b->dir, 1u << MEDIUM_WRITE, 2, false, ENOSPC);
	put(fd, "ab", 0);
	assert_int_equal(pwrite(fd, "cd", 2, 2), -1);
	assert_int_equal(errno, ENOSPC);
	put(fd, "cd", 2);
	assert_int_equal(medium_heal(), 1);
	medium_fail(b->dir, 1u << MEDIUM_WRITE, 1, true, MEDIUM_SHORT);
	assert_int_equal(pwrite(fd, "efgh", 4, 4), 2);
	assert_int_equal(pwrite(fd, "gh", 2, 6), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(medium_heal(), 2);
	medium_fail(b->dir, 1u << MEDIUM_CREATE | 1u << MEDIUM_UNLINK, 1, true, EROFS);
	assert_int_equal(unlink(b->dir), -1);
	assert_int_equal(medium_heal(), 1);
	assert_int_equal(close(fd), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(loses_a_name_that_was_not_synced),
		TEST(keeps_what_was_synced_and_tears_the_rest),
		TEST(truncates_when_it_is_synced),
		TEST(forgets_what_a_failed_sync_was_about),
		TEST(renames_in_order_or_not),
		TEST(a_medium_that_lies_keeps_nothing),
		TEST(fails_the_call_that_it_is_told_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
