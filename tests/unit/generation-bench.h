/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A state directory with generations in it, and cut_everywhere(): an operation on it that loses power at each of its
 * file operations, with the recovery that follows. For one source file of a program, after the includes that cmocka
 * wants.
 */
#include "base/file.h"
#include "identity/generation.h"

#include "tests/unit/power-cut.h"

/* ---- a state directory ---- */

static char base[] = "/tmp/tidegate-generation-XXXXXX";
static char dir[64];

static const struct tg_generation_files files = { "-----BEGIN KEY-----\n", "-----BEGIN A-----\n-----BEGIN B-----\n",
						   "-----BEGIN ROOT-----\n" };

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

static void check_no_leftovers(unsigned number)
{
	char path[256];
	const struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/identity/generations/%06u", dir, number);
	d = opendir(path);
	while (d && (e = readdir(d)))
		assert_true(e->d_name[0] != '.' || strcmp(e->d_name, ".") == 0 ||
			    strcmp(e->d_name, "..") == 0);
	if (d)
		(void) closedir(d);
}

static void check_anchors(enum tg_slot s)
{
	tg_autofree char *text = NULL;

	assert_int_equal(tg_generation_text(dir, s, TG_FILE_ANCHORS, &text, NULL), 0);
	assert_string_equal(text, files.anchors_pem);
}

/* Keys on the disk belong to linked generations, every link is good, and what lives has no end. */
static void check_consistent(void)
{
	unsigned current = slot(TG_SLOT_CURRENT), candidate = slot(TG_SLOT_CANDIDATE),
		 previous = slot(TG_SLOT_PREVIOUS);

	/* What lives has its trust anchors, whole. */
	if (current)
		check_anchors(TG_SLOT_CURRENT);
	if (candidate)
		check_anchors(TG_SLOT_CANDIDATE);
	if (candidate)
		assert_true(candidate > current);
	if (previous)
		assert_true(previous < current);
	for (unsigned i = 1; i < 8; i++) {
		char name[64];

		snprintf(name, sizeof(name), "generations/%06u/key.pem", i);
		if (exists(name))
			assert_true(i == current || i == candidate || i == previous);
		snprintf(name, sizeof(name), "generations/%06u/outcome", i);
		if (exists(name))
			assert_true(i != current && i != candidate);
		check_no_leftovers(i);
	}
	assert_false(exists("generations/.new"));
}

/* What must hold after a cut and recovery: @done says that the operation had returned. */
typedef void (*check_fn)(unsigned newest, bool done);

static int do_recover(void)
{
	return tg_generation_recover(dir, NULL);
}

static void cut_everywhere(int (*op)(void), int generations, bool candidate, check_fn check)
{
	bool cut = true;
	long n;

	for (n = 0; cut; n++) {
		void *none = NULL;

		assert_true(n < 500);
		prepare(generations, candidate);
		cut = run_cut(op, n);
		/* The recovery may be cut as well; with many generations it is long, so not behind every cut. */
		for (long m = 0; (generations <= 3 || n % 16 == 1) && run_cut(do_recover, m); m++)
			assert_true(m < 500);
		assert_int_equal(tg_generation_recover(dir, NULL), 0);
		check_consistent();
		check((unsigned) generations + 1, !cut);
		/* And the machine goes on: a new one is written and promoted. */
		assert_true(write_one() > 0);
		assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
		assert_true(slot(TG_SLOT_CURRENT) > (unsigned) generations);
		assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
		(void) teardown(&none);
		(void) setup(&none);
	}
	assert_true(n > 2); /* there was something to cut */
}

