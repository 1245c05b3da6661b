/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/renewal.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

/* When an attempt is made and with which credential, and how pauses grow; when a certificate is due is test-renewal.c's. */
#define HOUR  INT64_C(3600)
#define DAY   (24 * HOUR)
#define LIFE  (30 * DAY)
#define DUE   (LIFE * 66 / 100) /* without jitter */
#define US(s) ((uint64_t) (s) *TG_US_PER_S)

#define T0   INT64_C(1800000000)
#define BOOT US(100000)

static const struct tg_attempts none = TG_ATTEMPTS_NONE;

static struct tg_renewal_policy policy(void)
{
	return (struct tg_renewal_policy){
		.possible = true, .renew_at_ppm = 660000, .max_age_s = 90 * DAY, .probation_s = 120
	};
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

static uint64_t mixed(uint64_t i)
{
	i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	i = (i ^ i >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return i ^ i >> 27;
}

/* @n attempts in a row with @credential that failed with @class, the last of them at @now_us. */
static struct tg_attempts failed(unsigned n, enum tg_enrol_class class,
				 enum tg_enrol_credential credential, uint64_t now_us,
				 uint64_t chance)
{
	struct tg_attempts a = TG_ATTEMPTS_NONE;

	tg_attempts_see(&a, 7, false);
	for (unsigned i = 0; i < n; i++) {
		tg_attempts_begun(&a, TG_ORDER_RENEW, credential, false, false, now_us);
		tg_attempts_failed(&a, class, now_us, chance);
	}
	return a;
}

static struct tg_renewal_plan plan_of(const struct tg_renewal_policy *p,
				      const struct tg_renewal_facts *f, const struct tg_attempts *a)
{
	return tg_renewal_decide(p, f, a);
}

/* --- pauses ----------------------------------------------------------------------------------- */

static const enum tg_enrol_class classes[] = { TG_ENROL_RETRY, TG_ENROL_REFUSED,
					       TG_ENROL_BAD_ANSWER, TG_ENROL_LOCAL };

static void no_pause_is_short_or_longer_than_its_cap(void **state)
{
	static const uint64_t caps[] = {
		0, 1, US(1), US(4), US(600), US(6 * HOUR), US(1000 * DAY), TG_US_FOREVER
	};

	(void) state;
	for (size_t c = 0; c < TG_ARRAY_SIZE(classes); c++) {
		for (unsigned n = 1; n < 200; n++) {
			struct tg_attempts a =
				failed(n, classes[c], TG_CREDENTIAL_CURRENT, BOOT, mixed(n));

			for (size_t i = 0; i < TG_ARRAY_SIZE(caps); i++) {
				uint64_t pause = tg_attempts_pause_us(&a, caps[i]);

				assert_true(pause >= TG_ATTEMPT_PAUSE_MIN_US);
				assert_true(pause <= caps[i] || pause == TG_ATTEMPT_PAUSE_MIN_US);
				assert_true(pause <= US(6 * HOUR));
			}
		}
	}
}

/* The cap shrinks as time goes by: an attempt that was close must not move away again. */
static void a_smaller_cap_only_brings_the_attempt_closer(void **state)
{
	(void) state;
	for (uint64_t i = 0; i < 2000; i++) {
		struct tg_attempts a = failed(1 + (unsigned) (mixed(i) % 20), classes[i % 4],
					      TG_CREDENTIAL_CURRENT, BOOT, mixed(i + 5000));
		uint64_t before = 0;

		for (uint64_t cap = 1; cap < US(10 * HOUR); cap += cap / 3 + 1) {
			assert_true(tg_attempts_pause_us(&a, cap) >= before);
			before = tg_attempts_pause_us(&a, cap);
		}
	}
}

static void a_refusal_is_repeated_far_more_slowly_than_a_network_fault(void **state)
{
	(void) state;
	for (unsigned n = 1; n < 7; n++) {
		struct tg_attempts r = failed(n, TG_ENROL_REFUSED, TG_CREDENTIAL_CURRENT, BOOT, 0);
		struct tg_attempts f =
			failed(n, TG_ENROL_RETRY, TG_CREDENTIAL_CURRENT, BOOT, UINT64_MAX);

		assert_true(tg_attempts_pause_us(&r, US(6 * HOUR)) >
			    10 * tg_attempts_pause_us(&f, US(6 * HOUR)));
	}
}

static void pauses_spread_over_a_growing_range(void **state)
{
	uint64_t early = 0, late = 0;

	(void) state;
	for (uint64_t i = 0; i < 1000; i++) {
		struct tg_attempts a =
			failed(1, TG_ENROL_RETRY, TG_CREDENTIAL_CURRENT, BOOT, mixed(i));
		struct tg_attempts b =
			failed(7, TG_ENROL_RETRY, TG_CREDENTIAL_CURRENT, BOOT, mixed(i));
		uint64_t x = tg_attempts_pause_us(&a, US(HOUR)),
			 y = tg_attempts_pause_us(&b, US(HOUR));

		early = x > early ? x : early;
		late = y > late ? y : late;
	}
	assert_true(late > 50 * early);
}

static void failures_are_those_of_the_certificate_that_was_current(void **state)
{
	struct tg_attempts a = failed(3, TG_ENROL_RETRY, TG_CREDENTIAL_CURRENT, BOOT, 0);

	(void) state;
	/* Its successor is on probation, and is dropped. */
	tg_attempts_see(&a, 8, true);
	assert_int_equal(a.failures, 3);
	tg_attempts_rolled_back(&a, BOOT, 0);
	tg_attempts_see(&a, 7, false);
	assert_int_equal(a.failures, 4);
	/* The next one stays. */
	tg_attempts_see(&a, 9, true);
	assert_int_equal(a.failures, 4);
	tg_attempts_see(&a, 9, false);
	assert_int_equal(a.failures, 0);
	/* One that was made while the probation went on is about the new one. */
	tg_attempts_see(&a, 10, true);
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, false, BOOT);
	tg_attempts_failed(&a, TG_ENROL_RETRY, BOOT, 0);
	tg_attempts_see(&a, 10, false);
	assert_int_equal(a.failures, 1);
}

static void when_the_claim_was_answered_is_never_forgotten(void **state)
{
	struct tg_attempts a = failed(3, TG_ENROL_REFUSED, TG_CREDENTIAL_CLAIM, BOOT, 0);

	(void) state;
	tg_attempts_see(&a, 8, false);
	assert_true(a.claim_us == BOOT);
	tg_attempts_forgive(&a);
	assert_true(a.claim_us == BOOT);
	/* What nobody answered changes nothing about that. */
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CLAIM, false, true, BOOT + US(HOUR));
	assert_true(a.claim_us == BOOT + US(HOUR));
	tg_attempts_failed(&a, TG_ENROL_RETRY, BOOT + US(HOUR + 1), 0);
	assert_true(a.claim_us == BOOT);
	/* The refusal of a client id is an answer, whatever becomes of the second half. */
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CLAIM, false, true, BOOT + US(2 * HOUR));
	tg_attempts_failed(&a, TG_ENROL_ID_REFUSED, BOOT + US(2 * HOUR), 0);
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CLAIM, true, true, BOOT + US(2 * HOUR + 9));
	tg_attempts_failed(&a, TG_ENROL_RETRY, BOOT + US(2 * HOUR + 9), 0);
	assert_true(a.claim_us == BOOT + US(2 * HOUR));
}

/* --- due or not ------------------------------------------------------------------------------- */

static void waits_until_it_is_due_and_runs_then(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DUE - 100);
	struct tg_renewal_plan plan = plan_of(&p, &f, &none);

	(void) state;
	assert_int_equal(plan.act, TG_RENEWAL_WAIT);
	assert_true(plan.next_us == f.now_us + US(100));
	assert_true(plan.look_us == plan.next_us);
	f = at_age(DUE - 1);
	assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_WAIT);
	f = at_age(DUE);
	plan = plan_of(&p, &f, &none);
	assert_int_equal(plan.act, TG_RENEWAL_RUN);
	assert_int_equal(plan.reason, TG_RENEWAL_AGE);
	assert_int_equal(plan.kind, TG_ORDER_RENEW);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CURRENT);
	assert_false(plan.own_id);
}

/* The clocks drift against each other while a plan of months is waited for. */
static void looks_again_within_the_hour(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DAY);

	(void) state;
	assert_true(plan_of(&p, &f, &none).look_us == f.now_us + US(HOUR));
}

static void a_jump_either_way_moves_the_plan(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DAY);

	(void) state;
	f.believed_s += 20 * DAY;
	assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_RUN);
	f.believed_s -= 20 * DAY;
	assert_true(plan_of(&p, &f, &none).next_us == f.now_us + US(DUE - DAY));
}

static void without_a_method_nothing_is_planned(void **state)
{
	struct tg_renewal_policy p = policy();

	(void) state;
	p.possible = false;
	for (int64_t age = 0; age < 2 * LIFE; age += DAY) {
		struct tg_renewal_facts f = at_age(age);

		assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_REST);
		f.has_current = false;
		f.ordered = true;
		assert_int_equal(plan_of(&p, &f, &none).reason, TG_RENEWAL_NO_METHOD);
	}
}

static void an_order_does_not_wait(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(5);
	struct tg_attempts a =
		failed(9, TG_ENROL_REFUSED, TG_CREDENTIAL_CURRENT, f.now_us, UINT64_MAX);

	(void) state;
	f.ordered = true;
	assert_int_equal(plan_of(&p, &f, &a).act, TG_RENEWAL_RUN);
	assert_int_equal(plan_of(&p, &f, &a).reason, TG_RENEWAL_ORDER);
}

/* --- after failures --------------------------------------------------------------------------- */

static void retries_grow_denser_towards_the_end(void **state)
{
	struct tg_renewal_policy p = policy();

	(void) state;
	for (size_t c = 0; c < TG_ARRAY_SIZE(classes); c++) {
		for (int64_t left = LIFE - DUE; left > 0; left -= left / 20 + 1) {
			struct tg_renewal_facts f = at_age(LIFE - left);
			struct tg_attempts a =
				failed(20, classes[c], TG_CREDENTIAL_CURRENT, f.now_us, UINT64_MAX);
			struct tg_renewal_plan plan = plan_of(&p, &f, &a);
			int64_t most = left / 10 > 1 ? left / 10 : 1;

			assert_int_equal(plan.act, TG_RENEWAL_WAIT);
			assert_true(plan.next_us >= f.now_us + US(1));
			assert_true(plan.next_us <=
				    f.now_us + US(most < 6 * HOUR ? most : 6 * HOUR));
		}
	}
}

static void says_what_the_retry_is_after(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DUE);
	struct tg_attempts a = failed(1, TG_ENROL_RETRY, TG_CREDENTIAL_CURRENT, f.now_us, 0);

	(void) state;
	assert_int_equal(plan_of(&p, &f, &a).reason, TG_RENEWAL_RETRY);
	a = failed(1, TG_ENROL_REFUSED, TG_CREDENTIAL_CURRENT, f.now_us, 0);
	assert_int_equal(plan_of(&p, &f, &a).reason, TG_RENEWAL_SERVICE_REFUSED);
	tg_attempts_rolled_back(&a, f.now_us, 0);
	assert_int_equal(plan_of(&p, &f, &a).reason, TG_RENEWAL_ROLLED_BACK);
}

/* Whatever has happened: with a method, a key and nothing on trial there is a next attempt, and it is near. */
static void never_stops(void **state)
{
	(void) state;
	for (uint64_t i = 0; i < 20000; i++) {
		struct tg_renewal_policy p = policy();
		struct tg_renewal_facts f = at_age((int64_t) (mixed(i) % (uint64_t) (3 * LIFE)));
		struct tg_attempts a =
			failed((unsigned) (mixed(i + 1) % 100), classes[mixed(i + 2) % 4],
			       (enum tg_enrol_credential)(mixed(i + 3) % 2), f.now_us - US(1),
			       mixed(i + 4));
		struct tg_renewal_plan plan;

		p.on_expiry = (enum tg_on_failure)(mixed(i + 5) % 2);
		p.on_refused = (enum tg_on_failure)(mixed(i + 6) % 2);
		f.refused = mixed(i + 7) % 2;
		f.clock_waits = mixed(i + 8) % 2;
		f.has_current = mixed(i + 9) % 4 != 0;
		a.expired_tried = mixed(i + 10) % 2;
		plan = plan_of(&p, &f, &a);
		assert_int_not_equal(plan.act, TG_RENEWAL_REST);
		if (f.believed_s >= T0 + DUE && !f.clock_waits)
			assert_true(plan.next_us <= f.now_us + US(6 * HOUR));
		assert_true(plan.look_us <= f.now_us + US(HOUR));
		/* Nor is the service worn out. */
		if (plan.act == TG_RENEWAL_RUN && a.failures)
			assert_true(plan.next_us >= a.ended_us + TG_ATTEMPT_PAUSE_MIN_US);
	}
}

/* --- expired, refused, key lost --------------------------------------------------------------- */

static void an_expired_certificate_is_tried_once_and_then_hourly(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE);
	struct tg_attempts a = TG_ATTEMPTS_NONE;
	struct tg_renewal_plan plan = plan_of(&p, &f, &a);

	(void) state;
	assert_int_equal(plan.act, TG_RENEWAL_RUN);
	assert_true(plan.expired);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CURRENT);
	tg_attempts_begun(&a, TG_ORDER_RENEW, plan.credential, false, plan.expired, f.now_us);
	tg_attempts_failed(&a, TG_ENROL_REFUSED, f.now_us, UINT64_MAX);
	plan = plan_of(&p, &f, &a);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CURRENT);
	assert_int_equal(plan.reason, TG_RENEWAL_EXPIRED);
	assert_in_range(plan.next_us, f.now_us + US(HOUR), f.now_us + US(HOUR + 600));
}

static void the_claim_follows_on_the_expired_certificate_where_it_may(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE + 5);
	struct tg_attempts a = TG_ATTEMPTS_NONE;
	struct tg_renewal_plan plan;

	(void) state;
	p.on_expiry = TG_ON_FAILURE_CLAIM;
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, true, f.now_us);
	tg_attempts_failed(&a, TG_ENROL_REFUSED, f.now_us, 0);
	plan = plan_of(&p, &f, &a);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CLAIM);
	assert_int_equal(plan.kind, TG_ORDER_RENEW);
	assert_in_range(plan.next_us, f.now_us + US(1), f.now_us + US(11));
	f.now_us = plan.next_us;
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CLAIM, false, true, f.now_us);
	tg_attempts_failed(&a, TG_ENROL_BAD_ANSWER, f.now_us + US(40), UINT64_MAX);
	f.now_us += US(40);
	plan = plan_of(&p, &f, &a);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CLAIM);
	assert_in_range(plan.next_us, f.now_us - US(40) + US(HOUR), f.now_us + US(HOUR + 600));
}

static void that_it_was_tried_is_said_of_one_certificate_only(void **state)
{
	struct tg_attempts a = failed(1, TG_ENROL_REFUSED, TG_CREDENTIAL_CURRENT, BOOT, 0);

	(void) state;
	tg_attempts_see(&a, 8, true);
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, true, BOOT);
	tg_attempts_see(&a, 8, true);
	assert_true(a.expired_tried);
	/* Dropped in its probation: the one before is back, and nobody has shown it to the service. */
	tg_attempts_see(&a, 7, false);
	assert_false(a.expired_tried);
}

/* Back from its box, a gateway is often up before its network is: that must not cost an hour of readings. */
static void what_nobody_answered_does_not_cost_an_expired_gateway_an_hour(void **state)
{
	static const enum tg_enrol_class mute[] = { TG_ENROL_RETRY, TG_ENROL_LOCAL };

	(void) state;
	for (unsigned i = 0; i < 4; i++) {
		struct tg_renewal_policy p = policy();
		struct tg_renewal_facts f = at_age(LIFE + 5);
		struct tg_attempts a = TG_ATTEMPTS_NONE;
		enum tg_enrol_credential with = (enum tg_enrol_credential)(i / 2);
		uint64_t last = 0;

		p.on_expiry = with == TG_CREDENTIAL_CLAIM ? TG_ON_FAILURE_CLAIM : TG_ON_FAILURE_HOLD;
		tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, true, f.now_us);
		tg_attempts_failed(&a, mute[i % 2], f.now_us, UINT64_MAX);
		for (unsigned n = 0; n < 40; n++) {
			struct tg_renewal_plan plan = plan_of(&p, &f, &a);

			assert_int_equal(plan.credential, with);
			assert_in_range(plan.next_us, f.now_us + US(1), f.now_us + US(600));
			last = plan.next_us - f.now_us;
			f.now_us = plan.next_us;
			tg_attempts_begun(&a, TG_ORDER_RENEW, with, false, true, f.now_us);
			tg_attempts_failed(&a, mute[i % 2], f.now_us, UINT64_MAX);
		}
		/* It has backed off all the same; and an answer ends the hurry. */
		assert_true(last > US(290));
		tg_attempts_begun(&a, TG_ORDER_RENEW, with, false, true, f.now_us);
		tg_attempts_failed(&a, TG_ENROL_REFUSED, f.now_us, 0);
		assert_true(plan_of(&p, &f, &a).next_us >= f.now_us + US(HOUR));
	}
}

static void the_claim_follows_on_a_refusal_by_the_broker_where_it_may(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DAY);
	struct tg_renewal_plan plan;

	(void) state;
	f.refused = true;
	f.refused_us = f.now_us;
	/* Held: neither the claim nor a renewal before its time. */
	assert_true(plan_of(&p, &f, &none).next_us == f.now_us + US(DUE - DAY));
	p.on_refused = TG_ON_FAILURE_CLAIM;
	plan = plan_of(&p, &f, &none);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CLAIM);
	assert_int_equal(plan.reason, TG_RENEWAL_REFUSED);
	assert_in_range(plan.next_us, f.now_us + US(1), f.now_us + US(11));
}

static void what_the_broker_refuses_is_shown_to_the_service_hourly_at_most(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DUE + DAY);
	struct tg_attempts a = failed(1, TG_ENROL_RETRY, TG_CREDENTIAL_CURRENT, f.now_us, 0);

	(void) state;
	assert_true(plan_of(&p, &f, &a).next_us < f.now_us + US(10));
	f.refused = true;
	assert_true(plan_of(&p, &f, &a).next_us >= f.now_us + US(HOUR));
}

static void the_claim_follows_on_a_refusal_by_the_service_where_it_may(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DUE + DAY);
	struct tg_attempts a = failed(1, TG_ENROL_REFUSED, TG_CREDENTIAL_CURRENT, f.now_us, 0);
	struct tg_renewal_plan plan;

	(void) state;
	assert_int_equal(plan_of(&p, &f, &a).credential, TG_CREDENTIAL_CURRENT);
	p.on_refused = TG_ON_FAILURE_CLAIM;
	plan = plan_of(&p, &f, &a);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CLAIM);
	/* Not after a certificate that only the broker did not take. */
	tg_attempts_rolled_back(&a, f.now_us, 0);
	assert_int_equal(plan_of(&p, &f, &a).credential, TG_CREDENTIAL_CURRENT);
	/* Nor twice in an hour: the current one fills the time. */
	a = failed(1, TG_ENROL_REFUSED, TG_CREDENTIAL_CURRENT, f.now_us, 0);
	a.claim_us = f.now_us - US(100);
	assert_int_equal(plan_of(&p, &f, &a).credential, TG_CREDENTIAL_CURRENT);
}

/* Over everything that can come together, with the configuration's leave only, and an hour apart. */
static void the_claim_is_never_used_otherwise(void **state)
{
	(void) state;
	for (uint64_t i = 0; i < 50000; i++) {
		struct tg_renewal_policy p = policy();
		struct tg_renewal_facts f = at_age((int64_t) (mixed(i) % (uint64_t) (2 * LIFE)));
		struct tg_attempts a = failed((unsigned) (mixed(i + 1) % 4),
					      classes[mixed(i + 2) % 4], TG_CREDENTIAL_CURRENT,
					      f.now_us - mixed(i + 3) % US(2 * HOUR), mixed(i + 4));
		struct tg_renewal_plan plan;
		bool may;

		p.on_expiry = (enum tg_on_failure)(mixed(i + 5) % 2);
		p.on_refused = (enum tg_on_failure)(mixed(i + 6) % 2);
		p.on_key_lost = (enum tg_on_failure)(mixed(i + 7) % 2);
		f.refused = mixed(i + 8) % 2;
		f.key_lost = mixed(i + 9) % 2;
		f.ordered = mixed(i + 10) % 2;
		a.expired_tried = mixed(i + 11) % 2;
		a.claim_us = mixed(i + 12) % 2 ? f.now_us - mixed(i + 13) % US(2 * HOUR) : 0;
		plan = plan_of(&p, &f, &a);
		if (plan.act == TG_RENEWAL_REST || plan.credential != TG_CREDENTIAL_CLAIM)
			continue;
		may = (f.key_lost && p.on_key_lost == TG_ON_FAILURE_CLAIM) ||
		      (plan.expired && a.expired_tried && p.on_expiry == TG_ON_FAILURE_CLAIM) ||
		      ((f.refused || a.current_refused) && p.on_refused == TG_ON_FAILURE_CLAIM);
		assert_true(may);
		if (a.claim_us && !f.ordered)
			assert_true(plan.next_us >= a.claim_us + US(HOUR));
	}
}

static void a_lost_key_is_held_or_replaced_by_the_claim(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DAY);
	struct tg_renewal_plan plan;

	(void) state;
	f.key_lost = true;
	/* Not by a certificate that cannot sign, however old it is. */
	for (int64_t age = 0; age < 2 * LIFE; age += DAY) {
		f.believed_s = T0 + age;
		assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_REST);
		assert_int_equal(plan_of(&p, &f, &none).reason, TG_RENEWAL_KEY_LOST);
	}
	f.by_claim = f.ordered = true;
	plan = plan_of(&p, &f, &none);
	assert_int_equal(plan.act, TG_RENEWAL_RUN);
	assert_int_equal(plan.kind, TG_ORDER_ENROL);
	f.by_claim = f.ordered = false;
	p.on_key_lost = TG_ON_FAILURE_CLAIM;
	assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_RUN);
	assert_int_equal(plan_of(&p, &f, &none).credential, TG_CREDENTIAL_CLAIM);
}

/* --- on trial --------------------------------------------------------------------------------- */

static void nothing_is_asked_for_beside_a_candidate_until_that_expires(void **state)
{
	struct tg_renewal_policy p = policy();

	(void) state;
	for (int64_t age = 0; age < 2 * LIFE; age += HOUR) {
		struct tg_renewal_facts f = at_age(age);
		struct tg_renewal_plan plan;

		f.has_candidate = true;
		f.candidate_not_after = T0 + LIFE + 5 * DAY;
		f.ordered = true;
		plan = plan_of(&p, &f, &none);
		if (f.believed_s < f.candidate_not_after)
			assert_int_equal(plan.reason, TG_RENEWAL_ON_TRIAL);
		else
			assert_int_equal(plan.act, TG_RENEWAL_RUN);
	}
}

static void a_candidate_beside_a_lost_key_gets_an_hour(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DAY);

	(void) state;
	f.key_lost = f.has_candidate = true;
	f.candidate_not_after = T0 + LIFE;
	f.trial_us = f.now_us;
	assert_int_equal(plan_of(&p, &f, &none).reason, TG_RENEWAL_ON_TRIAL);
	p.on_key_lost = TG_ON_FAILURE_CLAIM;
	assert_true(plan_of(&p, &f, &none).next_us >= f.now_us + US(HOUR));
}

static void a_first_certificate_whose_key_is_lost_is_no_identity(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DAY);

	(void) state;
	f.has_current = false;
	f.has_candidate = true;
	f.candidate_not_after = T0 + LIFE;
	assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_REST);
	f.key_lost = true;
	assert_int_equal(plan_of(&p, &f, &none).kind, TG_ORDER_ENROL);
}

/* --- the client id ---------------------------------------------------------------------------- */

static void a_refused_client_id_is_the_first_half_of_an_attempt(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE + 1);
	struct tg_attempts a = TG_ATTEMPTS_NONE;
	struct tg_renewal_plan plan;

	(void) state;
	/* An expired one has but one try: the other half must not be taken for the next. */
	p.on_expiry = TG_ON_FAILURE_CLAIM;
	tg_attempts_begun(&a, TG_ORDER_RENEW, TG_CREDENTIAL_CURRENT, false, true, f.now_us);
	tg_attempts_failed(&a, TG_ENROL_ID_REFUSED, f.now_us, 0);
	assert_int_equal(a.failures, 0);
	plan = plan_of(&p, &f, &a);
	assert_int_equal(plan.act, TG_RENEWAL_RUN);
	assert_int_equal(plan.reason, TG_RENEWAL_OWN_ID);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CURRENT);
	assert_true(plan.own_id);
	/* Refused as well under its own: that was the attempt, and no loop. */
	tg_attempts_begun(&a, TG_ORDER_RENEW, plan.credential, plan.own_id, true, f.now_us);
	tg_attempts_failed(&a, TG_ENROL_ID_REFUSED, f.now_us, 0);
	assert_int_equal(a.failures, 1);
	plan = plan_of(&p, &f, &a);
	assert_int_equal(plan.act, TG_RENEWAL_WAIT);
	assert_false(plan.own_id);
}

/* --- the clock -------------------------------------------------------------------------------- */

/* What is believed while the clock is suspect is a lower bound, that moves on. */
static void under_a_suspect_clock_the_floor_alone_decides(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DAY);

	(void) state;
	f.floor_s = f.believed_s;
	assert_true(plan_of(&p, &f, &none).next_us == f.now_us + US(DUE - DAY));
	f.believed_s = f.floor_s = T0 + DUE;
	assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_RUN);
}

static void a_clock_to_be_confirmed_is_waited_for_but_not_long(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(DUE);

	(void) state;
	f.clock_waits = true;
	assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_WAIT);
	assert_int_equal(plan_of(&p, &f, &none).reason, TG_RENEWAL_CLOCK);
	assert_true(plan_of(&p, &f, &none).next_us == f.now_us + US(600));
	assert_true(plan_of(&p, &f, &none).look_us <= f.now_us + US(5));
	f.believed_s += 600;
	assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_RUN);
	/* What is proved needs no clock. */
	f = at_age(DUE);
	f.clock_waits = true;
	f.floor_s = T0 + DUE;
	assert_int_equal(plan_of(&p, &f, &none).act, TG_RENEWAL_RUN);
}

static void a_short_life_waits_for_the_clock_for_a_tenth_of_its_window(void **state)
{
	struct tg_renewal_policy p = policy();

	(void) state;
	p.probation_s = 0;
	for (int64_t life = 100; life < 10000; life += 100) {
		struct tg_renewal_facts f = at_age(life * 66 / 100);

		f.not_after = T0 + life;
		f.clock_waits = true;
		assert_true(plan_of(&p, &f, &none).next_us <= f.now_us + US(life * 34 / 1000 + 1));
	}
}

static void nothing_has_expired_by_a_clock_that_waits(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE + DAY);
	struct tg_renewal_plan plan;

	(void) state;
	p.on_expiry = TG_ON_FAILURE_CLAIM;
	f.clock_waits = true;
	plan = plan_of(&p, &f, &none);
	assert_false(plan.expired);
	assert_int_equal(plan.act, TG_RENEWAL_RUN);
	assert_int_equal(plan.credential, TG_CREDENTIAL_CURRENT);
}

/* The proved time can be weeks behind it, and so much longer would the pauses be. */
static void the_pace_is_kept_by_a_clock_that_waits(void **state)
{
	struct tg_renewal_policy p = policy();
	struct tg_renewal_facts f = at_age(LIFE - 1000);
	struct tg_attempts a =
		failed(20, TG_ENROL_RETRY, TG_CREDENTIAL_CURRENT, f.now_us, UINT64_MAX);

	(void) state;
	f.clock_waits = true;
	assert_true(plan_of(&p, &f, &a).next_us <= f.now_us + US(100));
}

/* --- patience --------------------------------------------------------------------------------- */

static void a_helper_has_a_tenth_of_what_is_left_within_bounds(void **state)
{
	(void) state;
	for (int64_t left = 1; left < LIFE; left += left / 9 + 1) {
		struct tg_renewal_facts f = at_age(LIFE - left);
		uint64_t patience = tg_renewal_patience_us(&f);

		assert_in_range(patience, US(15), US(1200));
		assert_true(patience == US(15) || patience <= US(left / 10));
		f.has_current = false;
		assert_true(tg_renewal_patience_us(&f) == US(1200));
	}
}

static void every_reason_has_a_text(void **state)
{
	struct tg_renewal_policy p = policy();
	char text[80];

	(void) state;
	for (unsigned r = 0; r < TG_RENEWAL_REASON_COUNT_; r++)
		assert_true(strlen(tg_renewal_reason_text((enum tg_renewal_reason) r, &p, text,
							  sizeof(text))) > 3);
	assert_string_equal(tg_renewal_reason_text(TG_RENEWAL_AGE, &p, text, sizeof(text)), "66 % "
											    "of "
											    "its "
											    "life");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_pause_is_short_or_longer_than_its_cap),
		cmocka_unit_test(a_smaller_cap_only_brings_the_attempt_closer),
		cmocka_unit_test(a_refusal_is_repeated_far_more_slowly_than_a_network_fault),
		cmocka_unit_test(pauses_spread_over_a_growing_range),
		cmocka_unit_test(failures_are_those_of_the_certificate_that_was_current),
		cmocka_unit_test(when_the_claim_was_answered_is_never_forgotten),
		cmocka_unit_test(waits_until_it_is_due_and_runs_then),
		cmocka_unit_test(looks_again_within_the_hour),
		cmocka_unit_test(a_jump_either_way_moves_the_plan),
		cmocka_unit_test(without_a_method_nothing_is_planned),
		cmocka_unit_test(an_order_does_not_wait),
		cmocka_unit_test(retries_grow_denser_towards_the_end),
		cmocka_unit_test(says_what_the_retry_is_after),
		cmocka_unit_test(never_stops),
		cmocka_unit_test(an_expired_certificate_is_tried_once_and_then_hourly),
		cmocka_unit_test(the_claim_follows_on_the_expired_certificate_where_it_may),
		cmocka_unit_test(that_it_was_tried_is_said_of_one_certificate_only),
		cmocka_unit_test(what_nobody_answered_does_not_cost_an_expired_gateway_an_hour),
		cmocka_unit_test(the_claim_follows_on_a_refusal_by_the_broker_where_it_may),
		cmocka_unit_test(what_the_broker_refuses_is_shown_to_the_service_hourly_at_most),
		cmocka_unit_test(the_claim_follows_on_a_refusal_by_the_service_where_it_may),
		cmocka_unit_test(the_claim_is_never_used_otherwise),
		cmocka_unit_test(a_lost_key_is_held_or_replaced_by_the_claim),
		cmocka_unit_test(nothing_is_asked_for_beside_a_candidate_until_that_expires),
		cmocka_unit_test(a_candidate_beside_a_lost_key_gets_an_hour),
		cmocka_unit_test(a_first_certificate_whose_key_is_lost_is_no_identity),
		cmocka_unit_test(a_refused_client_id_is_the_first_half_of_an_attempt),
		cmocka_unit_test(under_a_suspect_clock_the_floor_alone_decides),
		cmocka_unit_test(a_clock_to_be_confirmed_is_waited_for_but_not_long),
		cmocka_unit_test(a_short_life_waits_for_the_clock_for_a_tenth_of_its_window),
		cmocka_unit_test(nothing_has_expired_by_a_clock_that_waits),
		cmocka_unit_test(the_pace_is_kept_by_a_clock_that_waits),
		cmocka_unit_test(a_helper_has_a_tenth_of_what_is_left_within_bounds),
		cmocka_unit_test(every_reason_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
