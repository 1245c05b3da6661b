/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/progress.h"

#include "tests/unit/test.h"

#include <string.h>

/* What was told, as one line of words. */
static char told[512];

static void on_news(void *user, const struct tg_progress_news *n)
{
	static const char *const kinds[] = {
		[TG_PROGRESS_STEP] = "",
		[TG_PROGRESS_AGAIN] = "again",
		[TG_PROGRESS_TRIAL] = "trial",
		[TG_PROGRESS_PROMOTED] = "promoted",
		[TG_PROGRESS_PROBATION] = "probation",
		[TG_PROGRESS_DONE] = "done",
		[TG_PROGRESS_FAILED] = "failed:",
		[TG_PROGRESS_PENDING] = "pending",
	};
	size_t len = strlen(told);

	(void) user;
	(void) snprintf(told + len, sizeof(told) - len, "%s%s%s", len ? " " : "", kinds[n->kind],
			n->step ? n->step : "");
	if (n->kind == TG_PROGRESS_FAILED)
		assert_true(n->advice && *n->advice);
}

/* Feeds a look and returns what it came to; @expected is what was told on it. */
static int feed(struct tg_progress *p, struct tg_progress_look look, const char *expected)
{
	int r;

	told[0] = '\0';
	r = tg_progress_feed(p, &look, on_news, NULL);
	assert_string_equal(told, expected);
	/* The same again is no news. */
	if (r == 0) {
		told[0] = '\0';
		assert_int_equal(tg_progress_feed(p, &look, on_news, NULL), 0);
		assert_string_equal(told, "");
	}
	assert_true(strlen(tg_progress_now(p, &look)) > 3);
	return r;
}

#define AT(attempts_, current_, ...)                                                                 \
	((struct tg_progress_look){ .attempts = (attempts_), .current = (current_), __VA_ARGS__ })
#define LOOK(...) AT(8, 3, __VA_ARGS__)

static struct tg_progress begun(void)
{
	struct tg_progress p;
	/* What went wrong last time is still there. */
	struct tg_progress_look look = { .attempts = 7,
					 .current = 3,
					 .step = "csr",
					 .error_class = "retry",
					 .error_step = "request",
					 .error_text = "time-out" };

	tg_progress_begin(&p, &look);
	assert_int_equal(feed(&p, look, ""), 0);
	return p;
}

static void every_step_is_told_once_and_in_order(void **state)
{
	struct tg_progress p = begun();

	(void) state;
	assert_int_equal(feed(&p, LOOK(.running = true), ""), 0);
	assert_int_equal(feed(&p, LOOK(.running = true, .step = "key"), "key"), 0);
	assert_int_equal(feed(&p, LOOK(.running = true, .step = "issued"), "csr request issued"),
			 0);
	assert_int_equal(feed(&p, LOOK(.running = true, .candidate = 4),
			      "registered verified written trial"),
			 0);
	assert_int_equal(feed(&p, LOOK(.candidate = 4), ""), 0);
	assert_int_equal(feed(&p, AT(8, 4, .probation = true), "promoted probation"), 0);
	assert_int_equal(feed(&p, AT(8, 4, .probation = false), "done"), 1);
}

static void what_went_by_between_two_looks_is_told_all_the_same(void **state)
{
	struct tg_progress p = begun();

	(void) state;
	assert_int_equal(feed(&p, AT(8, 4, .probation = false),
			      "key csr request issued registered verified written trial promoted "
			      "done"),
			 1);
}

static void an_old_error_does_not_fail_a_new_attempt(void **state)
{
	struct tg_progress p = begun();

	(void) state;
	assert_int_equal(feed(&p,
			      LOOK(.running = true, .step = "csr", .error_class = "retry",
				   .error_step = "request"),
			      "key csr"),
			 0);
	assert_int_equal(
		feed(&p, LOOK(.step = "csr", .error_class = "refused", .error_step = "request"),
		     "failed:request"),
		-1);
}

static void a_request_that_waits_for_approval_ends_the_wait_here(void **state)
{
	struct tg_progress p = begun();

	(void) state;
	/* It was pending before, and is asked for again. */
	assert_int_equal(feed(&p, LOOK(.running = true, .step = "csr", .pending = true), "key csr"),
			 0);
	assert_int_equal(feed(&p, LOOK(.step = "request", .pending = true), "request pending"), -1);
	p = begun();
	assert_int_equal(feed(&p,
			      LOOK(.step = "csr", .pending = true, .error_class = "retry",
				   .error_step = "request"),
			      "key csr failed:request"),
			 -1);
}

static void another_way_is_no_failure(void **state)
{
	struct tg_progress p = begun();

	(void) state;
	assert_int_equal(
		feed(&p, LOOK(.error_class = "id-refused", .error_step = "request"), ""), 0);
	assert_int_equal(feed(&p, AT(9, 3, .running = true, .own_id = true, .step = "request"),
			      "again key csr request"),
			 0);
	/* Refused that way too. */
	assert_int_equal(
		feed(&p, AT(9, 3, .own_id = true, .error_class = "id-refused", .error_step = "request"),
		     "failed:request"),
		-1);
}

static void a_certificate_that_the_broker_refuses_fails_the_trial(void **state)
{
	struct tg_progress p = begun();

	(void) state;
	assert_int_equal(feed(&p, LOOK(.candidate = 4),
			      "key csr request issued registered verified written trial"),
			 0);
	assert_int_equal(feed(&p, LOOK(.roll_backs = 1, .rejected = "not authorised"), "failed:trial"), -1);
}

static void a_trial_between_two_looks_fails_as_one(void **state)
{
	struct tg_progress p = begun();

	(void) state;
	assert_int_equal(feed(&p, LOOK(.running = true, .step = "key"), "key"), 0);
	assert_int_equal(feed(&p, LOOK(.roll_backs = 1, .rejected = "not authorised", .error_class = "refused",
				       .error_step = "trial", .error_text = "rolled back: not authorised"),
			      "csr request issued registered verified written trial failed:trial"),
			 -1);
}

static void a_reason_may_come_late_and_not_at_all(void **state)
{
	struct tg_progress p = begun();
	struct tg_progress_look look = LOOK(.candidate = 0);
	int looks = 0;

	(void) state;
	assert_int_equal(feed(&p, LOOK(.candidate = 4),
			      "key csr request issued registered verified written trial"),
			 0);
	told[0] = '\0';
	while (tg_progress_feed(&p, &look, on_news, NULL) == 0)
		looks++;
	assert_true(looks > 5 && looks < 50);
	assert_string_equal(told, "failed:trial");
}

static void one_that_is_dropped_later_fails_the_probation(void **state)
{
	struct tg_progress p = begun();

	(void) state;
	assert_int_equal(feed(&p, AT(8, 4, .probation = true),
			      "key csr request issued registered verified written trial promoted "
			      "probation"),
			 0);
	assert_int_equal(feed(&p, LOOK(.roll_backs = 1, .rejected = "dropped"), "failed:probation"), -1);
}

static void a_first_enrolment_needs_no_identity_before_it(void **state)
{
	struct tg_progress_look none = { .attempts = 0 };
	struct tg_progress p;

	(void) state;
	tg_progress_begin(&p, &none);
	none.attempts = 1;
	none.candidate = 1;
	assert_int_equal(feed(&p, none, "key csr request issued registered verified written trial"),
			 0);
	none.candidate = 0;
	none.current = 1;
	assert_int_equal(feed(&p, none, "promoted done"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_is_told_once_and_in_order),
		cmocka_unit_test(what_went_by_between_two_looks_is_told_all_the_same),
		cmocka_unit_test(an_old_error_does_not_fail_a_new_attempt),
		cmocka_unit_test(a_request_that_waits_for_approval_ends_the_wait_here),
		cmocka_unit_test(another_way_is_no_failure),
		cmocka_unit_test(a_certificate_that_the_broker_refuses_fails_the_trial),
		cmocka_unit_test(a_trial_between_two_looks_fails_as_one),
		cmocka_unit_test(a_reason_may_come_late_and_not_at_all),
		cmocka_unit_test(one_that_is_dropped_later_fails_the_probation),
		cmocka_unit_test(a_first_enrolment_needs_no_identity_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
