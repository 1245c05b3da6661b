/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of generations after they were written: probation, demotion, retirement, history, and all of it with a
 * power cut at every file operation.
 */
#include "identity/generation.h"
#include "identity/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/generation-bench.h"

static struct tg_generation_entry entries[TG_GENERATION_HISTORY_MAX];

static size_t history(void)
{
	size_t n = 0;

	assert_int_equal(tg_generation_history(dir, entries, TG_ARRAY_SIZE(entries), &n, NULL), 0);
	return n;
}

static void a_promoted_one_is_on_probation_until_the_old_one_is_retired(void **state)
{
	(void) state;
	assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
	prepare(1, false);
	/* The first identity has nothing to go back to. */
	assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
	assert_int_equal(tg_generation_retire(dir, 5, NULL), 0);
	prepare(1, false);
	assert_int_equal(tg_generation_on_probation(dir, NULL), 1);
	assert_int_equal(tg_generation_retire(dir, 5, NULL), 0);
	assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
	assert_int_equal(tg_generation_retire(dir, 6, NULL), 0);
	assert_false(exists("generations/000001/key.pem"));
	assert_false(exists("generations/000001/bundle.pem"));
	assert_true(exists("generations/000001/chain.pem"));
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 1);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
	assert_int_equal(history(), 2);
	assert_int_equal(entries[1].outcome.state, TG_OUTCOME_RETIRED);
	assert_int_equal(entries[1].outcome.time, 5);
}

static void demotion_goes_back_and_keeps_the_reason(void **state)
{
	(void) state;
	prepare(2, false);
	assert_int_equal(tg_generation_demote(dir, "dropped \x01", 77, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 0);
	assert_false(exists("generations/000002/key.pem"));
	assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
	assert_int_equal(history(), 2);
	assert_int_equal(entries[0].manifest.number, 2);
	assert_false(entries[0].current || entries[0].previous || entries[0].whole);
	assert_int_equal(entries[0].outcome.state, TG_OUTCOME_REJECTED);
	assert_int_equal(entries[0].outcome.time, 77);
	assert_string_equal(entries[0].outcome.reason, "dropped ?");
	assert_true(entries[1].current && entries[1].whole);
	assert_int_equal(entries[1].outcome.state, TG_OUTCOME_NONE);
}

static void without_an_old_key_nothing_is_demoted(void **state)
{
	(void) state;
	prepare(1, false);
	assert_int_equal(tg_generation_demote(dir, "x", 1, NULL), -ENOENT);
	prepare(1, false);
	damage("generations/000001/key.pem", "x");
	damage("generations/000001/bundle.pem", "x");
	assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
	assert_int_equal(tg_generation_demote(dir, "x", 1, NULL), -ENOENT);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
	assert_true(exists("generations/000002/key.pem"));
	assert_false(exists("generations/000002/outcome"));
	/* What is left of its key goes as well. */
	assert_int_equal(tg_generation_retire(dir, 1, NULL), 0);
	assert_false(exists("generations/000001/key.pem"));
}

static void a_second_promotion_ends_the_probation_of_the_first(void **state)
{
	(void) state;
	prepare(3, false);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 2);
	assert_false(exists("generations/000001/key.pem"));
	assert_int_equal(tg_generation_demote(dir, "x", 1, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
}

static void a_new_candidate_takes_the_key_of_one_that_was_waiting(void **state)
{
	(void) state;
	prepare(1, true);
	assert_int_equal(write_one(), 3);
	assert_false(exists("generations/000002/key.pem"));
	assert_true(exists("generations/000001/key.pem"));
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 3);
}

static void history_is_kept_for_a_bounded_number(void **state)
{
	size_t n;

	(void) state;
	prepare(1, false);
	for (int i = 0; i < TG_GENERATION_HISTORY + 5; i++) {
		prepare(0, true);
		assert_int_equal(tg_generation_roll_back(dir, "refused", i, NULL), 0);
	}
	n = history();
	/* The current one is older than all of them, and stays. */
	assert_int_equal(n, TG_GENERATION_HISTORY + 1);
	assert_int_equal(entries[0].manifest.number, TG_GENERATION_HISTORY + 6);
	assert_int_equal(entries[n - 1].manifest.number, 1);
	assert_true(entries[n - 1].current);
	assert_false(exists("generations/000002"));
	/* A reader that has less room gets the newest. */
	assert_int_equal(tg_generation_history(dir, entries, 2, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(entries[1].manifest.number, TG_GENERATION_HISTORY + 5);
	/* Where an older program has left more, the recovery removes them. */
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
}

static void a_full_disk_keeps_no_bad_identity_alive(void **state)
{
	(void) state;
	prepare(2, true);
	full_at = 0;
	assert_int_equal(tg_generation_roll_back(dir, "refused", 1, NULL), 0);
	full_at = 0;
	assert_int_equal(tg_generation_demote(dir, "refused", 1, NULL), 0);
	full_at = -1;
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
	assert_false(exists("generations/000002/key.pem"));
	assert_false(exists("generations/000003/key.pem"));
}

static void an_outcome_reads_back_as_it_was_written(void **state)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer text = TG_BUFFER_INIT(TG_OUTCOME_MAX);
	struct tg_outcome o = { TG_OUTCOME_REJECTED, 1234567890, "" }, again;
	static const char *const bad[] = {
		"",
		"{}",
		"{\"version\":1,\"state\":\"none\",\"time\":1,\"reason\":\"\"}",
		"{\"version\":1,\"state\":\"lost\",\"time\":1,\"reason\":\"\"}",
		"{\"version\":2,\"state\":\"retired\",\"time\":1,\"reason\":\"\"}",
		"{\"version\":1,\"state\":\"retired\",\"time\":\"1\",\"reason\":\"\"}",
		"{\"version\":1,\"state\":\"retired\",\"time\":1}",
	};

	(void) state;
	/* The longest, of bytes that escape to two. */
	memset(o.reason, '"', sizeof(o.reason) - 1);
	tg_outcome_print(&o, &text);
	assert_int_equal(tg_buffer_error(&text), 0);
	assert_int_equal(tg_outcome_parse(text.data, text.len, &again, NULL), 0);
	assert_int_equal(again.state, o.state);
	assert_int_equal(again.time, o.time);
	assert_string_equal(again.reason, o.reason);
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
		assert_int_equal(tg_outcome_parse(bad[i], strlen(bad[i]), &again, NULL), -EBADMSG);
}

static void a_damaged_outcome_ends_nothing(void **state)
{
	(void) state;
	prepare(2, true);
	damage("generations/000001/outcome", "{");
	damage("generations/000002/outcome", "{");
	damage("generations/000003/outcome", "{");
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 3);
	assert_int_equal(tg_generation_on_probation(dir, NULL), 1);
}

/* ---- what a cut can leave, made by hand ---- */

static void point(const char *link, unsigned number)
{
	char path[256], target[64];

	snprintf(path, sizeof(path), "%s/identity", dir);
	snprintf(target, sizeof(target), "generations/%06u", number);
	tg_autoclose int fd = open(path, O_RDONLY | O_DIRECTORY);

	assert_int_equal(tg_file_relink(fd, link, target, NULL), 0);
}

static const char rejected[] = "{\"version\":1,\"state\":\"rejected\",\"time\":1,\"reason\":\"\"}",
		  retired[] = "{\"version\":1,\"state\":\"retired\",\"time\":1,\"reason\":\"\"}";

static void a_demotion_that_was_decided_is_finished(void **state)
{
	(void) state;
	prepare(2, true);
	damage("generations/000002/outcome", rejected);
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 0);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 3);
	assert_false(exists("generations/000002/key.pem"));
}

static void a_rejected_current_stays_when_there_is_no_other(void **state)
{
	(void) state;
	prepare(2, false);
	assert_int_equal(tg_generation_retire(dir, 1, NULL), 0);
	damage("generations/000002/outcome", rejected);
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
	assert_false(exists("generations/000002/outcome"));
}

static void a_candidate_that_was_rejected_does_not_come_back(void **state)
{
	(void) state;
	prepare(1, true);
	damage("generations/000002/outcome", rejected);
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
	assert_false(exists("generations/000002/key.pem"));
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
}

static void a_retirement_that_was_decided_is_finished(void **state)
{
	(void) state;
	prepare(2, false);
	damage("generations/000001/outcome", retired);
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
	assert_false(exists("generations/000001/key.pem"));
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
}

/* The old key was on its way out when the new one's files turned out bad: better that than nothing. */
static void a_retired_one_takes_over_from_a_damaged_one(void **state)
{
	(void) state;
	prepare(2, false);
	damage("generations/000001/outcome", retired);
	damage("generations/000002/manifest", "");
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 1);
	assert_true(exists("generations/000001/key.pem"));
	assert_false(exists("generations/000001/outcome"));
}

static void equal_links_are_told_apart(void **state)
{
	(void) state;
	prepare(2, false);
	point("previous", 2);
	point("candidate", 2);
	assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
	assert_int_equal(tg_generation_retire(dir, 1, NULL), 0);
	assert_int_equal(tg_generation_roll_back(dir, "x", 1, NULL), 0);
	assert_true(exists("generations/000002/key.pem"));
	assert_false(exists("generations/000002/outcome"));
	assert_int_equal(tg_generation_demote(dir, "x", 1, NULL), -ENOENT);
	assert_int_equal(tg_generation_recover(dir, NULL), 0);
	assert_int_equal(slot(TG_SLOT_CURRENT), 2);
	assert_int_equal(slot(TG_SLOT_PREVIOUS), 0);
}

/* ---- cuts ---- */

static int do_promote(void)
{
	return tg_generation_promote(dir, false, NULL);
}

static int do_promote_and_forget(void)
{
	return tg_generation_promote(dir, true, NULL);
}

static int do_roll_back(void)
{
	return tg_generation_roll_back(dir, "refused", 1, NULL);
}

static int do_demote(void)
{
	return tg_generation_demote(dir, "dropped", 1, NULL);
}

static int do_retire(void)
{
	return tg_generation_retire(dir, 1, NULL);
}

static int do_mend(void)
{
	damage("generations/000002/bundle.pem", "x");
	return tg_generation_recover(dir, NULL);
}

/* A candidate that has proved itself is never lost, however far the promotion came. */
static void check_promoted(unsigned newest, bool done)
{
	if (done)
		assert_int_equal(slot(TG_SLOT_CURRENT), newest);
	assert_true(slot(TG_SLOT_CURRENT) == newest || slot(TG_SLOT_CANDIDATE) == newest);
	assert_true(slot(TG_SLOT_CURRENT) >= newest - 1);
	/* And there is a way back as long as the caller has not said that none is needed. */
	if (slot(TG_SLOT_CURRENT) == newest && newest > 1)
		assert_int_equal(slot(TG_SLOT_PREVIOUS), newest - 1);
}

static void check_promoted_with_a_way_back(unsigned newest, bool done)
{
	check_promoted(newest, done);
	if (slot(TG_SLOT_CURRENT) == newest)
		assert_int_equal(tg_generation_on_probation(dir, NULL), 1);
}

static void check_rolled_back(unsigned newest, bool done)
{
	assert_int_equal(slot(TG_SLOT_CURRENT), newest - 1);
	if (done)
		assert_int_equal(slot(TG_SLOT_CANDIDATE), 0);
}

/* The failed one is current and can be demoted again, or the old one is, whole. */
static void check_demoted(unsigned newest, bool done)
{
	unsigned current = slot(TG_SLOT_CURRENT);

	if (done)
		assert_int_equal(current, newest - 2);
	if (current == newest - 1)
		assert_int_equal(tg_generation_on_probation(dir, NULL), 1);
	else
		assert_int_equal(current, newest - 2);
}

static void check_retired(unsigned newest, bool done)
{
	assert_int_equal(slot(TG_SLOT_CURRENT), newest - 1);
	if (done)
		assert_int_equal(tg_generation_on_probation(dir, NULL), 0);
}

static void check_mended(unsigned newest, bool done)
{
	(void) done;
	assert_int_equal(slot(TG_SLOT_CURRENT), newest - 1);
	assert_int_equal(tg_generation_on_probation(dir, NULL), 1);
}

static void a_cut_while_promoting_leaves_one_identity(void **state)
{
	(void) state;
	cut_everywhere(do_promote, 0, true, check_promoted);
	cut_everywhere(do_promote, 1, true, check_promoted_with_a_way_back);
	cut_everywhere(do_promote, 2, true, check_promoted_with_a_way_back);
	cut_everywhere(do_promote_and_forget, 2, true, check_promoted);
}

static void a_cut_while_rolling_back_leaves_one_identity(void **state)
{
	(void) state;
	cut_everywhere(do_roll_back, 0, true, check_rolled_back);
	cut_everywhere(do_roll_back, 2, true, check_rolled_back);
}

static void a_cut_while_demoting_leaves_one_identity(void **state)
{
	(void) state;
	cut_everywhere(do_demote, 2, false, check_demoted);
	cut_everywhere(do_demote, 3, false, check_demoted);
}

static void a_cut_while_demoting_beside_a_candidate_keeps_it(void **state)
{
	(void) state;
	cut_everywhere(do_demote, 2, true, check_demoted);
}

static void a_cut_while_retiring_leaves_the_new_one(void **state)
{
	(void) state;
	cut_everywhere(do_retire, 2, false, check_retired);
	cut_everywhere(do_retire, 2, true, check_retired);
}

static void a_cut_while_mending_costs_nothing(void **state)
{
	(void) state;
	cut_everywhere(do_mend, 2, false, check_mended);
}

/* More directories than are kept: pruning is cut as well. */
static int do_write_and_prune(void)
{
	return write_one() < 0 ? -1 : 0;
}

static void check_pruned(unsigned newest, bool done)
{
	assert_int_equal(slot(TG_SLOT_CURRENT), newest - 1);
	assert_true(history() <= TG_GENERATION_HISTORY_MAX);
	if (done)
		assert_true(slot(TG_SLOT_CANDIDATE) >= newest);
}

static void a_cut_while_pruning_leaves_what_is_linked(void **state)
{
	(void) state;
	cut_everywhere(do_write_and_prune, TG_GENERATION_HISTORY, false, check_pruned);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_promoted_one_is_on_probation_until_the_old_one_is_retired),
		TEST(demotion_goes_back_and_keeps_the_reason),
		TEST(without_an_old_key_nothing_is_demoted),
		TEST(a_second_promotion_ends_the_probation_of_the_first),
		TEST(a_new_candidate_takes_the_key_of_one_that_was_waiting),
		TEST(history_is_kept_for_a_bounded_number),
		TEST(a_full_disk_keeps_no_bad_identity_alive),
		TEST(an_outcome_reads_back_as_it_was_written),
		TEST(a_damaged_outcome_ends_nothing),
		TEST(a_demotion_that_was_decided_is_finished),
		TEST(a_rejected_current_stays_when_there_is_no_other),
		TEST(a_candidate_that_was_rejected_does_not_come_back),
		TEST(a_retirement_that_was_decided_is_finished),
		TEST(a_retired_one_takes_over_from_a_damaged_one),
		TEST(equal_links_are_told_apart),
		TEST(a_cut_while_promoting_leaves_one_identity),
		TEST(a_cut_while_rolling_back_leaves_one_identity),
		TEST(a_cut_while_demoting_leaves_one_identity),
		TEST(a_cut_while_demoting_beside_a_candidate_keeps_it),
		TEST(a_cut_while_retiring_leaves_the_new_one),
		TEST(a_cut_while_mending_costs_nothing),
		TEST(a_cut_while_pruning_leaves_what_is_linked),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
