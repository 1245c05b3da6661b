/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/tpm_verdict.h"

#include "tests/unit/test.h"

#include <tidegate/cleanup.h>

#include <errno.h>
#include <string.h>

#define S UINT64_C(1000000)

struct watch {
	struct tg_tpm_verdict v;
	uint64_t now_us;
};

static enum tg_tpm_news after(struct watch *w, uint64_t us, struct tg_tpm_finding f)
{
	w->now_us += us;
	f.now_us = w->now_us;
	return tg_tpm_verdict_take(&w->v, &f);
}

static const struct tg_tpm_finding well = { .same_tpm = true }, away = { .error = -ENODEV },
				   cleared = { .lost = true, .same_tpm = true },
				   other = { .lost = true };

/* Every way in which a TPM can fail without saying that it does not know the key. */
static const struct tg_tpm_finding faults[] = {
	{ .error = -ENODEV },	{ .error = -ETIMEDOUT }, { .error = -EIO },
	{ .error = -EBUSY },	{ .error = -ENOSPC },	 { .error = -EKEYREJECTED },
	{ .error = -EACCES },	{ .error = -EEXIST },	 { .error = -ESTALE },
	{ .error = -EBADMSG },	{ .error = -ENOMEM },	 { .hung = true },
	{ .error = -ETIMEDOUT, .hung = true, .lost = true },
	{ .error = -EIO, .lost = true },
	{ .error = -ENODEV, .lost = true, .same_tpm = true },
};

static void no_fault_ever_loses_a_key(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(faults); i++) {
		struct watch w = { .now_us = S };

		for (int n = 0; n < 1000; n++) {
			(void) after(&w, 3600 * S, faults[i]);
			assert_false(w.v.key_lost);
			assert_int_not_equal(w.v.condition, TG_TPM_CLEARED);
			assert_int_not_equal(w.v.condition, TG_TPM_REPLACED);
			assert_int_not_equal(w.v.condition, TG_TPM_OK);
		}
	}
}

static void a_key_is_lost_at_the_second_answer_after_the_pause(void **state)
{
	struct watch w = { .now_us = S };

	(void) state;
	assert_int_equal(after(&w, 0, cleared), TG_TPM_NEWS_NONE);
	assert_int_equal(w.v.condition, TG_TPM_CLEARED);
	/* Asked again at once, as somebody looked at the status. */
	for (int i = 0; i < 4; i++)
		assert_int_equal(after(&w, S, cleared), TG_TPM_NEWS_NONE);
	assert_false(w.v.key_lost);
	assert_int_equal(after(&w, S, cleared), TG_TPM_NEWS_CLEARED);
	assert_true(w.v.key_lost);
	assert_int_equal(after(&w, 5 * S, cleared), TG_TPM_NEWS_NONE);
	assert_true(w.v.key_lost);
}

static void whatever_comes_between_starts_the_count_again(void **state)
{
	(void) state;
	for (size_t i = 0; i <= TG_ARRAY_SIZE(faults); i++) {
		struct tg_tpm_finding between = i < TG_ARRAY_SIZE(faults) ? faults[i] : well;
		struct watch w = { .now_us = S };

		(void) after(&w, 0, cleared);
		(void) after(&w, 60 * S, between);
		(void) after(&w, 60 * S, cleared);
		assert_false(w.v.key_lost);
		(void) after(&w, 60 * S, cleared);
		assert_true(w.v.key_lost);
		/* And takes it back: a TPM that is away now may come back as the right one. */
		(void) after(&w, 60 * S, between);
		assert_false(w.v.key_lost);
	}
}

static void a_replaced_tpm_does_not_confirm_a_cleared_one(void **state)
{
	struct watch w = { .now_us = S };

	(void) state;
	(void) after(&w, 0, cleared);
	assert_int_equal(after(&w, 60 * S, other), TG_TPM_NEWS_NONE);
	assert_false(w.v.key_lost);
	assert_int_equal(after(&w, 60 * S, other), TG_TPM_NEWS_REPLACED);
	assert_true(w.v.key_lost);
	assert_int_equal(w.v.condition, TG_TPM_REPLACED);
}

static void a_fault_is_told_once_and_its_end_once(void **state)
{
	struct watch w = { .now_us = S };
	unsigned lost = 0;

	(void) state;
	assert_int_equal(after(&w, S, well), TG_TPM_NEWS_NONE);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < TG_ARRAY_SIZE(faults); i++)
			lost += after(&w, 5 * S, faults[i]) == TG_TPM_NEWS_LOST;
		assert_int_equal(lost, round + 1);
		assert_int_equal(after(&w, 5 * S, well), TG_TPM_NEWS_BACK);
		assert_int_equal(after(&w, 5 * S, well), TG_TPM_NEWS_NONE);
	}
}

static void a_tpm_that_was_away_and_comes_back_cleared_tells_both(void **state)
{
	struct watch w = { .now_us = S };

	(void) state;
	assert_int_equal(after(&w, S, away), TG_TPM_NEWS_LOST);
	assert_int_equal(after(&w, S, cleared), TG_TPM_NEWS_NONE);
	assert_int_equal(after(&w, 5 * S, cleared), TG_TPM_NEWS_CLEARED);
	/* Coming and going is nothing new to who knows that the key is gone. */
	assert_int_equal(after(&w, S, away), TG_TPM_NEWS_NONE);
	assert_int_equal(after(&w, S, cleared), TG_TPM_NEWS_NONE);
	assert_int_equal(after(&w, 5 * S, cleared), TG_TPM_NEWS_NONE);
	assert_true(w.v.key_lost);
	/* Enrolled anew. */
	assert_int_equal(after(&w, S, well), TG_TPM_NEWS_BACK);
}

static void every_condition_has_a_name_and_every_fault_an_advice(void **state)
{
	(void) state;
	for (unsigned c = 0; c < TG_TPM_CONDITIONS; c++) {
		assert_string_not_equal(tg_tpm_condition_name(c), "?");
		assert_true((tg_tpm_advice(c) == NULL) == (c == TG_TPM_OK || c == TG_TPM_ASKING));
		for (unsigned d = 0; d < c; d++)
			assert_string_not_equal(tg_tpm_condition_name(c), tg_tpm_condition_name(d));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_fault_ever_loses_a_key),
		cmocka_unit_test(a_key_is_lost_at_the_second_answer_after_the_pause),
		cmocka_unit_test(whatever_comes_between_starts_the_count_again),
		cmocka_unit_test(a_replaced_tpm_does_not_confirm_a_cleared_one),
		cmocka_unit_test(a_fault_is_told_once_and_its_end_once),
		cmocka_unit_test(a_tpm_that_was_away_and_comes_back_cleared_tells_both),
		cmocka_unit_test(every_condition_has_a_name_and_every_fault_an_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
