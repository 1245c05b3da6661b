/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/keeper_internal.h"

#include "base/clock.h"
#include "config/est_base.h"

#include <tidegate/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CALL_BACK_US TG_US_PER_S /* until the link is told once more to come back */

void tg_keeper_wake_at(struct tg_keeper *k, uint64_t at_us)
{
	int r = sd_event_source_set_time(k->timer, at_us);

	if (r >= 0)
		r = sd_event_source_set_enabled(
			k->timer, at_us == TG_US_FOREVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
	if (r < 0)
		tg_log(LOG_ERR, "enrol", "cannot plan the next attempt: %s", strerror(-r));
}

static bool read_slot(struct tg_keeper *k, enum tg_slot slot, unsigned *number,
		      struct tg_manifest *ret)
{
	bool there = tg_generation_read(k->o.state_dir, slot, ret, NULL) == 0;

	*number = there ? ret->number : 0;
	return there;
}

void tg_keeper_read_generations(struct tg_keeper *k)
{
	unsigned before = k->candidate;
	struct tg_manifest m;

	k->facts.has_candidate = read_slot(k, TG_SLOT_CANDIDATE, &k->candidate, &m);
	k->facts.candidate_not_after = k->facts.has_candidate ? m.not_after : 0;
	if (k->candidate != before)
		k->trial_us = tg_clock_boot_us();
	k->facts.has_current = read_slot(k, TG_SLOT_CURRENT, &k->current, &m);
	/* The link's report of it may be on its way. */
	k->on_probation = tg_generation_on_probation(k->o.state_dir, NULL) > 0;
	if (!k->facts.has_current)
		return;
	k->facts.not_before = m.not_before;
	k->facts.not_after = m.not_after;
	k->facts.made = m.made;
}

/* By hand: the request was made, and the certificate was not brought yet. */
static bool waits_for_certificate(struct tg_keeper *k)
{
	struct tg_journal j;
	bool waits = false;

	if (tg_journal_read(k->o.state_dir, &j, NULL) == 0)
		waits = j.step >= TG_STEP_CSR && j.step < TG_STEP_ISSUED;
	explicit_bzero(j.token, sizeof(j.token));
	return waits;
}

static void gather(struct tg_keeper *k)
{
	struct tg_keeper_clock clock = { .believed_s = 0 };

	tg_keeper_read_generations(k);
	k->o.clock(k->o.user, &clock);
	k->synchronised = clock.synchronised;
	k->facts.now_us = tg_clock_boot_us();
	k->facts.believed_s = clock.believed_s;
	k->facts.floor_s = clock.floor_s;
	k->facts.clock_waits = clock.waits;
	k->facts.seed = tg_renewal_seed(k->tpm, k->current);
	k->facts.trial_us = k->trial_us;
	k->facts.refused = k->refused;
	k->facts.refused_us = k->refused_us;
	k->facts.key_lost = k->key_lost;
	k->facts.requested = k->policy.by_hand && waits_for_certificate(k);
	k->facts.ordered = k->ordered;
	k->facts.by_claim = k->by_claim;
}

/* What a service asked of the agent before this start holds, where it is still the same service. */
static void resume(struct tg_keeper *k)
{
	struct tg_journal j;

	if (k->service[0] && tg_journal_read(k->o.state_dir, &j, NULL) == 0) {
		if (strcmp(j.endpoint, k->service) == 0)
			tg_attempts_resume(&k->attempts, &j, k->facts.believed_s, k->facts.now_us,
					   tg_random_u64());
		if (k->attempts.pending)
			memcpy(k->asked_text, j.error_text, sizeof(k->asked_text));
		explicit_bzero(j.token, sizeof(j.token));
	}
	k->begun = true;
}

/* What became of the one before it is of no matter any more. */
static void take_from_operator(struct tg_keeper *k)
{
	k->attempt = (struct tg_keeper_attempt){ .number = k->attempt.number };
	tg_keeper_found(k);
}

/* Once in the life of a certificate, and of an agent. */
static void tell_due(struct tg_keeper *k)
{
	char until[32], generation[16], text[128];

	k->told_due = k->current;
	(void) tg_clock_iso(k->facts.not_after * (int64_t) TG_US_PER_S, until);
	(void) snprintf(generation, sizeof(generation), "%u", k->current);
	(void) tg_renewal_reason_text(k->plan.reason, &k->policy, text, sizeof(text));
	tg_event(TG_EV_RENEWAL_DUE, LOG_NOTICE,
		 "The certificate is due for renewal, which is done by hand", TG_F_GENERATION,
		 generation, TG_F_VALID_UNTIL, until, TG_F_REASON, text, NULL);
}

void tg_keeper_look(struct tg_keeper *k)
{
	unsigned candidate = k->candidate;
	uint64_t at;

	if (tg_keeper_busy(k))
		return;
	tg_keeper_call_back(k);
	gather(k);
	tg_attempts_see(&k->attempts, k->current, k->on_probation);
	if (!k->begun)
		resume(k);
	else if (k->policy.by_hand && k->candidate && k->candidate != candidate)
		take_from_operator(k);
	k->plan = tg_renewal_decide(&k->policy, &k->facts, &k->attempts);
	if (k->plan.act == TG_RENEWAL_RUN)
		return tg_keeper_begin(k);
	if (k->plan.reason == TG_RENEWAL_HAND_DUE && k->told_due != k->current)
		tell_due(k);
	at = k->plan.look_us;
	if (k->away && at > k->facts.now_us + CALL_BACK_US)
		at = k->facts.now_us + CALL_BACK_US;
	tg_keeper_wake_at(k, at);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *user)
{
	struct tg_keeper *k = user;

	(void) s;
	(void) usec;
	if (k->leaving)
		tg_keeper_link_stays(k);
	else
		tg_keeper_look(k);
	return 0;
}

int tg_keeper_new(sd_event *loop, const struct tg_keeper_options *o, struct tg_keeper **ret)
{
	tg_cleanup(tg_freep) struct tg_keeper *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->loop = loop;
	k->o = *o;
	r = sd_event_add_time(loop, &k->timer, CLOCK_BOOTTIME, UINT64_MAX, TG_US_PER_MS, on_timer,
			      k);
	if (r < 0)
		return r;
	(void) sd_event_source_set_description(k->timer, "enrol");
	r = sd_event_source_set_exit_on_failure(k->timer, true);
	if (r < 0) {
		sd_event_source_unref(k->timer);
		return r;
	}
	*ret = tg_take(k);
	return 0;
}

struct tg_keeper *tg_keeper_free(struct tg_keeper *k)
{
	if (!k)
		return NULL;
	sd_event_source_unref(k->timer);
	tg_helper_process_free(k->helper);
	free(k);
	return NULL;
}

/* As the helper notes it; only the service of EST ever names a time to come back at. */
static bool set_service(struct tg_keeper *k, const struct tg_config *cfg)
{
	char base[TG_EST_BASE_MAX], service[sizeof(k->service)] = "";
	bool same;

	if (cfg->enrolment.method == TG_ENROL_EST && tg_est_base(cfg, base, sizeof(base)) == 0)
		(void) snprintf(service, sizeof(service), "%.*s", (int) sizeof(service) - 1, base);
	same = strcmp(service, k->service) == 0;
	memcpy(k->service, service, sizeof(k->service));
	return same;
}

int tg_keeper_configure(struct tg_keeper *k, const struct tg_config *cfg)
{
	uint64_t wait_us = 0;

	/* What somebody thinks about is not decided any sooner for a change of ours. */
	if (set_service(k, cfg) && k->attempts.pending)
		wait_us = k->attempts.wait_us;
	k->policy = tg_renewal_policy(cfg);
	k->stuck = false;
	tg_attempts_forgive(&k->attempts);
	k->attempts.wait_us = wait_us;
	tg_keeper_look(k);
	return 0;
}

/* --- what others tell ------------------------------------------------------------------------- */

static void note_roll_back(struct tg_keeper *k, const struct tg_keeper_link *l)
{
	struct tg_keeper_attempt *a = &k->attempt;

	k->roll_backs = l->roll_backs;
	tg_attempts_rolled_back(&k->attempts, tg_clock_boot_us(), tg_random_u64());
	if (tg_keeper_busy(k))
		return;
	a->rolled_back = true;
	a->class = TG_ENROL_REFUSED;
	a->step = TG_STEP_WRITTEN;
	(void) snprintf(a->text, sizeof(a->text), "rolled back: %s",
			l->roll_back_reason ? l->roll_back_reason : "");
}

void tg_keeper_link(struct tg_keeper *k, const struct tg_keeper_link *l)
{
	bool differs = l->refused != k->refused || l->on_probation != k->told_probation ||
		       l->promotions != k->promotions || l->roll_backs != k->roll_backs;

	if (l->refused && !k->refused)
		k->refused_us = tg_clock_boot_us();
	k->refused = l->refused;
	k->told_probation = l->on_probation;
	k->promotions = l->promotions;
	if (l->roll_backs != k->roll_backs)
		note_roll_back(k, l);
	if (k->leaving && l->suspended)
		tg_keeper_link_left(k);
	else if (differs)
		tg_keeper_look(k);
}

void tg_keeper_tpm(struct tg_keeper *k, const char *tpm, bool key_lost)
{
	if (key_lost == k->key_lost && strcmp(tpm, k->tpm) == 0)
		return;
	(void) snprintf(k->tpm, sizeof(k->tpm), "%s", tpm);
	k->key_lost = key_lost;
	tg_keeper_look(k);
}

void tg_keeper_clock_changed(struct tg_keeper *k)
{
	tg_keeper_look(k);
}

/* --- orders ----------------------------------------------------------------------------------- */

static int order(struct tg_keeper *k, bool by_claim)
{
	tg_attempts_forgive(&k->attempts);
	k->ordered = true;
	k->by_claim = by_claim;
	tg_keeper_look(k);
	/* It has begun, or there is no need any more. */
	k->ordered = k->by_claim = false;
	return 0;
}

int tg_keeper_enrol_now(struct tg_keeper *k, bool key_lost)
{
	if (tg_keeper_busy(k))
		return -EALREADY;
	tg_keeper_read_generations(k);
	if ((k->current || k->candidate) && !key_lost)
		return -EEXIST;
	if (!k->policy.possible)
		return -EOPNOTSUPP;
	return order(k, true);
}

int tg_keeper_renew_now(struct tg_keeper *k)
{
	if (tg_keeper_busy(k))
		return -EALREADY;
	if (!k->policy.possible)
		return -EOPNOTSUPP;
	tg_keeper_read_generations(k);
	if (k->candidate || (k->current && k->on_probation))
		return -EBUSY;
	if (!k->current)
		return -ENOENT;
	if (k->key_lost && k->policy.on_key_lost == TG_ON_FAILURE_HOLD)
		return -EKEYREJECTED;
	return order(k, false);
}

/* --- status ----------------------------------------------------------------------------------- */

static bool is_for_operator(enum tg_renewal_reason reason)
{
	return reason == TG_RENEWAL_KEY_LOST || reason == TG_RENEWAL_HAND_NONE ||
	       reason == TG_RENEWAL_HAND_DUE || reason == TG_RENEWAL_HAND_EXPIRED ||
	       reason == TG_RENEWAL_HAND_REQUEST;
}

static enum tg_keeper_state state_of(const struct tg_keeper *k)
{
	if (tg_keeper_busy(k))
		return k->leaving ? TG_KEEPER_LEAVING : TG_KEEPER_RUNNING;
	if (k->stuck)
		return TG_KEEPER_STUCK;
	if (k->plan.reason == TG_RENEWAL_NO_METHOD)
		return k->current || k->candidate ? TG_KEEPER_SETTLED : TG_KEEPER_OFF;
	if (k->plan.act == TG_RENEWAL_REST && is_for_operator(k->plan.reason))
		return TG_KEEPER_HOLDING;
	if (k->attempts.pending && !k->candidate)
		return TG_KEEPER_PENDING;
	if (k->candidate)
		return TG_KEEPER_SETTLED;
	return k->current && !k->attempts.failures ? TG_KEEPER_SETTLED : TG_KEEPER_WAITING;
}

void tg_keeper_status(struct tg_keeper *k, struct tg_keeper_status *ret)
{
	int current = tg_generation_read(k->o.state_dir, TG_SLOT_CURRENT, &ret->current, NULL);
	int candidate =
		tg_generation_read(k->o.state_dir, TG_SLOT_CANDIDATE, &ret->candidate, NULL);
	bool planned = !tg_keeper_busy(k) &&
		       (k->plan.act == TG_RENEWAL_WAIT || k->policy.by_hand) &&
		       k->plan.next_us != TG_US_FOREVER;

	ret->state = state_of(k);
	ret->next_us = planned ? k->plan.next_us : 0;
	ret->next_s =
		planned ? k->facts.believed_s +
				  (int64_t) ((k->plan.next_us - k->facts.now_us) / TG_US_PER_S)
			: 0;
	ret->reason = tg_keeper_busy(k) ? k->attempt.reason : k->plan.reason;
	(void) tg_renewal_reason_text(ret->reason, &k->policy, ret->reason_text,
				      sizeof(ret->reason_text));
	ret->by_hand = k->policy.by_hand;
	ret->asked = k->attempts.pending ? k->attempts.asked : 0;
	ret->asked_text = k->asked_text;
	ret->attempts = k->attempt.number;
	ret->failures = k->attempts.failures;
	ret->last = k->attempt;
	ret->expired = k->plan.expired;
	ret->has_current = current == 0;
	ret->has_candidate = candidate == 0;
	ret->damaged = current == -EBADMSG || candidate == -EBADMSG;
	ret->has_journal = tg_journal_read(k->o.state_dir, &ret->journal, NULL) == 0;
	if (ret->has_journal)
		explicit_bzero(ret->journal.token, sizeof(ret->journal.token));
}

const char *tg_keeper_state_name(enum tg_keeper_state s)
{
	switch (s) {
	case TG_KEEPER_OFF:
		return "off";
	case TG_KEEPER_SETTLED:
		return "settled";
	case TG_KEEPER_WAITING:
		return "waiting";
	case TG_KEEPER_LEAVING:
		return "leaving";
	case TG_KEEPER_RUNNING:
		return "running";
	case TG_KEEPER_STUCK:
		return "stuck";
	case TG_KEEPER_HOLDING:
		return "holding";
	case TG_KEEPER_PENDING:
		return "pending";
	}
	return "?";
}
