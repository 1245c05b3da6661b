/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/renewal.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

/* What a service asks for: to be left alone for a while, or to be asked again about a request that somebody has yet to approve. */
#define HOUR  INT64_C(3600)
#define DAY   (24 * HOUR)
#define YEAR  (365 * DAY)
#define LIFE  (30 * DAY)
#define US(s) ((uint64_t) (s) *TG_US_PER_S)

#define T0   INT64_C(1800000000)
#define BOOT US(100000)

static const int64_t absurd[] = { INT64_MIN, -10 * YEAR, -1,    0,     1,         59,       60,
				  3600,      86399,      86400, 86401, 10 * YEAR, INT64_MAX };

static struct tg_renewal_policy policy(void)
{
	return (struct tg_renewal_policy){
		.possible = true, .renew_at_ppm = 660000, .max_age_s = 90 * DAY, .probation_s = 120
	};
}

static struct tg_renewal_facts first(uint64_t now_us)
{
	return (struct tg_renewal_facts){ .now_us = now_us, .believed_s = T0, .floor_s = T0 };
}

/* A certificate of LIFE seconds, @age seconds after it was made, under a clock that is right. */
static struct tg_renewal_facts at_age(int64_t age)
{
	return (struct tg_renewal_facts){
		.now_us = BOOT + US(age),
		.believed_s = T0 + age,
		.floor_s = T0,
		.has_current = true,
		.not_before = T0,
		.not_after = T0 + LIFE,
		.made = T0,
	};
}

/* What is left after the answer @class to an attempt that ended at @now_us, which came with a wait of @wait_s seconds. */
static struct tg_attempts answered(enum tg_enrol_class class, enum tg_enrol_kind kind,
				   enum tg_enrol_credential credential, int64_t wait_s,
				   uint64_t now_us, uint64_t chance)
{
	struct tg_attempts a = TG_ATTEMPTS_NONE;

	tg_attempts_see(&a, kind == TG_ORDER_RENEW ? 7 : 0, false);
	tg_attempts_begun(&a, kind, credential, false, false, now_us);
	tg_attempts_failed(&a, class, now_us, chance);
	tg_attempts_told_to_wait(&a, wait_s);
	return a;
}

static struct tg_attempts pending(const struct tg_renewal_facts *f,
				  enum tg_enrol_credential credential, int64_t wait_s)
{
	return answered(TG_ENROL_PENDING, f->has_current ? TG_ORDER_RENEW : TG_ORDER_ENROL,
			credential, wait_s, f->now_us, 0);
}

static struct tg_renewal_plan plan_of(const struct tg_renewal_facts *f, const struct tg_attempts *a)
{
	struct tg_renewal_policy p = policy();

	return tg_renewal_decide(&p, f, a);
}

/* --- a service that is overloaded ------------------------------------------------------------- */

static void a_first_enrolment_leaves_the_service_alone_for_as_long_as_it_asks(void **state)
{
	struct tg_renewal_facts f = first(BOOT);
	struct tg_attempts a = answered(TG_ENROL_RETRY, TG_ORDER_ENROL, TG_CREDENTIAL_CLAIM, HOUR,
					BOOT, UINT64_MAX);
	struct tg_renewal_plan plan = plan_of(&f, &a);

	(void) state;
	assert_int_equal(plan.act, TG_RENEWAL_WAIT);
	assert_true(plan.next_us >= BOOT + US(HOUR) && plan.next_us <= BOOT + US(HOUR + 225));
	assert_int_equal(plan.reason, TG_RENEWAL_RETRY);
	f.now_us = plan.next_us;
	assert_int_equal(plan_of(&f, &a).act, TG_RENEWAL_RUN);
	/* Somebody who orders it knows better. */
	f.now_us = BOOT + US(1);
	f.ordered = true;
	assert_int_equal(plan_of(&f, &a).act, TG_RENEWAL_RUN);
}

static void no_wait_is_longer_than_what_is_left_of_the_certificate_allows(void **state)
{
	(void) state;
	for (int64_t left = 1; left < LIFE / 3; left += left / 2 + 1) {
		struct tg_renewal_facts f = at_age(LIFE - left);

		for (size_t i = 0; i < TG_ARRAY_SIZE(absurd); i++) {
			struct tg_attempts a =
				answered(TG_ENROL_RETRY, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT,
					 absurd[i], f.now_us, UINT64_MAX);
			uint64_t next = plan_of(&f, &a).next_us - f.now_us;
			uint64_t longest = US(left / 10 < 6 * HOUR ? left / 10 : 6 * HOUR);

			assert_true(next >= TG_ATTEMPT_PAUSE_MIN_US);
			assert_true(next <= longest || next == TG_ATTEMPT_PAUSE_MIN_US);
			/* And it is kept up to there. */
			if (absurd[i] >= DAY && longest > TG_ATTEMPT_PAUSE_MIN_US)
				assert_true(next == longest);
		}
	}
}

static void a_wait_for_an_expired_gateway_is_an_hour_at_most(void **state)
{
	struct tg_renewal_facts f = at_age(LIFE + DAY);
	struct tg_attempts a =
		answered(TG_ENROL_RETRY, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, DAY, f.now_us, 0);

	(void) state;
	a.expired_tried = true;
	assert_true(plan_of(&f, &a).next_us == f.now_us + US(HOUR));
}

static void the_next_attempt_forgets_an_earlier_wait(void **state)
{
	struct tg_renewal_facts f = first(BOOT);
	struct tg_attempts a =
		answered(TG_ENROL_RETRY, TG_ORDER_ENROL, TG_CREDENTIAL_CLAIM, 5 * HOUR, BOOT, 0);

	(void) state;
	tg_attempts_begun(&a, TG_ORDER_ENROL, TG_CREDENTIAL_CLAIM, false, false, BOOT + US(10));
	tg_attempts_failed(&a, TG_ENROL_RETRY, BOOT + US(11), UINT64_MAX);
	assert_true(plan_of(&f, &a).next_us < BOOT + US(60));
}

/* --- a request that is pending ---------------------------------------------------------------- */

static void what_is_pending_is_no_failure(void **state)
{
	struct tg_renewal_facts f = first(BOOT);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CLAIM, HOUR);
	struct tg_renewal_plan plan = plan_of(&f, &a);

	(void) state;
	assert_true(a.pending && a.failures == 0 && a.asked == 1);
	assert_int_equal(plan.act, TG_RENEWAL_WAIT);
	assert_int_equal(plan.reason, TG_RENEWAL_PENDING);
	assert_true(plan.next_us == BOOT + US(HOUR));
}

static void the_next_question_is_between_a_minute_and_a_day_whatever_was_asked_for(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(absurd); i++) {
		for (uint64_t chance = 0; chance < 3; chance++) {
			struct tg_renewal_facts f = chance ? at_age(LIFE * 9 / 10) : first(BOOT);
			struct tg_attempts a = answered(
				TG_ENROL_PENDING, f.has_current ? TG_ORDER_RENEW : TG_ORDER_ENROL,
				f.has_current ? TG_CREDENTIAL_CURRENT : TG_CREDENTIAL_CLAIM,
				absurd[i], f.now_us, chance * (UINT64_MAX / 2));
			uint64_t wait = plan_of(&f, &a).next_us - f.now_us;

			assert_true(wait >= US(TG_WAIT_MIN_S) && wait <= US(TG_WAIT_MAX_S));
			if (absurd[i] >= TG_WAIT_MIN_S && absurd[i] <= TG_WAIT_MAX_S)
				assert_true(wait >= US(absurd[i]));
			if (absurd[i] > TG_WAIT_MAX_S)
				assert_true(wait == US(TG_WAIT_MAX_S));
		}
	}
}

static void a_service_that_names_no_time_is_asked_after_ten_minutes(void **state)
{
	struct tg_renewal_facts f = first(BOOT);
	struct tg_attempts a = TG_ATTEMPTS_NONE;

	(void) state;
	tg_attempts_see(&a, 0, false);
	tg_attempts_begun(&a, TG_ORDER_ENROL, TG_CREDENTIAL_CLAIM, false, false, BOOT);
	tg_attempts_failed(&a, TG_ENROL_PENDING, BOOT, 0);
	assert_true(plan_of(&f, &a).next_us == BOOT + US(TG_WAIT_DEFAULT_S));
}

static void short_waits_for_ever_are_not_followed_for_ever(void **state)
{
	struct tg_renewal_facts f = first(BOOT);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CLAIM, 1);
	uint64_t before = plan_of(&f, &a).next_us - BOOT;

	(void) state;
	for (int i = 0; i < 40; i++) {
		uint64_t wait;

		tg_attempts_begun(&a, TG_ORDER_ENROL, TG_CREDENTIAL_CLAIM, false, false, BOOT);
		tg_attempts_failed(&a, TG_ENROL_PENDING, BOOT, 0);
		tg_attempts_told_to_wait(&a, 1);
		wait = plan_of(&f, &a).next_us - BOOT;
		assert_true(wait >= before && wait <= US(TG_WAIT_DEFAULT_S));
		before = wait;
	}
	assert_true(before == US(TG_WAIT_DEFAULT_S));
}

static void the_same_request_is_asked_for_again_though_it_is_not_due(void **state)
{
	struct tg_renewal_facts f = at_age(LIFE / 10);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CURRENT, HOUR);
	struct tg_renewal_plan plan;

	(void) state;
	f.now_us += US(HOUR);
	f.believed_s += HOUR;
	plan = plan_of(&f, &a);
	assert_int_equal(plan.act, TG_RENEWAL_RUN);
	assert_int_equal(plan.kind, TG_ORDER_RENEW);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CURRENT);
}

static void the_claim_is_shown_again_for_it_at_the_time_of_the_service(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE + DAY);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CLAIM, 120);
	struct tg_renewal_plan plan;

	(void) state;
	p.on_expiry = TG_ON_FAILURE_CLAIM;
	plan = tg_renewal_decide(&p, &f, &a);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CLAIM);
	assert_true(plan.next_us == f.now_us + US(120));
	/* Not any more where the configuration forbids it. */
	p.on_expiry = TG_ON_FAILURE_HOLD;
	assert_int_equal(tg_renewal_decide(&p, &f, &a).credential, TG_CREDENTIAL_CURRENT);
}

static void an_order_and_a_reload_ask_for_the_same_request(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE + DAY);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CLAIM, DAY);
	struct tg_renewal_plan plan;

	(void) state;
	p.on_expiry = TG_ON_FAILURE_CLAIM;
	tg_attempts_forgive(&a);
	f.ordered = true;
	plan = tg_renewal_decide(&p, &f, &a);
	assert_int_equal(plan.act, TG_RENEWAL_RUN);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CLAIM);
}

static void a_network_that_fails_meanwhile_changes_nothing_but_the_pace(void **state)
{
	struct tg_renewal_facts f = at_age(LIFE / 10);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CURRENT, HOUR);

	(void) state;
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, false, f.now_us);
	tg_attempts_failed(&a, TG_ENROL_RETRY, f.now_us, UINT64_MAX);
	assert_true(a.pending);
	assert_true(plan_of(&f, &a).next_us <= f.now_us + US(5));
	assert_int_equal(plan_of(&f, &a).reason, TG_RENEWAL_RETRY);
	/* What the service says at last is another matter: by its age it is far from due. */
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, false, f.now_us);
	tg_attempts_failed(&a, TG_ENROL_REFUSED, f.now_us, UINT64_MAX);
	assert_false(a.pending);
	assert_true(plan_of(&f, &a).next_us > f.now_us + US(LIFE / 2));
}

static void an_expired_certificate_that_is_turned_away_gives_way_to_the_claim(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE - HOUR);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CURRENT, 2 * HOUR);

	(void) state;
	p.on_expiry = TG_ON_FAILURE_CLAIM;
	f = at_age(LIFE + HOUR);
	f.floor_s = f.believed_s;
	/* It is asked for with the old one at first. */
	assert_int_equal(tg_renewal_decide(&p, &f, &a).credential, TG_CREDENTIAL_CURRENT);
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, true, f.now_us);
	tg_attempts_failed(&a, TG_ENROL_RETRY, f.now_us, 0);
	assert_int_equal(tg_renewal_decide(&p, &f, &a).credential, TG_CREDENTIAL_CLAIM);
}

/* With an expired certificate nobody could ask any more. */
static void a_wait_beyond_the_end_of_the_certificate_is_broken_once_before_it(void **state)
{
	struct tg_renewal_facts f = at_age(LIFE - 12 * HOUR);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CURRENT, DAY);
	struct tg_renewal_plan plan = plan_of(&f, &a);

	(void) state;
	assert_true(plan.next_us == f.now_us + US(6 * HOUR));
	f = at_age(LIFE - 6 * HOUR + 20);
	assert_int_equal(plan_of(&f, &a).act, TG_RENEWAL_RUN);
	a = pending(&f, TG_CREDENTIAL_CURRENT, DAY);
	assert_true(plan_of(&f, &a).next_us == f.now_us + US(DAY));
	/* A short wait is not lengthened by it, nor that of the claim cut. */
	f = at_age(LIFE - 12 * HOUR);
	a = pending(&f, TG_CREDENTIAL_CURRENT, HOUR);
	assert_true(plan_of(&f, &a).next_us == f.now_us + US(HOUR));
}

static void a_key_that_is_lost_meanwhile_makes_it_another_matter(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE / 10);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CURRENT, HOUR);

	(void) state;
	f.key_lost = true;
	assert_int_equal(tg_renewal_decide(&p, &f, &a).act, TG_RENEWAL_REST);
	p.on_key_lost = TG_ON_FAILURE_CLAIM;
	assert_int_equal(tg_renewal_decide(&p, &f, &a).credential, TG_CREDENTIAL_CLAIM);
	assert_int_equal(tg_renewal_decide(&p, &f, &a).kind, TG_ORDER_ENROL);
}

static void a_certificate_ends_the_wait(void **state)
{
	struct tg_renewal_facts f = at_age(LIFE / 10);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CURRENT, HOUR);

	(void) state;
	tg_attempts_brought(&a);
	assert_int_equal(plan_of(&f, &a).reason, TG_RENEWAL_AGE);
	a = pending(&f, TG_CREDENTIAL_CURRENT, HOUR);
	tg_attempts_see(&a, 8, false);
	assert_false(a.pending);
	a = pending(&f, TG_CREDENTIAL_CURRENT, HOUR);
	tg_attempts_rolled_back(&a, f.now_us, 0);
	assert_false(a.pending);
}

/* --- restarts --------------------------------------------------------------------------------- */

static struct tg_journal left_by(enum tg_enrol_class class, int64_t said_s, int64_t wait_s)
{
	return (struct tg_journal){ .kind = TG_ORDER_RENEW,
				    .credential = TG_CREDENTIAL_CURRENT,
				    .base = 7,
				    .error_class = class,
				    .pending = class == TG_ENROL_PENDING,
				    .retry_at = said_s + wait_s,
				    .retry_after_s = wait_s };
}

static struct tg_attempts resumed(const struct tg_journal *j, int64_t believed_s)
{
	struct tg_attempts a = TG_ATTEMPTS_NONE;

	tg_attempts_see(&a, 7, false);
	tg_attempts_resume(&a, j, believed_s, BOOT, 0);
	return a;
}

static void a_restart_keeps_what_is_left_of_the_wait(void **state)
{
	static const enum tg_enrol_class both[] = { TG_ENROL_PENDING, TG_ENROL_RETRY };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(both); i++) {
		struct tg_journal j = left_by(both[i], T0, DAY);
		struct tg_attempts a = resumed(&j, T0 + DAY - 500);

		assert_true(a.wait_us == BOOT + US(500));
		assert_int_equal(a.pending, both[i] == TG_ENROL_PENDING);
		assert_int_equal(a.credential, TG_CREDENTIAL_CURRENT);
		a = resumed(&j, T0 + 2 * DAY);
		assert_true(a.wait_us == BOOT);
	}
}

static void a_failure_does_not_make_a_restart_forget_what_is_pending(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_journal j = left_by(TG_ENROL_RETRY, T0 + LIFE, HOUR);
	struct tg_renewal_facts f = at_age(LIFE + DAY);
	struct tg_attempts a;

	(void) state;
	p.on_expiry = TG_ON_FAILURE_CLAIM;
	j.credential = TG_CREDENTIAL_CLAIM;
	j.pending = true;
	a = resumed(&j, T0 + LIFE + 600);
	assert_true(a.pending && a.failures == 1);
	assert_true(a.wait_us == BOOT + US(HOUR - 600));
	/* Another credential would be another request. */
	assert_int_equal(tg_renewal_decide(&p, &f, &a).credential, TG_CREDENTIAL_CLAIM);
}

static void no_clock_makes_the_wait_longer_than_it_was_or_endless(void **state)
{
	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(absurd); i++) {
		for (int64_t error = -30 * YEAR; error <= 30 * YEAR; error += YEAR / 7) {
			int64_t wait = absurd[i] == INT64_MIN || absurd[i] == INT64_MAX ? 9 * YEAR
											: absurd[i];
			struct tg_journal j = left_by(TG_ENROL_PENDING, T0, wait);
			struct tg_attempts a = resumed(&j, T0 + error);

			assert_true(a.pending && a.wait_us >= BOOT);
			assert_true(a.wait_us <= BOOT + US(DAY + HOUR));
			/* With the clock set back nobody knows how much of it is over: not all of it again. */
			if (error < -HOUR)
				assert_true(a.wait_us <= BOOT + US(HOUR));
		}
	}
}

/* Off at the moment of the last question it is made when the power is back. */
static void a_restart_shortly_before_the_end_asks_at_once(void **state)
{
	struct tg_renewal_facts f = at_age(LIFE - HOUR);
	struct tg_journal j = left_by(TG_ENROL_PENDING, T0 + LIFE - 12 * HOUR, DAY);
	struct tg_attempts a = resumed(&j, f.believed_s);

	(void) state;
	f.now_us = BOOT;
	assert_int_equal(plan_of(&f, &a).act, TG_RENEWAL_RUN);
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, false, BOOT);
	tg_attempts_failed(&a, TG_ENROL_PENDING, BOOT, 0);
	tg_attempts_told_to_wait(&a, DAY);
	assert_true(plan_of(&f, &a).next_us == BOOT + US(DAY));
}

static void what_was_about_another_generation_is_left(void **state)
{
	struct tg_journal j = left_by(TG_ENROL_PENDING, T0, DAY);
	struct tg_attempts a;

	(void) state;
	j.base = 6;
	a = resumed(&j, T0);
	assert_true(!a.pending && !a.failures && !a.wait_us);
	/* Nor is a failure remembered that named no time. */
	j = left_by(TG_ENROL_RETRY, T0, DAY);
	j.retry_at = 0;
	a = resumed(&j, T0);
	assert_true(!a.failures && !a.wait_us);
	j = left_by(TG_ENROL_REFUSED, T0, DAY);
	a = resumed(&j, T0);
	assert_true(!a.failures && !a.wait_us);
}

static void a_clock_that_is_set_while_it_waits_does_not_matter(void **state)
{
	struct tg_renewal_facts f = first(BOOT);
	struct tg_attempts a = pending(&f, TG_CREDENTIAL_CLAIM, HOUR);
	uint64_t next = plan_of(&f, &a).next_us;

	(void) state;
	for (int64_t error = -30 * YEAR; error <= 30 * YEAR; error += YEAR) {
		f.believed_s = T0 + error;
		assert_true(plan_of(&f, &a).next_us == next);
	}
}

/* --- by hand ---------------------------------------------------------------------------------- */

static struct tg_renewal_plan by_hand(struct tg_renewal_facts f)
{
	static const struct tg_attempts none = TG_ATTEMPTS_NONE;
	struct tg_renewal_policy p = policy();
	struct tg_renewal_plan plan;
	char text[96];

	p.possible = false;
	p.by_hand = true;
	plan = tg_renewal_decide(&p, &f, &none);
	assert_int_equal(plan.act, TG_RENEWAL_REST);
	/* What is done behind its back is seen soon. */
	assert_true(plan.look_us <= f.now_us + US(10));
	(void) tg_renewal_reason_text(plan.reason, &p, text, sizeof(text));
	assert_true(strlen(text) > 3 && strlen(text) < sizeof(text) - 1);
	return plan;
}

static void by_hand_there_is_only_something_to_tell(void **state)
{
	struct tg_renewal_plan plan;
	struct tg_renewal_facts f = first(BOOT);

	(void) state;
	assert_int_equal(by_hand(f).reason, TG_RENEWAL_HAND_NONE);
	f.requested = true;
	assert_int_equal(by_hand(f).reason, TG_RENEWAL_HAND_REQUEST);
	plan = by_hand(at_age(LIFE / 10));
	assert_int_equal(plan.reason, TG_RENEWAL_AGE);
	assert_true(plan.next_us == BOOT + US(LIFE * 66 / 100));
	plan = by_hand(at_age(LIFE * 7 / 10));
	assert_int_equal(plan.reason, TG_RENEWAL_HAND_DUE);
	assert_true(plan.next_us == TG_US_FOREVER);
	f = at_age(LIFE + 1);
	f.floor_s = f.believed_s;
	plan = by_hand(f);
	assert_int_equal(plan.reason, TG_RENEWAL_HAND_EXPIRED);
	assert_true(plan.expired);
	f.key_lost = true;
	assert_int_equal(by_hand(f).reason, TG_RENEWAL_KEY_LOST);
}

static void by_hand_even_an_order_starts_nothing(void **state)
{
	struct tg_renewal_facts f = at_age(LIFE / 10);

	(void) state;
	f.ordered = f.by_claim = true;
	(void) by_hand(f);
	f = first(BOOT);
	f.ordered = f.by_claim = true;
	(void) by_hand(f);
}

/* --- methods ---------------------------------------------------------------------------------- */

static void each_method_has_its_own_rules(void **state)
{
	struct tg_config cfg = { .enrolment.method = TG_ENROL_EST };
	struct tg_renewal_policy p = tg_renewal_policy(&cfg);

	(void) state;
	assert_true(p.possible && !p.by_hand && !p.own_id);
	cfg.enrolment.method = TG_ENROL_MANUAL;
	p = tg_renewal_policy(&cfg);
	assert_true(!p.possible && p.by_hand && !p.own_id);
	cfg.enrolment.method = TG_ENROL_AWS_FLEET;
	p = tg_renewal_policy(&cfg);
	assert_true(p.possible && !p.by_hand && p.own_id);
	cfg.enrolment.method = TG_ENROL_NONE;
	p = tg_renewal_policy(&cfg);
	assert_true(!p.possible && !p.by_hand);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_enrolment_leaves_the_service_alone_for_as_long_as_it_asks),
		cmocka_unit_test(no_wait_is_longer_than_what_is_left_of_the_certificate_allows),
		cmocka_unit_test(a_wait_for_an_expired_gateway_is_an_hour_at_most),
		cmocka_unit_test(the_next_attempt_forgets_an_earlier_wait),
		cmocka_unit_test(what_is_pending_is_no_failure),
		cmocka_unit_test(
			the_next_question_is_between_a_minute_and_a_day_whatever_was_asked_for),
		cmocka_unit_test(a_service_that_names_no_time_is_asked_after_ten_minutes),
		cmocka_unit_test(short_waits_for_ever_are_not_followed_for_ever),
		cmocka_unit_test(the_same_request_is_asked_for_again_though_it_is_not_due),
		cmocka_unit_test(the_claim_is_shown_again_for_it_at_the_time_of_the_service),
		cmocka_unit_test(an_order_and_a_reload_ask_for_the_same_request),
		cmocka_unit_test(a_network_that_fails_meanwhile_changes_nothing_but_the_pace),
		cmocka_unit_test(an_expired_certificate_that_is_turned_away_gives_way_to_the_claim),
		cmocka_unit_test(a_wait_beyond_the_end_of_the_certificate_is_broken_once_before_it),
		cmocka_unit_test(a_key_that_is_lost_meanwhile_makes_it_another_matter),
		cmocka_unit_test(a_certificate_ends_the_wait),
		cmocka_unit_test(a_restart_keeps_what_is_left_of_the_wait),
		cmocka_unit_test(a_failure_does_not_make_a_restart_forget_what_is_pending),
		cmocka_unit_test(no_clock_makes_the_wait_longer_than_it_was_or_endless),
		cmocka_unit_test(a_restart_shortly_before_the_end_asks_at_once),
		cmocka_unit_test(what_was_about_another_generation_is_left),
		cmocka_unit_test(a_clock_that_is_set_while_it_waits_does_not_matter),
		cmocka_unit_test(by_hand_there_is_only_something_to_tell),
		cmocka_unit_test(by_hand_even_an_order_starts_nothing),
		cmocka_unit_test(each_method_has_its_own_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
