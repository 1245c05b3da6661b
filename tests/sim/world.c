/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NEVER      INT64_MAX
#define TOLD       5 /* violations that are printed, of one run */
#define RELEASE_S  (EPOCH_S - 2 * YEAR)
#define OFFS       64         /* power cuts that are remembered */
#define SAMPLES    500        /* of a window, to see how long the service was there */
#define RECOVERY_S (8 * HOUR) /* longest pause, and what the world needs besides */

struct certificate {
	unsigned number; /* 0: none */
	int64_t not_before, not_after, made;
};

struct world {
	const struct sim_case *c;
	struct sim_result *r;
	int64_t life_s;
	uint64_t rng;
	uint64_t salt; /* of what is drawn by time or number instead of by turn */

	int64_t now, boot; /* world time; that at which the boot clock was 0 */
	int64_t wall_off;  /* of the wall clock, to world time */
	int64_t sync_at, step_at, reboot_at, saved_s;
	struct tg_wallclock clock;

	struct tg_renewal_policy policy;
	struct tg_attempts attempts;
	struct tg_renewal_plan plan;
	struct certificate current, candidate, previous; /* previous: probation */
	struct {
		unsigned number;
		int64_t due;
		uint64_t seed;
	} known; /* of the current one */
	unsigned numbers;

	/* what is under way: NEVER when nothing is */
	int64_t helper_end, verdict_at, probation_end;
	enum tg_enrol_class outcome;
	int64_t refused_since; /* by the broker, for good; NEVER: it does not */

	/* what the service has to approve, and what the helper's journal has of its last words */
	struct {
		bool there;
		enum tg_enrol_kind kind;
		enum tg_enrol_credential credential;
		unsigned base;
		int64_t since, approved_at;
	} request;
	bool says_when;   /* the answer under way names a time: */
	int64_t wait_s;   /* that one */
	struct tg_journal journal;
	bool resumed;     /* the journal was looked at in this boot */
	int64_t asked_to; /* world time before which no question is to come; NEVER: any time */

	/* what the checks need */
	int64_t last_end, last_claim; /* NEVER: none in this boot; of claims those that were answered */
	int64_t claim_begun;
	unsigned tried_expired;       /* a number; in this boot */
	int64_t remaining_then;       /* at last_end, as the gateway saw it */
	uint64_t life_attempts, life_reboots, life_broker, life_questions;
	int64_t life_pending; /* seconds */
	int64_t overdue;     /* the successor was, in seconds */
	int64_t seemed, seen_at; /* how long it seemed to have expired in this life; up to when that is counted */
	int64_t clock_error; /* greatest one in this life, in seconds */
	unsigned expired;    /* number of the last one that was seen to */
	bool last_failed, unheard; /* unheard: no answer came */
	int64_t good_since; /* nothing is in the way of a renewal since then; NEVER: something is */
	struct {
		int64_t from, to;
	} off[OFFS];
	unsigned n_off;
};

uint64_t sim_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t draw(struct world *w)
{
	return w->rng = sim_mix(w->rng);
}

static double share_of(uint64_t x)
{
	return (double) (x >> 11) / 9007199254740992.0;
}

static double chance(struct world *w)
{
	return share_of(draw(w));
}

static int64_t between(struct world *w, int64_t low, int64_t high)
{
	return high > low ? low + (int64_t) (draw(w) % (uint64_t) (high - low + 1)) : low;
}

static int64_t seconds(int64_t us)
{
	return us >= 0 ? us / 1000000 : -((-us + 999999) / 1000000);
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static struct tg_instant instant(const struct world *w)
{
	return (struct tg_instant){ w->now + w->wall_off, (uint64_t) (w->now - w->boot) };
}

static void violated(struct world *w, const char *rule, int64_t a, int64_t b)
{
	if (w->r->violations++ < TOLD)
		printf("  BROKEN  %s (%lld, %lld): %s, life %lld s, generation %u, age %lld s, "
		       "seed %llu\n",
		       rule, (long long) a, (long long) b, w->c->name, (long long) w->life_s,
		       w->current.number, (long long) (seconds(w->now) - w->current.not_before),
		       (unsigned long long) w->salt);
}

/* --- what the gateway is told ----------------------------------------------------------------------------------- */

static struct tg_renewal_facts facts(const struct world *w)
{
	struct tg_instant at = instant(w);
	enum tg_clock_trust trust = tg_wallclock_judge(&w->clock, at);

	return (struct tg_renewal_facts){
		.now_us = at.boot_us,
		.believed_s = tg_wallclock_believed_s(&w->clock, at),
		.floor_s = tg_wallclock_floor_s(&w->clock, at.boot_us),
		.clock_waits = trust == TG_CLOCK_UNCONFIRMED && at.boot_us < 600 * TG_US_PER_S,
		.has_current = w->current.number,
		.has_candidate = w->candidate.number,
		.not_before = w->current.not_before,
		.not_after = w->current.not_after,
		.made = w->current.made,
		.candidate_not_after = w->candidate.not_after,
		.seed = w->known.seed,
		.refused = w->refused_since != NEVER,
		.refused_us = w->refused_since != NEVER && w->refused_since > w->boot
				      ? (uint64_t) (w->refused_since - w->boot)
				      : 0,
	};
}

/* The earliest time that the manual allows, by other arithmetic than the rules': jitter and share of life from notBefore on. */
static double earliest_s(const struct world *w)
{
	double life = (double) (w->current.not_after - w->current.not_before);
	double at = life * (w->policy.renew_at_ppm - (double) w->policy.jitter_ppm) / 1e6;
	double age = (double) w->policy.max_age_s * (1 - w->policy.jitter_ppm / 1e6);

	return (double) w->current.not_before + fmin(at, age) - 2;
}

/* And the latest, in the same way: of what was left when it came, whatever the clock said then. */
static double latest_s(const struct world *w)
{
	double from = fmin((double) w->current.made, (double) seconds(w->now));
	double base = fmax((double) w->current.not_before,
			   from < (double) w->current.not_after ? from : 0);
	double at = ((double) w->current.not_after - base) * w->policy.renew_at_ppm / 1e6;

	return base +
	       fmin(at, fmax((double) w->policy.max_age_s, 2 * (double) w->policy.probation_s)) + 2;
}

/* When the current certificate is due for somebody whose clock is right. */
static int64_t due_s(const struct world *w)
{
	return w->known.due;
}

static void know(struct world *w)
{
	enum tg_renewal_reason why;
	struct tg_renewal_facts f;
	char name[24];

	/* What a clock that was ahead has written counts as soon as it is no longer in the future. */
	if (w->known.number == w->current.number && w->c->clock != CLOCK_STEPS)
		return;
	(void) snprintf(name, sizeof(name), "%016llx", (unsigned long long) w->salt);
	w->known.number = w->current.number;
	w->known.seed = tg_renewal_seed(name, w->current.number);
	f = facts(w);
	f.believed_s = seconds(w->now);
	w->known.due = tg_renewal_due(&w->policy, &f, &why);
	if (w->current.number &&
	    ((double) w->known.due < earliest_s(w) || (double) w->known.due > latest_s(w)))
		violated(w, "due at the wrong time", w->known.due, (int64_t) latest_s(w));
}

/* --- enrolment service ------------------------------------------------------------------------------------------ */

static bool wave(const struct world *w, int64_t t)
{
	int64_t window = w->life_s / 3, piece = window / 4 + 5, at = t / S64(1);

	piece = 5 + (int64_t) (share_of(sim_mix(w->salt ^ 77)) * (double) piece);
	return share_of(sim_mix(w->salt ^ (uint64_t) (at / piece))) < w->c->duty;
}

/* Whether it answers at @t; in the window of the current certificate. */
static bool is_up(const struct world *w, int64_t t)
{
	int64_t due = S64(due_s(w)), end = S64(w->current.not_after), piece = (end - due) / 5, from;
	uint64_t dice = sim_mix(w->salt ^ w->current.number);

	if (!w->current.number)
		return true;
	switch (w->c->outage) {
	case OUTAGE_NONE:
	case OUTAGE_TOSS:
		return true;
	case OUTAGE_FIFTH:
		/* At the beginning, at the end, and anywhere. */
		from = due + (int64_t) ((double) (end - due - piece) *
					fmin(1, fmax(0, share_of(dice) * 1.4 - 0.2)));
		return t >= end || (t >= from && t <= from + piece);
	case OUTAGE_WAVE:
		return wave(w, t);
	case OUTAGE_LONG:
		return dice % 4 != 0 ||
		       t >= end + (int64_t) (share_of(sim_mix(dice)) * 3 * (double) S64(w->life_s));
	}
	return true;
}

/* Retry-After, as it stands in the answer. */
static int64_t draw_wait(struct world *w)
{
	static const int64_t absurd[] = { INT64_MIN / 4, -YEAR, -1,  0,         1,           59,
					  61,            HOUR,  DAY, 10 * YEAR, INT64_MAX / 4 };
	int64_t window = w->life_s / 3;

	if (w->c->waits == WAITS_ABSURD)
		return draw(w) % 3 ? absurd[draw(w) % TG_ARRAY_SIZE(absurd)]
				   : between(w, 0, 2 * DAY);
	return between(w, 60, window / 10 < DAY ? window / 10 : DAY);
}

/* As the helper does, but now and then: the agent does not rely on it. */
static int64_t bounded_wait(struct world *w, int64_t s)
{
	if (draw(w) % 4 == 0)
		return s;
	return s < 60 ? 60 : earliest(s, DAY);
}

/* Somebody has to look at each request once. */
static bool is_approved(struct world *w)
{
	const struct tg_renewal_plan *p = &w->plan;
	int64_t left = w->current.number ? S64(w->current.not_after) - w->now : S64(w->life_s) / 4;

	if (w->c->approval <= 0)
		return true;
	if (!w->request.there || w->request.kind != p->kind ||
	    w->request.credential != p->credential || w->request.base != w->current.number) {
		w->request.there = true;
		w->request.kind = p->kind;
		w->request.credential = p->credential;
		w->request.base = w->current.number;
		w->request.since = w->now;
		w->request.approved_at =
			w->now + (int64_t) (chance(w) * w->c->approval *
					    (double) (left > 0 ? left : S64(w->life_s) / 4));
	}
	return w->now >= w->request.approved_at;
}

static double reachable(const struct world *w)
{
	int64_t due = S64(due_s(w)), end = S64(w->current.not_after);
	unsigned up = 0;

	for (int i = 0; i < SAMPLES; i++) {
		int64_t t = due + (end - due) / SAMPLES * i;
		bool on = true;

		for (unsigned o = 0; o < OFFS && o < w->n_off; o++)
			on &= t < w->off[o].from || t > w->off[o].to;
		up += on && is_up(w, t);
	}
	return w->c->outage == OUTAGE_TOSS ? w->c->duty : (double) up / SAMPLES;
}

/* --- the gateway ------------------------------------------------------------------------------------------------ */

static void check_start(struct world *w)
{
	int64_t since = w->last_end == NEVER ? NEVER : w->now - w->last_end;
	const struct tg_renewal_plan *p = &w->plan;
	bool by_age = p->reason == TG_RENEWAL_AGE || p->reason == TG_RENEWAL_MAX_AGE ||
		      p->reason == TG_RENEWAL_CLOCK;
	int64_t seen = seconds(w->now + (w->wall_off > 0 ? w->wall_off : 0));

	if (by_age && (double) seen < earliest_s(w))
		violated(w, "renewed early", seen, (int64_t) earliest_s(w));
	/* A clock that is set ahead can make the next one due at once. */
	if (since < S64(1) && (w->last_failed || w->wall_off == 0))
		violated(w, "no pause between two attempts", since, 0);
	if (w->current.number && p->credential == TG_CREDENTIAL_CLAIM) {
		w->r->claims++;
		if (!w->c->claim ||
		    (!p->expired && w->refused_since == NEVER && !w->attempts.current_refused))
			violated(w, "the claim was used", 0, 0);
		if (w->last_claim != NEVER && w->now - w->last_claim < S64(HOUR) &&
		    !w->attempts.pending)
			violated(w, "the claim was used within an hour of an answer",
				 w->now - w->last_claim, 0);
		if (p->reason == TG_RENEWAL_EXPIRED && w->tried_expired != w->current.number)
			violated(w, "the claim came before the expired certificate", 0, 0);
	} else if (p->expired) {
		w->tried_expired = w->current.number;
	}
	if (w->candidate.number && seconds(w->now) < w->candidate.not_after && w->wall_off <= 0)
		violated(w, "renewed beside a candidate", 0, 0);
}

/* What is pending is asked for when the service says; before the end of the certificate once more. */
static void check_question(struct world *w)
{
	int64_t left = w->current.not_after - seconds(w->now),
		margin = (w->current.not_after - w->current.not_before) / 20 + 2 * MINUTE;

	if (!w->attempts.pending || w->last_end == NEVER)
		return;
	if (w->now - w->last_end < S64(TG_WAIT_MIN_S) && !w->last_failed)
		violated(w, "asked within a minute", (w->now - w->last_end) / 1000000, 0);
	if (w->asked_to == NEVER || w->now >= w->asked_to ||
	    (w->current.number && left < margin && left > -MINUTE) || w->clock_error > 2)
		return;
	violated(w, "asked before the service wanted it", (w->asked_to - w->now) / 1000000, left);
}

/* What a sensible operator sees to: renewing takes little of the life of what is renewed. */
static int64_t slowly(const struct world *w, int64_t us)
{
	return earliest(us, S64(w->life_s) / 100);
}

static void start_helper(struct world *w)
{
	struct tg_renewal_facts f = facts(w);
	int64_t patience = (int64_t) tg_renewal_patience_us(&f),
		lasts = between(w, S64(1) / 2, slowly(w, S64(5)));
	bool up = is_up(w, w->now) && (w->c->outage != OUTAGE_TOSS || chance(w) < w->c->duty);

	check_start(w);
	check_question(w);
	tg_attempts_begun(&w->attempts, w->plan.kind, w->plan.credential, w->plan.own_id,
			  w->plan.expired, f.now_us);
	if (w->plan.credential == TG_CREDENTIAL_CLAIM)
		w->claim_begun = w->now;
	w->r->attempts++;
	if (w->current.number && w->life_attempts == 0 && w->r->lives < SIM_RENEWALS)
		w->r->begun[w->r->lives] = w->now;
	w->life_attempts++;
	w->outcome = TG_ENROL_OK;
	w->says_when = false;
	if (!up) {
		w->outcome = TG_ENROL_RETRY;
		w->says_when = w->c->busy;
		lasts = between(w, S64(1) / 10, S64(1));
		if (w->c->hangs) /* now and then for ever */
			lasts = draw(w) % 10 ? between(w, S64(20), S64(60)) : S64(DAY);
	} else if (w->plan.credential == TG_CREDENTIAL_CURRENT && w->c->claim &&
		   seconds(w->now) >= w->current.not_after) {
		w->outcome = TG_ENROL_REFUSED;
	} else if (!is_approved(w)) {
		w->outcome = TG_ENROL_PENDING;
		w->says_when = true;
		w->life_questions++;
		w->r->questions++;
	}
	if (lasts > patience) {
		lasts = patience;
		w->outcome = TG_ENROL_RETRY;
		w->says_when = false;
	}
	w->wait_s = w->says_when ? bounded_wait(w, draw_wait(w)) : 0;
	w->helper_end = w->now + lasts;
}

static void take_certificate(struct world *w)
{
	int64_t now = seconds(w->now), judged = tg_wallclock_believed_s(&w->clock, instant(w));
	struct certificate c = { .number = ++w->numbers,
				 .not_before =
					 now - (w->c->backdated ? between(w, 0, w->life_s / 2) : 1),
				 .made = judged };

	c.not_after = c.not_before + w->life_s;
	w->r->issued++;
	/* What has expired by the helper's own clock it does not take. */
	if (judged >= c.not_after) {
		w->outcome = TG_ENROL_BAD_ANSWER;
		return;
	}
	tg_attempts_brought(&w->attempts);
	if (w->request.there)
		w->life_pending += seconds(w->now - w->request.since);
	w->request.there = false;
	w->candidate = c;
	w->verdict_at = w->now + between(w, S64(1) / 5, slowly(w, S64(3)));
	if (w->c->mute && chance(w) < 0.05)
		w->verdict_at += between(w, 0, 3 * S64(w->life_s));
}

/* What the helper notes, and the agent goes by. */
static void note_answer(struct world *w)
{
	struct tg_renewal_facts f = facts(w);
	/* The Date: of the answer tells the helper the time. */
	int64_t now = w->c->clock == CLOCK_BEHIND ? seconds(w->now) : f.believed_s, asked;

	bool pending = w->outcome == TG_ENROL_RETRY ? w->journal.pending && w->request.there
						    : w->outcome == TG_ENROL_PENDING;

	w->journal = (struct tg_journal){ .pending = pending,
					  .kind = w->plan.kind,
					  .credential = w->plan.credential,
					  .base = w->plan.kind == TG_ORDER_RENEW ? w->current.number
										 : 0,
					  .error_class = w->outcome,
					  .retry_at = w->says_when ? now + w->wait_s : 0,
					  .retry_after_s = w->wait_s };
	w->asked_to = NEVER;
	if (w->outcome == TG_ENROL_OK)
		return;
	tg_attempts_failed(&w->attempts, w->outcome, f.now_us, draw(w));
	if (!w->says_when)
		return;
	tg_attempts_told_to_wait(&w->attempts, w->wait_s);
	asked = w->wait_s < 60 ? 60 : earliest(w->wait_s, DAY);
	if (w->outcome == TG_ENROL_PENDING)
		w->asked_to = w->now + S64(asked);
}

static void end_helper(struct world *w)
{
	struct tg_renewal_facts f;

	w->helper_end = NEVER;
	if (w->outcome == TG_ENROL_OK)
		take_certificate(w);
	f = facts(w);
	w->last_end = w->now;
	w->last_failed = w->outcome != TG_ENROL_OK && w->outcome != TG_ENROL_PENDING;
	w->unheard = w->outcome == TG_ENROL_RETRY;
	if (!w->unheard && w->plan.credential == TG_CREDENTIAL_CLAIM)
		w->last_claim = w->claim_begun;
	w->remaining_then = w->current.not_after - f.believed_s;
	note_answer(w);
}

/* A successor has come: how close was it? */
static void note_left(struct world *w)
{
	int64_t left = w->current.not_after - seconds(w->now);
	double share = (double) left / (double) (w->current.not_after - w->current.not_before);

	if (left >= 0 && share < w->r->worst_left) {
		w->r->worst_left = share;
		w->r->worst_left_s = left;
	}
	w->overdue = left < 0 ? -left : 0;
	if (w->overdue > w->r->longest_gap_s)
		w->r->longest_gap_s = w->overdue;
}

/* It has passed its probation: what did it take? */
static void close_life(struct world *w)
{
	double life = (double) (w->current.not_after - w->current.not_before);
	/* By the caps of the pauses, with half as much again for chance: see renewal.c. */
	double bound = 100 + 50 * log(1 + life / 10) + life / 7200.0 +
		       20.0 * (double) w->life_reboots + (double) w->overdue / 1800 +
		       (double) seconds(w->seemed) / 200;

	w->r->lives++;
	if (w->life_attempts > w->r->most_attempts)
		w->r->most_attempts = w->life_attempts;
	if ((double) (w->life_attempts - w->life_questions) > bound)
		violated(w, "too many attempts in one life", (int64_t) w->life_attempts,
			 (int64_t) bound);
	/* Minutes at first, which grow to ten where it always says "at once". */
	if (w->life_questions > 10 + 2 * w->life_reboots + (uint64_t) w->life_pending / 400)
		violated(w, "too many questions in one life", (int64_t) w->life_questions,
			 w->life_pending);
	w->life_attempts = w->life_reboots = w->life_broker = w->life_questions = 0;
	w->life_pending = 0;
	w->clock_error = w->overdue = w->seemed = 0;
}

static void promote(struct world *w)
{
	int64_t quarter = (w->candidate.not_after - w->candidate.not_before) / 4;

	if (w->current.number)
		note_left(w);
	else
		w->life_attempts = w->life_questions = 0;
	if (w->probation_end != NEVER)
		close_life(w);
	w->previous = w->current;
	w->current = w->candidate;
	w->candidate = (struct certificate){ .number = 0 };
	w->probation_end =
		w->now + S64(w->policy.probation_s < quarter ? w->policy.probation_s : quarter);
	if (!w->previous.number)
		w->probation_end = NEVER;
	w->refused_since = NEVER;
	(void) tg_wallclock_raise(&w->clock, TG_FLOOR_CERTIFICATE, w->current.not_before,
				  instant(w).boot_us);
}

static void fail_with_broker(struct world *w)
{
	w->life_broker++;
	w->last_end = w->now;
	w->last_failed = true;
	w->unheard = false;
	w->remaining_then = w->current.not_after - facts(w).believed_s;
	tg_attempts_rolled_back(&w->attempts, facts(w).now_us, draw(w));
}

/* The broker's verdict on the candidate. */
static void judge(struct world *w)
{
	w->verdict_at = NEVER;
	if (w->current.number &&
	    (chance(w) < w->c->broker || seconds(w->now) >= w->candidate.not_after)) {
		w->candidate = (struct certificate){ .number = 0 };
		fail_with_broker(w);
		return;
	}
	promote(w);
}

static void end_probation(struct world *w)
{
	struct certificate previous = w->previous;

	w->probation_end = NEVER;
	w->previous = (struct certificate){ .number = 0 };
	if (seconds(w->now) < previous.not_after && chance(w) < w->c->drops) {
		w->current = previous;
		return fail_with_broker(w);
	}
	close_life(w);
	if (chance(w) < w->c->broker / 50)
		w->refused_since = w->now;
}

/* --- time and power --------------------------------------------------------------------------------------------- */

static void start(struct world *w)
{
	w->boot = w->now - S64(20);
	if (w->c->clock == CLOCK_BEHIND)
		w->wall_off = S64(RELEASE_S) - w->now;
	tg_wallclock_init(&w->clock, RELEASE_S, instant(w));
	if (w->saved_s)
		(void) tg_wallclock_raise(&w->clock, TG_FLOOR_SAVED, w->saved_s, 0);
	if (w->current.number)
		(void) tg_wallclock_raise(&w->clock, TG_FLOOR_CERTIFICATE, w->current.not_before,
					  0);
	w->attempts = (struct tg_attempts) TG_ATTEMPTS_NONE;
	w->resumed = false;
	w->helper_end = NEVER;
	w->last_end = w->last_claim = NEVER;
	w->tried_expired = 0;
	if (w->candidate.number)
		w->verdict_at = w->now + between(w, S64(1), S64(10));
	w->sync_at = w->c->clock == CLOCK_GOOD || w->c->clock == CLOCK_STEPS
			     ? w->now + between(w, 0, S64(900))
			     : NEVER;
	w->reboot_at = NEVER;
	if (w->c->reboot_every)
		w->reboot_at =
			w->now + S64(5) + between(w, 0, 2 * S64(w->life_s / w->c->reboot_every));
}

static void reboot(struct world *w)
{
	int64_t off = between(w, S64(15), S64(w->life_s < HOUR ? 20 : 120));

	if (w->c->power_cuts && draw(w) % 20 == 0)
		off = between(w, 0, S64(w->life_s));
	w->off[w->n_off++ % OFFS].from = w->now;
	w->off[(w->n_off - 1) % OFFS].to = w->now + off;
	w->now += off;
	w->r->reboots++;
	w->life_reboots++;
	start(w);
}

static void synchronise(struct world *w)
{
	w->sync_at = NEVER;
	w->wall_off = 0;
	tg_wallclock_synchronise(&w->clock, true, instant(w));
	w->saved_s = seconds(w->now);
}

/* Somebody sets the clock: a little, or by years. */
static void step(struct world *w)
{
	double far = pow(10, chance(w) * 8);

	w->step_at = w->now + between(w, S64(1), 2 * S64(w->life_s));
	w->wall_off += (int64_t) (draw(w) & 1 ? far : -far) * 1000000;
	tg_wallclock_synchronise(&w->clock, false, instant(w));
	w->sync_at = w->now + between(w, S64(10), S64(w->life_s) / 10);
}

/* An answered claim is not to be seen again for an hour, whatever has failed since. */
static bool claim_rests(const struct world *w)
{
	return w->plan.credential == TG_CREDENTIAL_CLAIM && w->last_claim != NEVER &&
	       w->now - w->last_claim < S64(HOUR + 700);
}

static void check_wait(struct world *w)
{
	const struct tg_renewal_plan *p = &w->plan;
	int64_t next = p->next_us == TG_US_FOREVER ? NEVER : w->boot + (int64_t) p->next_us,
		allowed;
	bool due = w->current.number && !w->candidate.number && seconds(w->now) >= due_s(w);

	if (p->act == TG_RENEWAL_REST &&
	    (!w->candidate.number || (w->wall_off == 0 && !facts(w).clock_waits &&
				      seconds(w->now) > w->candidate.not_after + 700)))
		violated(w, "at rest without a reason", (int64_t) p->reason, 0);
	if (w->attempts.pending && p->act == TG_RENEWAL_WAIT) {
		if (next - (w->last_end == NEVER ? w->boot : w->last_end) > S64(DAY + 1))
			violated(w, "waits for longer than a day", (next - w->now) / 1000000, 0);
		return;
	}
	if (!due || w->wall_off != 0 || w->clock_error > 2 || w->last_end == NEVER ||
	    p->reason == TG_RENEWAL_CLOCK)
		return;
	allowed = w->remaining_then / 10 < 6 * HOUR ? w->remaining_then / 10 : 6 * HOUR;
	if (p->expired && w->unheard && !claim_rests(w) && allowed < (w->c->busy ? HOUR : 600))
		allowed = w->c->busy ? HOUR : 600;
	else if ((p->expired || w->refused_since != NEVER) && allowed < HOUR + 700)
		allowed = HOUR + 700;
	if (allowed < 1)
		allowed = facts(w).clock_waits ? 6 * HOUR : 1;
	if (next - w->last_end > S64(allowed + 2) && next > w->now)
		violated(w, "idle though due", (next - w->last_end) / 1000000, allowed);
}

static void check_expiry(struct world *w)
{
	double there;
	int64_t error = facts(w).believed_s - seconds(w->now);

	if (llabs(error) > w->clock_error)
		w->clock_error = llabs(error);
	if (!w->current.number || w->expired == w->current.number ||
	    w->now < S64(w->current.not_after))
		return;
	w->expired = w->current.number;
	w->r->expired++;
	there = reachable(w);
	/* With a lying clock or a broker that refuses it is not the service alone that counts. */
	if (there < 0.2 || w->life_broker || w->refused_since != NEVER ||
	    w->clock_error > w->life_s / 50 + 2)
		return;
	w->r->broken++;
	if (w->c->promise == STRICT)
		violated(w, "expired though the service was there", (int64_t) (there * 1000), 0);
}

/* With nothing in its way for hours, a gateway has a certificate that is valid and not overdue. */
static void check_recovery(struct world *w)
{
	bool good = w->wall_off == 0 && w->c->approval <= 0 && is_up(w, w->now) && w->refused_since == NEVER &&
		    w->c->broker == 0 && w->c->drops == 0 && !w->c->mute &&
		    w->c->outage != OUTAGE_TOSS && w->c->outage != OUTAGE_WAVE;

	if (!good)
		w->good_since = NEVER;
	else if (w->good_since == NEVER)
		w->good_since = w->now;
	if (w->good_since == NEVER || !w->current.number ||
	    w->now - w->good_since < S64(RECOVERY_S) || w->now - w->boot < S64(RECOVERY_S))
		return;
	if (seconds(w->now) > w->current.not_after ||
	    seconds(w->now) > due_s(w) + RECOVERY_S + (w->current.not_after - due_s(w)) / 2)
		violated(w, "does not recover", seconds(w->now) - w->current.not_after, 0);
}

static int64_t next_event(const struct world *w)
{
	int64_t t = earliest(w->helper_end, w->verdict_at);

	if (w->helper_end == NEVER && w->plan.look_us != TG_US_FOREVER)
		t = earliest(t, w->boot + (int64_t) w->plan.look_us);
	t = earliest(t, earliest(w->probation_end, w->reboot_at));
	t = earliest(t, earliest(w->sync_at, w->step_at));
	if (w->expired != w->current.number)
		t = earliest(t, S64(w->current.not_after));
	return t > w->now ? t : w->now;
}

static void happen(struct world *w)
{
	if (w->now >= w->reboot_at)
		reboot(w);
	else if (w->now >= w->step_at)
		step(w);
	else if (w->now >= w->sync_at)
		synchronise(w);
	else if (w->now >= w->helper_end)
		end_helper(w);
	else if (w->now >= w->verdict_at)
		judge(w);
	else if (w->now >= w->probation_end)
		end_probation(w);
}

/* What the keeper does whenever something has changed. */
static void look(struct world *w)
{
	struct tg_renewal_facts f;

	know(w);
	if (w->plan.expired)
		w->seemed += w->now - w->seen_at;
	w->seen_at = w->now;
	if (w->helper_end != NEVER)
		return;
	tg_attempts_see(&w->attempts, w->current.number, w->probation_end != NEVER);
	f = facts(w);
	if (!w->resumed)
		tg_attempts_resume(&w->attempts, &w->journal, f.believed_s, f.now_us, draw(w));
	w->resumed = true;
	w->plan = tg_renewal_decide(&w->policy, &f, &w->attempts);
	if (w->plan.act == TG_RENEWAL_RUN)
		start_helper(w);
	else
		check_wait(w);
}

void sim_run(const struct sim_case *c, int64_t life_s, int64_t length_s, uint64_t max_lives,
	     uint64_t seed, struct sim_result *ret)
{
	struct world w = {
		.c = c,
		.r = ret,
		.life_s = life_s,
		.rng = seed,
		.salt = seed,
		.now = S64(EPOCH_S),
		.step_at = c->clock == CLOCK_STEPS ? S64(EPOCH_S) + S64(life_s) / 3 : NEVER,
		.verdict_at = NEVER,
		.probation_end = NEVER,
		.refused_since = NEVER,
		.good_since = NEVER,
		.asked_to = NEVER,
		.policy = { .possible = true,
			    .renew_at_ppm = 660000,
			    .jitter_ppm = 50000,
			    .max_age_s = c->max_age_s ? c->max_age_s : 90 * DAY,
			    .probation_s = 120,
			    .on_expiry = c->claim ? TG_ON_FAILURE_CLAIM : TG_ON_FAILURE_HOLD,
			    .on_refused = c->claim ? TG_ON_FAILURE_CLAIM : TG_ON_FAILURE_HOLD },
	};

	start(&w);
	while (w.now < S64(EPOCH_S + length_s) && ret->lives < max_lives) {
		look(&w);
		w.now = next_event(&w);
		happen(&w);
		check_expiry(&w);
		check_recovery(&w);
		ret->events++;
	}
}
