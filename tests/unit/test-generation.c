/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity generations, with a power cut at every file operation; the parent then recovers and looks.
 */
#include "identity/generation.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/generation-bench.h"

static void a_written_generation_is_the_candidate_and_whole(void **state)
{
	tg_autofree char *bundle = NULL;
	char path[256];

	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 1);
	assert_int_equal(slot(TG_SLOT_CURRENT), 0);
	assert_int_equal(
		tg_generation_path(dir, TG_SLOT_CANDIDATE, TG_FILE_BUNDLE, path, sizeof(path)), 0);
	assert_non_null(strstr(path, "/identity/generations/000001/bundle.pem"));
	assert_int_equal(tg_file_read(AT_FDCWD, path, 4096, &bundle, NULL, NULL), 0);
	assert_string_equal(bundle, "-----BEGIN A-----\n-----BEGIN B-----\n-----BEGIN KEY-----\n");
	assert_int_equal(tg_generation_path(dir, TG_SLOT_CURRENT, TG_FILE_KEY, path, sizeof(path)),
			 -ENOENT);
	assert_int_equal(tg_generation_path(dir, TG_SLOT_CANDIDATE, TG_FILE_KEY, path, 10),
			 -ENAMETOOLONG);
}

static void promotion_moves_the_links_and_forgets_when_told(void **state)
{
	(void) state;
	assert_int_equal(tg_generation_promote(dir, false, NULL), -ENOENT);
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(write_one(), 2);
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 1);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
	assert_true(exists("generations/000001/key.pem"));
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	assert_false(exists("generations/000001/key.pem"));
	assert_false(exists("generations/000001/bundle.pem"));
	assert_true(exists("generations/000001/chain.pem"));
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 1);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
}

static void roll_back_keeps_current_and_never_reuses_a_number(void **state)
{
	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	assert_int_equal(write_one(), 2);
	assert_int_equal(tg_generation_roll_back(dir, "refused", 1, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
	assert_false(exists("generations/000002/key.pem"));
	assert_true(exists("generations/000002/manifest"));
	assert_int_equal(tg_generation_roll_back(dir, "refused", 1, NULL), 0);
	assert_int_equal(write_one(), 3);
}

static void damage_on_the_medium_is_found(void **state)
{
	static const char *const parts[] = { "key.pem", "chain.pem", "bundle.pem", "manifest" };
	struct tg_manifest m;
	char name[64];

	(void) state;
	for (unsigned i = 0; i < TG_ARRAY_SIZE(parts); i++) {
		assert_int_equal(write_one(), i + 1);
		snprintf(name, sizeof(name), "generations/%06u/%s", i + 1, parts[i]);
		damage(name, "-----kEY-----\n");
		assert_int_equal(tg_generation_read(dir, TG_SLOT_CANDIDATE, &m, NULL), -EBADMSG);
		assert_int_equal(tg_generation_promote(dir, true, NULL), -EBADMSG);
		assert_int_equal(tg_generation_recover(dir, NULL), 0);
		/* The bundle can be made anew of the two others, and they of it. */
		assert_int_equal(slot(TG_SLOT_CANDIDATE),
				 strcmp(parts[i], "manifest") == 0 ? 0 : i + 1);
	}
}

static void a_bundle_makes_both_others_good(void **state)
{
	tg_autofree char *text = NULL;

	(void) state;
	assert_int_equal(write_one(), 1);
	damage("generations/000001/key.pem", "-----BEGIN B-----\n-----BEGIN KEY-----\n");
	damage("generations/000001/chain.pem", "");
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 1);
	assert_int_equal(tg_generation_text(dir, TG_SLOT_CANDIDATE, TG_FILE_KEY, &text, NULL), 0);
	assert_string_equal(text, files.key_pem);
}

static void what_cannot_be_mended_is_given_up(void **state)
{
	static const char *const other[] = { "key.pem", "chain.pem", "manifest" };
	char name[64];

	(void) state;
	for (unsigned i = 0; i < TG_ARRAY_SIZE(other); i++) {
		assert_int_equal(write_one(), i + 1);
		snprintf(name, sizeof(name), "generations/%06u/%s", i + 1, other[i]);
		damage(name, "x");
		snprintf(name, sizeof(name), "generations/%06u/bundle.pem", i + 1);
		damage(name, "-----BEGIN A-----\n-----BEGIN KEY-----\n");
		assert_int_equal(tg_generation_recover(dir, NULL), 0);
		assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
		assert_false(exists(name));
	}
}

/* Of nothing but a full disk no identity is lost. */
static void a_mending_that_finds_no_room_costs_nothing(void **state)
{
	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	damage("generations/000001/bundle.pem", "x");
	full_at = 0;
	assert_int_equal(tg_generation_recover(dir, NULL), -ENOSPC);
	full_at = -1;
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
}

static void a_damaged_current_falls_back_to_a_previous_with_key(void **state)
{
	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	assert_int_equal(write_one(), 2);
	assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
	assert_int_equal(write_one(), 3);
	damage("generations/000002/bundle.pem", "x");
	damage("generations/000002/key.pem", "x");
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 0);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 3);
}

static void foreign_links_and_leftovers_are_swept(void **state)
{
	char path[256];

	(void) state;
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(write_one(), 1);
	snprintf(path, sizeof(path), "%s/identity/current", dir);
	assert_int_equal(symlink("../../etc", path), 0);
	snprintf(path, sizeof(path), "%s/identity/previous", dir);
	assert_int_equal(symlink("generations/000042", path), 0);
	snprintf(path, sizeof(path), "%s/identity/generations/.new", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	damage("generations/.new/key.pem", "half");
	damage(".candidate.0123", "half");
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_false(exists("generations/.new"));
	assert_false(exists(".candidate.0123"));
	assert_int_equal(slot(TG_SLOT_CURRENT), 0);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 0);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 1);
}

static void refuses_text_that_would_make_a_broken_bundle(void **state)
{
	const struct tg_generation_files no_newline = { .key_pem = "key", .chain_pem = "chain" };
	tg_autofree char *big = malloc(TG_GENERATION_FILE_MAX + 2);
	struct tg_generation_files too_big = { .key_pem = "k\n", .chain_pem = big };
	struct tg_manifest m = { .number = 55 };

	(void) state;
	memset(big, '\n', TG_GENERATION_FILE_MAX);
	big[TG_GENERATION_FILE_MAX] = '\0';
	assert_int_equal(tg_generation_write(dir, &no_newline, &m, NULL), -EINVAL);
	assert_int_equal(tg_generation_write(dir, &too_big, &m, NULL), -EFBIG);
	assert_int_equal(m.number, 55);
	assert_false(exists("generations/000001"));
}

/* They are no part of the identity: what is lost with them comes back with the next renewal. */
static void lost_or_damaged_anchors_cost_no_identity(void **state)
{
	static const char *const left[] = { "garbage", "", NULL };
	char name[64], path[512];
	struct tg_manifest m;

	(void) state;
	for (unsigned i = 0; i < TG_ARRAY_SIZE(left); i++) {
		tg_autofree char *text = NULL;

		assert_int_equal(write_one(), i + 1);
		snprintf(name, sizeof(name), "generations/%06u/%s", i + 1, TG_FILE_ANCHORS);
		damage(name, left[i] ? left[i] : "");
		snprintf(path, sizeof(path), "%s/identity/%s", dir, name);
		if (!left[i])
			assert_int_equal(unlink(path), 0);
		assert_int_equal(tg_generation_recover(dir, NULL), 0);
		assert_int_equal(tg_generation_read(dir, TG_SLOT_CANDIDATE, &m, NULL), 0);
		assert_int_equal(tg_generation_promote(dir, false, NULL), 0);
		assert_int_equal(slot(TG_SLOT_CURRENT), i + 1);
		/* Told as they are, not mended. */
		assert_int_equal(tg_generation_text(dir, TG_SLOT_CURRENT, TG_FILE_ANCHORS, &text, NULL),
				 left[i] ? 0 : -ENOENT);
		assert_true(!left[i] || strcmp(text, left[i]) == 0);
	}
}

static void a_generation_may_have_no_anchors(void **state)
{
	const struct tg_generation_files none = { .key_pem = "key\n", .chain_pem = "chain\n" };
	struct tg_manifest m = { .method = "aws-fleet" };
	tg_autofree char *text = NULL;

	(void) state;
	memset(m.fingerprint, 'a', 64);
	assert_int_equal(tg_generation_write(dir, &none, &m, NULL), 0);
	assert_false(exists("generations/000001/anchors.pem"));
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 1);
	assert_int_equal(tg_generation_text(dir, TG_SLOT_CANDIDATE, TG_FILE_ANCHORS, &text, NULL),
			 -ENOENT);
}

/* A candidate that is rolled back keeps them as history, and nothing follows a link to it any more. */
static void anchors_go_with_the_link_and_leave_with_the_directory(void **state)
{
	tg_autofree char *text = NULL;

	(void) state;
	prepare(1, true);
	assert_int_equal(tg_generation_roll_back(dir, "refused", 1, NULL), 0);
	assert_int_equal(tg_generation_text(dir, TG_SLOT_CANDIDATE, TG_FILE_ANCHORS, &text, NULL),
			 -ENOENT);
	assert_true(exists("generations/000002/anchors.pem"));
	prepare(TG_GENERATION_HISTORY + 1, false);
	assert_false(exists("generations/000001"));
	assert_false(exists("generations/000002"));
}

static void anchors_have_a_bound_of_their_own(void **state)
{
	tg_autofree char *big = malloc(TG_GENERATION_ANCHORS_MAX + 2), *text = NULL;
	const struct tg_generation_files files_big = { "k\n", "c\n", big };
	struct tg_manifest m = { .method = "est" };

	(void) state;
	memset(m.fingerprint, 'a', 64);
	memset(big, '\n', TG_GENERATION_ANCHORS_MAX + 1);
	big[TG_GENERATION_ANCHORS_MAX + 1] = '\0';
	assert_int_equal(tg_generation_write(dir, &files_big, &m, NULL), -EFBIG);
	assert_false(exists("generations/000001"));
	big[TG_GENERATION_ANCHORS_MAX] = '\0';
	assert_int_equal(tg_generation_write(dir, &files_big, &m, NULL), 0);
	assert_int_equal(tg_generation_text(dir, TG_SLOT_CANDIDATE, TG_FILE_ANCHORS, &text, NULL), 0);
	assert_int_equal(strlen(text), TG_GENERATION_ANCHORS_MAX);
}

/* ---- cuts ---- */

static int do_write(void)
{
	return write_one() < 0 ? -1 : 0;
}

/* Without a cut the new one is there; with one it may be. */
static void check_written(unsigned newest, bool done)
{
	unsigned candidate = slot(TG_SLOT_CANDIDATE);

	assert_int_equal(slot(TG_SLOT_CURRENT), newest - 1);
	assert_true(done ? candidate >= newest : candidate == 0 || candidate >= newest);
}

/* There was a candidate already: the old or the new one is there. */
static void check_written_over(unsigned newest, bool done)
{
	assert_int_equal(slot(TG_SLOT_CURRENT), newest - 1);
	assert_true(slot(TG_SLOT_CANDIDATE) >= newest + done);
}

static void a_cut_while_writing_leaves_one_identity_or_none(void **state)
{
	(void) state;
	cut_everywhere(do_write, 0, false, check_written);
	cut_everywhere(do_write, 1, false, check_written);
	cut_everywhere(do_write, 2, true, check_written_over);
}

static void a_full_disk_at_any_point_keeps_what_was_there(void **state)
{
	int r = -1;

	for (long n = 0; r < 0; n++) {
		struct tg_manifest m = { .number = 77 };

		assert_true(n < 100);
		prepare(1, true);
		full_at = n;
		memset(m.fingerprint, 'a', 64);
		r = tg_generation_write(dir, &files, &m, NULL);
		full_at = -1;
		assert_int_equal(slot(TG_SLOT_CURRENT), 1);
		assert_in_range(slot(TG_SLOT_CANDIDATE), 2, 3);
		assert_int_equal(m.number, r < 0 ? 77 : 3);
		/* On a full disk nothing is left lying about. */
		assert_false(exists("generations/.new"));
		assert_int_equal(tg_generation_recover(dir, NULL), 0);
		check_consistent();
		(void) teardown(state);
		(void) setup(state);
	}
}

/* ---- a disk that does not answer ---- */

static long unreadable_at = -1; /* the readlinkat() that fails; -1: none */

ssize_t readlinkat(int dirfd, const char *name, char *out, size_t size)
{
	if (unreadable_at >= 0 && unreadable_at-- == 0) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_readlinkat, dirfd, name, out, size);
}

/* Runs @op with each reading of a link failing in turn, until none is left to fail. */
static void fail_each_link(int (*op)(void))
{
	for (long at = 0;; at++) {
		bool failed;

		unreadable_at = at;
		(void) !op();
		failed = unreadable_at < 0;
		unreadable_at = -1;
		assert_true(exists("generations/000001/key.pem"));
		assert_true(exists("generations/000001/bundle.pem"));
		assert_int_equal(slot(TG_SLOT_CURRENT), 1);
		if (!failed)
			break;
	}
}

/* As a promotion leaves it that was cut behind its last but one step. */
static int roll_back_what_is_current(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/identity", dir);
	tg_cleanup(tg_closep) int fd = open(path, O_RDONLY | O_DIRECTORY);

	assert_int_equal(tg_file_relink(fd, "candidate", "generations/000001", NULL), 0);
	return tg_generation_roll_back(dir, "refused", 1, NULL);
}

static void a_link_that_cannot_be_read_costs_no_key(void **state)
{
	(void) state;
	assert_int_equal(write_one(), 1);
	assert_int_equal(tg_generation_promote(dir, true, NULL), 0);
	fail_each_link(do_recover);
	fail_each_link(roll_back_what_is_current);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_written_generation_is_the_candidate_and_whole),
		TEST(promotion_moves_the_links_and_forgets_when_told),
		TEST(roll_back_keeps_current_and_never_reuses_a_number),
		TEST(damage_on_the_medium_is_found),
		TEST(a_bundle_makes_both_others_good),
		TEST(what_cannot_be_mended_is_given_up),
		TEST(a_mending_that_finds_no_room_costs_nothing),
		TEST(a_damaged_current_falls_back_to_a_previous_with_key),
		TEST(foreign_links_and_leftovers_are_swept),
		TEST(lost_or_damaged_anchors_cost_no_identity),
		TEST(a_generation_may_have_no_anchors),
		TEST(anchors_go_with_the_link_and_leave_with_the_directory),
		TEST(anchors_have_a_bound_of_their_own),
		TEST(refuses_text_that_would_make_a_broken_bundle),
		TEST(a_cut_while_writing_leaves_one_identity_or_none),
		TEST(a_full_disk_at_any_point_keeps_what_was_there),
		TEST(a_link_that_cannot_be_read_costs_no_key),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
