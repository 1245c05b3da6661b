/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/keeper_internal.h"

#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEAVE_US (30 * TG_US_PER_S) /* to finish what is in flight and say goodbye */

bool tg_keeper_busy(const struct tg_keeper *k)
{
	return k->helper || k->leaving;
}

static struct tg_keeper_mark read_mark(struct tg_keeper *k, struct tg_journal *ret)
{
	struct tg_keeper_mark m = { .there = false };

	if (tg_journal_read(k->o.state_dir, ret, NULL) == 0)
		m = (struct tg_keeper_mark){ true, ret->attempts, ret->updated };
	explicit_bzero(ret->token, sizeof(ret->token));
	return m;
}

void tg_keeper_call_back(struct tg_keeper *k)
{
	/* Its mailbox is full while a library holds it up: tried again when the keeper looks next. */
	if (k->away && k->o.suspend(k->o.user, false) == 0)
		k->away = false;
}

static void finish(struct tg_keeper *k)
{
	k->helper = tg_helper_process_free(k->helper);
	k->leaving = false;
	k->attempt.running = false;
	k->attempt.ended_us = tg_clock_boot_us();
}

static void tell_failure(const struct tg_keeper_attempt *a)
{
	const char *step = tg_enrol_step_name(a->step);
	char text[TG_FAULT_MAX + 64];

	(void) snprintf(text, sizeof(text), "%s failed at step %s: %s",
			a->kind == TG_ORDER_RENEW ? "Renewal" : "Enrolment", step,
			a->text[0] ? a->text : "no reason is known");
	tg_event(TG_EV_ENROL_FAILED, LOG_WARNING, text, TG_F_STEP, step, TG_F_REASON,
		 tg_enrol_class_name(a->class), NULL);
}

/* The first time it is news, afterwards a line. */
static void tell_pending(struct tg_keeper *k)
{
	const struct tg_keeper_attempt *a = &k->attempt;
	char text[TG_FAULT_MAX + 64];

	memcpy(k->asked_text, a->text, sizeof(k->asked_text));
	(void) snprintf(text, sizeof(text), "The %s waits for the authority's approval: %s",
			a->kind == TG_ORDER_RENEW ? "renewal" : "enrolment", a->text);
	if (k->attempts.asked == 1)
		tg_event(TG_EV_REQUEST_PENDING, LOG_NOTICE, text, TG_F_STEP,
			 tg_enrol_step_name(a->step), TG_F_REASON, a->text, NULL);
	else
		tg_log(LOG_INFO, "enrol", "%s", text);
}

/* What failed is in k->attempt; @wait_s: for how long the service wants to be left alone, NULL: it did not say. */
static void fail(struct tg_keeper *k, const int64_t *wait_s)
{
	struct tg_keeper_attempt *a = &k->attempt;

	finish(k);
	if (a->class == TG_ENROL_ID_REFUSED && !k->policy.own_id)
		a->class = TG_ENROL_REFUSED;
	tg_attempts_failed(&k->attempts, a->class, a->ended_us, tg_random_u64());
	if (k->attempts.own_id_due) {
		tg_log(LOG_NOTICE, "enrol",
		       "the service does not take the rotation client id: the link leaves its "
		       "session for a moment");
		return tg_keeper_look(k);
	}
	if (wait_s)
		tg_attempts_told_to_wait(&k->attempts, *wait_s);
	if (a->class == TG_ENROL_PENDING)
		tell_pending(k);
	else
		tell_failure(a);
	tg_keeper_call_back(k);
	tg_keeper_look(k);
	if (k->plan.act == TG_RENEWAL_WAIT)
		tg_log(LOG_NOTICE, "enrol", "next attempt in %llu s",
		       (unsigned long long) ((k->plan.next_us - k->facts.now_us) / TG_US_PER_S));
}

static void fail_with(struct tg_keeper *k, enum tg_enrol_class class, const char *text)
{
	k->attempt.class = class;
	k->attempt.step = TG_STEP_NONE;
	(void) snprintf(k->attempt.text, sizeof(k->attempt.text), "%s", text);
	fail(k, NULL);
}

/* The helper has failed by itself: its journal says at what. */
static void fail_as_told(struct tg_keeper *k, int code)
{
	struct tg_journal j = { .error_class = TG_ENROL_OK };
	struct tg_keeper_mark was = k->mark, is = read_mark(k, &j);
	char text[80];

	k->stuck = code == TG_EXIT_CONFIG;
	if (k->stuck)
		return fail_with(k, TG_ENROL_LOCAL, "tidegate-provision refuses the configuration");
	/* Without news in the journal it ended before the first step: files, memory, another helper at work. */
	if (!is.there || j.error_class == TG_ENROL_OK ||
	    (was.there && was.attempts == is.attempts && was.updated == is.updated)) {
		(void) snprintf(text, sizeof(text),
				"tidegate-provision failed before its first step, with status %d",
				code);
		return fail_with(k, TG_ENROL_LOCAL, text);
	}
	k->attempt.class = j.error_class;
	k->attempt.step = j.error_step;
	memcpy(k->attempt.text, j.error_text, sizeof(k->attempt.text));
	fail(k, j.retry_at ? &j.retry_after_s : NULL);
}

void tg_keeper_found(struct tg_keeper *k)
{
	char generation[16];

	(void) snprintf(generation, sizeof(generation), "%u",
			k->candidate ? k->candidate : k->current);
	tg_event(TG_EV_ENROLLED, LOG_NOTICE,
		 k->current ? "The next identity is there; trying it with the broker"
			    : "A new identity is there; trying it with the broker",
		 TG_F_GENERATION, generation, NULL);
	k->o.changed(k->o.user);
}

static void succeed(struct tg_keeper *k)
{
	unsigned newest;

	tg_keeper_read_generations(k);
	newest = k->candidate ? k->candidate : k->current;
	/* The link may have found it and judged already; what counts is that it is another than before. */
	if (!newest || newest == k->before)
		return fail_with(k, TG_ENROL_LOCAL,
				 "tidegate-provision ended without a new identity");
	k->stuck = false;
	finish(k);
	tg_attempts_brought(&k->attempts);
	tg_keeper_found(k);
	tg_keeper_call_back(k);
	tg_keeper_look(k);
}

static void on_helper(void *user, enum tg_helper_end end, int code)
{
	struct tg_keeper *k = user;
	char text[80];

	switch (end) {
	case TG_HELPER_EXITED:
		if (code == TG_EXIT_OK)
			return succeed(k);
		return fail_as_told(k, code);
	case TG_HELPER_HUNG:
		return fail_with(k, TG_ENROL_RETRY,
				 "tidegate-provision took too long and was ended");
	case TG_HELPER_KILLED:
		(void) snprintf(text, sizeof(text), "tidegate-provision was ended by signal %d",
				code);
		return fail_with(k, TG_ENROL_LOCAL, text);
	}
}

static void run(struct tg_keeper *k)
{
	const struct tg_helper_order order = {
		.path = k->o.helper,
		.config_path = k->o.config_path,
		.state_dir = k->o.state_dir,
		.kind = k->attempt.kind,
		.credential = k->attempt.credential,
		.own_id = k->attempt.own_id,
		.floor_s = k->facts.floor_s,
		.synchronised = k->synchronised,
		.patience_us = tg_renewal_patience_us(&k->facts),
	};
	struct tg_journal j;
	char text[200];
	int r;

	k->leaving = false;
	k->mark = read_mark(k, &j);
	r = tg_helper_process_start(k->loop, &order, on_helper, k, &k->helper);
	if (r == 0)
		return;
	(void) snprintf(text, sizeof(text), "cannot start %s: %s", k->o.helper, strerror(-r));
	fail_with(k, TG_ENROL_LOCAL, text);
}

void tg_keeper_link_left(struct tg_keeper *k)
{
	run(k);
}

void tg_keeper_link_stays(struct tg_keeper *k)
{
	fail_with(k, TG_ENROL_RETRY, "the link did not leave its session for the renewal");
}

void tg_keeper_begin(struct tg_keeper *k)
{
	const struct tg_renewal_plan *plan = &k->plan;
	uint64_t now = tg_clock_boot_us();

	tg_attempts_begun(&k->attempts, plan->kind, plan->credential, plan->own_id, plan->expired, now);
	k->attempt = (struct tg_keeper_attempt){
		.number = k->attempt.number + 1,
		.running = true,
		.kind = plan->kind,
		.credential = plan->credential,
		.own_id = plan->own_id,
		.reason = plan->reason,
		.begun_us = now,
	};
	k->ordered = k->by_claim = k->stuck = false;
	k->before = k->candidate ? k->candidate : k->current;
	if (!plan->own_id)
		return run(k);
	k->leaving = k->away = true;
	k->leave_by_us = now + LEAVE_US;
	if (k->o.suspend(k->o.user, true) < 0)
		return tg_keeper_link_stays(k);
	tg_keeper_wake_at(k, k->leave_by_us);
}
