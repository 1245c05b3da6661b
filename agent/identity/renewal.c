/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/renewal.h"

#include "base/clock.h"

#include <math.h>

#define HOUR_S 3600
#define PPM    1000000

/* A manifest's dates are those of X.509: years 0 to 9999. Beyond, products below would overflow. */
#define DATE_MIN INT64_C(-62167219200)
#define DATE_MAX INT64_C(253402300799)

#define YOUNGEST_S    10  /* whatever max-age says: a slip of the pen would be a loop */
#define CLOCK_GRACE_S 600 /* for the clock to be confirmed: as long as timekeeping waits for that */
#define RETRY_CAP_US  (6 * HOUR_S * TG_US_PER_S)
/* Without an identity that serves nothing is published: what the network cures by itself is asked again soon. */
#define SOON_CAP_US (600 * TG_US_PER_S)
#define SLOW_US      (HOUR_S * TG_US_PER_S) /* between two uses of the claim, or of what is refused */
#define TRIAL_US                                                                                   \
	(HOUR_S *                                                                                  \
	 TG_US_PER_S) /* for a candidate beside a key that is lost: is its own lost, too? */
#define SLOW_SPREAD_US  (600 * TG_US_PER_S)    /* on top, so that a fleet does not come as one */
#define CLAIM_SPREAD_US (10 * TG_US_PER_S)     /* before the first use of the claim */
#define LOOK_US         (HOUR_S * TG_US_PER_S) /* the wall clock is slewed against the boot clock */
#define LOOK_WAITING_US (5 * TG_US_PER_S)
#define LOOK_HAND_US    (2 * TG_US_PER_S)
#define LAST_PART       20 /* of its life, before the end of a certificate whose successor is pending */
#define LAST_MIN_S      120
#define LAST_MAX_S      (6 * HOUR_S)
#define PATIENCE_MIN_US (15 * TG_US_PER_S) /* a slow TPM and a slow network */
#define PATIENCE_MAX_US (20 * 60 * TG_US_PER_S)

struct tg_renewal_policy tg_renewal_policy(const struct tg_config *cfg)
{
	return (struct tg_renewal_policy){
		.possible = cfg->enrolment.method == TG_ENROL_AWS_FLEET ||
			    cfg->enrolment.method == TG_ENROL_EST,
		.by_hand = cfg->enrolment.method == TG_ENROL_MANUAL,
		.own_id = cfg->enrolment.method == TG_ENROL_AWS_FLEET,
		.renew_at_ppm = (uint32_t) lround(cfg->rotation.renew_at * (PPM / 100)),
		.jitter_ppm = (uint32_t) lround(cfg->rotation.jitter * (PPM / 100)),
		.max_age_s = (int64_t) (cfg->rotation.max_age_us / TG_US_PER_S),
		.probation_s = (int64_t) (cfg->rotation.probation_us / TG_US_PER_S),
		.on_expiry = cfg->rotation.on_expiry,
		.on_refused = cfg->rotation.on_refused,
		.on_key_lost = cfg->rotation.on_key_lost,
	};
}

uint64_t tg_renewal_seed(const char *tpm, unsigned generation)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *tpm; tpm++)
		h = (h ^ (unsigned char) *tpm) * UINT64_C(0x100000001b3);
	/* The hash alone differs little in its high bits for names that differ in their last letter. */
	h ^= (uint64_t) generation * UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

static int64_t min_s(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t max_s(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_us(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int64_t clamp_date(int64_t t)
{
	return max_s(DATE_MIN, min_s(DATE_MAX, t));
}

/* What the time is at least: what is concluded from it cannot be taken back. */
static int64_t proved_s(const struct tg_renewal_facts *f)
{
	return clamp_date(f->clock_waits ? f->floor_s : f->believed_s);
}

static int64_t base_of(const struct tg_renewal_facts *f)
{
	bool sane = f->made <= f->believed_s && f->made < f->not_after;

	return clamp_date(sane ? max_s(f->not_before, f->made) : f->not_before);
}

int64_t tg_renewal_due(const struct tg_renewal_policy *p, const struct tg_renewal_facts *f,
		       enum tg_renewal_reason *ret_reason)
{
	int64_t base = base_of(f), life = clamp_date(f->not_after) - base, span, age, young;
	/* 24 bits of it: life times that fits, and it is two seconds of an age of 25 years. */
	int64_t draw = (int64_t) (f->seed >> 40);

	*ret_reason = TG_RENEWAL_AGE;
	if (life <= 0)
		return base;
	span = life;
	age = life * p->renew_at_ppm / PPM;
	if (p->max_age_s < age) {
		span = age = p->max_age_s;
		*ret_reason = TG_RENEWAL_MAX_AGE;
	}
	age -= (span * p->jitter_ppm / PPM * draw) >> 24;
	young = max_s(min_s(life, p->max_age_s) / 10, min_s(YOUNGEST_S, life / 2));
	young = max_s(young, min_s(p->probation_s, life / 4));
	return base + max_s(age, young);
}

/* For the pace of attempts: by a clock that waits, too, as coming too late is worse than coming too often. */
static int64_t remaining_s(const struct tg_renewal_facts *f)
{
	int64_t shown = clamp_date(f->not_after) - clamp_date(f->believed_s);

	return shown > 0 ? shown : max_s(0, clamp_date(f->not_after) - proved_s(f));
}

static uint64_t retry_cap_us(const struct tg_renewal_facts *f)
{
	int64_t tenth = remaining_s(f) / 10;

	return tenth < 6 * HOUR_S ? (uint64_t) tenth * TG_US_PER_S : RETRY_CAP_US;
}

uint64_t tg_renewal_patience_us(const struct tg_renewal_facts *f)
{
	/* With the longest pause behind it, two attempts in a row begin within a fifth of what is left. */
	uint64_t tenth = (uint64_t) (remaining_s(f) / 10) * TG_US_PER_S;

	if (!f->has_current || remaining_s(f) == 0 || tenth > PATIENCE_MAX_US)
		return PATIENCE_MAX_US;
	return tenth > PATIENCE_MIN_US ? tenth : PATIENCE_MIN_US;
}

/* --- plans ------------------------------------------------------------------------------------ */

static struct tg_renewal_plan rest(enum tg_renewal_reason reason)
{
	return (struct tg_renewal_plan){ .act = TG_RENEWAL_REST,
					 .reason = reason,
					 .next_us = TG_US_FOREVER,
					 .look_us = TG_US_FOREVER };
}

static enum tg_enrol_kind kind_of(const struct tg_renewal_facts *f)
{
	return f->has_current && !f->key_lost ? TG_ORDER_RENEW : TG_ORDER_ENROL;
}

/*
 * A service that is overloaded or closed is left alone for as long as it asks, but for no longer than the pauses are at which
 * nothing at all is answered: what is left of a certificate is not its to spend.
 */
static uint64_t heeded_us(const struct tg_renewal_facts *f, const struct tg_attempts *a)
{
	uint64_t longest = RETRY_CAP_US;

	if (!a->wait_us || a->pending)
		return 0;
	if (f->has_current)
		longest = remaining_s(f) > 0 ? retry_cap_us(f) : SLOW_US;
	return min_us(a->wait_us, tg_us_add(a->ended_us, longest));
}

/* An attempt at @at_us, or at once when that is past, or is ordered. */
static struct tg_renewal_plan attempt(const struct tg_renewal_facts *f, const struct tg_attempts *a,
				      enum tg_enrol_credential credential,
				      enum tg_renewal_reason reason, uint64_t at_us)
{
	struct tg_renewal_plan plan = {
		.act = TG_RENEWAL_WAIT,
		.reason = reason,
		.kind = kind_of(f),
		.credential = credential,
	};

	if (heeded_us(f, a) > at_us)
		at_us = heeded_us(f, a);
	plan.next_us = at_us;
	plan.look_us = min_us(at_us, tg_us_add(f->now_us, LOOK_US));

	/* What was refused for its client id was only the first half of an attempt. */
	if (a->own_id_due) {
		plan.credential = a->credential;
		plan.own_id = true;
	}
	if (f->ordered || a->own_id_due || at_us <= f->now_us) {
		plan.act = TG_RENEWAL_RUN;
		plan.next_us = plan.look_us = f->now_us;
	}
	if (f->ordered)
		plan.reason = TG_RENEWAL_ORDER;
	else if (a->own_id_due)
		plan.reason = TG_RENEWAL_OWN_ID;
	return plan;
}

static struct tg_renewal_plan with_current(const struct tg_renewal_facts *f,
					   const struct tg_attempts *a,
					   enum tg_renewal_reason reason, uint64_t at_us)
{
	return attempt(f, a, TG_CREDENTIAL_CURRENT, reason, at_us);
}

static uint64_t slowly_us(const struct tg_attempts *a, uint64_t since_us)
{
	return tg_us_add(since_us, SLOW_US + tg_chance_us(a->chance, SLOW_SPREAD_US));
}

/* After an attempt that nobody answered: with a network that is late, an hour would be one of readings. */
static uint64_t soon_us(const struct tg_attempts *a)
{
	return tg_us_add(a->ended_us, tg_attempts_pause_us(a, SOON_CAP_US));
}

/* The claim can do more than any certificate: not within an hour of an answer, and first not before @from_us. */
static uint64_t claim_at_us(const struct tg_renewal_facts *f, const struct tg_attempts *a,
			    uint64_t from_us)
{
	uint64_t from = from_us > a->ended_us ? from_us : a->ended_us;
	uint64_t at =
		tg_us_add(from, TG_ATTEMPT_PAUSE_MIN_US + tg_chance_us(f->seed, CLAIM_SPREAD_US));

	if (a->claim_us && slowly_us(a, a->claim_us) > at)
		at = slowly_us(a, a->claim_us);
	if (a->credential == TG_CREDENTIAL_CLAIM && tg_attempts_unanswered(a) && soon_us(a) > at)
		at = soon_us(a);
	return at;
}

static struct tg_renewal_plan with_claim(const struct tg_renewal_facts *f,
					 const struct tg_attempts *a, enum tg_renewal_reason reason,
					 uint64_t from_us)
{
	return attempt(f, a, TG_CREDENTIAL_CLAIM, reason, claim_at_us(f, a, from_us));
}

static enum tg_renewal_reason retry_reason(const struct tg_attempts *a)
{
	if (a->rolled_back)
		return TG_RENEWAL_ROLLED_BACK;
	return a->class == TG_ENROL_REFUSED ? TG_RENEWAL_SERVICE_REFUSED : TG_RENEWAL_RETRY;
}

/* --- the cases -------------------------------------------------------------------------------- */

static struct tg_renewal_plan decide_first(const struct tg_renewal_facts *f,
					   const struct tg_attempts *a)
{
	uint64_t cap = a->class == TG_ENROL_RETRY ? SOON_CAP_US : RETRY_CAP_US;
	uint64_t at = tg_us_add(a->ended_us, tg_attempts_pause_us(a, cap));

	if (!a->failures)
		return attempt(f, a, TG_CREDENTIAL_CLAIM, TG_RENEWAL_NO_IDENTITY, f->now_us);
	return attempt(f, a, TG_CREDENTIAL_CLAIM, retry_reason(a), at);
}

static struct tg_renewal_plan decide_expired(const struct tg_renewal_policy *p,
					     const struct tg_renewal_facts *f,
					     const struct tg_attempts *a)
{
	/* Some services take it all the same. */
	if (!a->expired_tried)
		return with_current(
			f, a, TG_RENEWAL_EXPIRED,
			tg_us_add(a->ended_us, a->failures ? TG_ATTEMPT_PAUSE_MIN_US : 0));
	if (p->on_expiry == TG_ON_FAILURE_CLAIM)
		return with_claim(f, a, TG_RENEWAL_EXPIRED, a->ended_us);
	return with_current(f, a, TG_RENEWAL_EXPIRED,
			    tg_attempts_unanswered(a) ? soon_us(a) : slowly_us(a, a->ended_us));
}

static struct tg_renewal_plan decide_due(const struct tg_renewal_policy *p,
					 const struct tg_renewal_facts *f,
					 const struct tg_attempts *a, enum tg_renewal_reason why)
{
	uint64_t at = tg_us_add(a->ended_us, tg_attempts_pause_us(a, retry_cap_us(f)));

	if (a->failures)
		why = retry_reason(a);
	/* What the broker refuses the service will hardly take: it is not asked every few minutes. */
	if (f->refused && a->failures && slowly_us(a, a->ended_us) > at)
		at = slowly_us(a, a->ended_us);
	if (a->current_refused && p->on_refused == TG_ON_FAILURE_CLAIM) {
		uint64_t claim = claim_at_us(f, a, a->ended_us);

		if (claim <= at)
			return attempt(f, a, TG_CREDENTIAL_CLAIM, why, claim);
	}
	return with_current(f, a, why, a->failures ? at : f->now_us);
}

/* The instant at which the clock, as it runs now, shows @wall_s. */
static uint64_t when_us(const struct tg_renewal_facts *f, int64_t clock_s, int64_t wall_s)
{
	if (wall_s <= clock_s)
		return f->now_us;
	return tg_us_add(f->now_us, (uint64_t) (wall_s - clock_s) * TG_US_PER_S);
}

static struct tg_renewal_plan decide_by_age(const struct tg_renewal_policy *p,
					    const struct tg_renewal_facts *f,
					    const struct tg_attempts *a)
{
	enum tg_renewal_reason why;
	int64_t due = tg_renewal_due(p, f, &why), shown = clamp_date(f->believed_s), grace = 0;
	struct tg_renewal_plan plan;

	if (f->clock_waits)
		grace = min_s(CLOCK_GRACE_S, (clamp_date(f->not_after) - due) / 10);
	if (f->ordered || proved_s(f) >= due || shown >= due + grace)
		return decide_due(p, f, a, why);
	plan = with_current(f, a, shown >= due ? TG_RENEWAL_CLOCK : why,
			    min_us(when_us(f, proved_s(f), due), when_us(f, shown, due + grace)));
	if (f->clock_waits)
		plan.look_us = min_us(plan.look_us, tg_us_add(f->now_us, LOOK_WAITING_US));
	return plan;
}

static struct tg_renewal_plan on_trial(const struct tg_renewal_facts *f)
{
	struct tg_renewal_plan plan = rest(TG_RENEWAL_ON_TRIAL);

	plan.look_us = min_us(tg_us_add(f->now_us, LOOK_US),
			      when_us(f, proved_s(f), clamp_date(f->candidate_not_after)));
	return plan;
}

static struct tg_renewal_plan decide_key_lost(const struct tg_renewal_policy *p,
					      const struct tg_renewal_facts *f,
					      const struct tg_attempts *a, bool trial)
{
	bool by_claim = p->on_key_lost == TG_ON_FAILURE_CLAIM || f->by_claim;

	/* Not even an expired one could sign: no service can be shown this certificate. */
	if (!by_claim)
		return trial ? on_trial(f) : rest(TG_RENEWAL_KEY_LOST);
	/* The candidate may be the answer to the loss, or was lost with the rest and will never prove itself. */
	return with_claim(f, a, TG_RENEWAL_KEY_LOST, trial ? tg_us_add(f->trial_us, TRIAL_US) : 0);
}

/* What the service has and thinks about is asked for again as it was, by the same order, or not at all. */
static bool goes_on(const struct tg_renewal_policy *p, const struct tg_renewal_facts *f,
		    const struct tg_attempts *a, bool expired)
{
	if (!a->pending || a->kind != kind_of(f))
		return false;
	if (a->credential == TG_CREDENTIAL_CLAIM)
		return a->kind == TG_ORDER_ENROL || p->on_expiry == TG_ON_FAILURE_CLAIM ||
		       p->on_refused == TG_ON_FAILURE_CLAIM;
	/* An expired one may be turned away at the door without a word. */
	return !(expired && a->expired_tried && a->failures);
}

/*
 * Once the certificate has expired nobody can ask for its successor with it, approved or not: a wait that is longer than the
 * rest of its life is broken for one last question.
 */
static uint64_t question_us(const struct tg_renewal_facts *f, const struct tg_attempts *a,
			    bool expired)
{
	int64_t life = clamp_date(f->not_after) - base_of(f),
		margin = max_s(LAST_MIN_S, min_s(LAST_MAX_S, life / LAST_PART)),
		last_s = clamp_date(f->not_after) - margin, shown = clamp_date(f->believed_s);
	uint64_t since = (uint64_t) max_s(0, shown - last_s) * TG_US_PER_S, last;

	if (a->credential == TG_CREDENTIAL_CLAIM || !f->has_current || expired)
		return a->wait_us;
	last = last_s > shown ? when_us(f, shown, last_s)
			      : (since < f->now_us ? f->now_us - since : 0);
	/* It was that one, or later. */
	if (!a->resumed && last < tg_us_add(a->ended_us, TG_WAIT_MIN_S * TG_US_PER_S))
		return a->wait_us;
	return min_us(a->wait_us, last);
}

static struct tg_renewal_plan decide_pending(const struct tg_renewal_facts *f,
					     const struct tg_attempts *a, bool expired)
{
	uint64_t cap = SOON_CAP_US, at = question_us(f, a, expired), retry;

	if (!a->failures)
		return attempt(f, a, a->credential, TG_RENEWAL_PENDING, at);
	if (f->has_current && !expired)
		cap = min_us(cap, retry_cap_us(f));
	/* Who was not reached has not been asked: its time stands. */
	retry = tg_us_add(a->ended_us, tg_attempts_pause_us(a, cap));
	return attempt(f, a, a->credential, retry_reason(a), at > retry ? at : retry);
}

/* --- by hand ---------------------------------------------------------------------------------- */

static struct tg_renewal_plan hand_rest(const struct tg_renewal_facts *f,
					enum tg_renewal_reason reason)
{
	/* A request, and what comes of it, is made behind our back. */
	struct tg_renewal_plan plan = rest(f->requested ? TG_RENEWAL_HAND_REQUEST : reason);

	plan.look_us = tg_us_add(f->now_us, LOOK_HAND_US);
	return plan;
}

static struct tg_renewal_plan decide_by_hand(const struct tg_renewal_policy *p,
					     const struct tg_renewal_facts *f, bool expired)
{
	/* Nobody paces an operator. */
	static const struct tg_attempts none = TG_ATTEMPTS_NONE;
	struct tg_renewal_plan plan, aged;

	if (!f->has_current)
		return hand_rest(f, TG_RENEWAL_HAND_NONE);
	if (f->key_lost)
		return hand_rest(f, TG_RENEWAL_KEY_LOST);
	if (expired)
		return hand_rest(f, TG_RENEWAL_HAND_EXPIRED);
	aged = decide_by_age(p, f, &none);
	if (aged.act == TG_RENEWAL_RUN)
		return hand_rest(f, TG_RENEWAL_HAND_DUE);
	plan = hand_rest(f, aged.reason);
	plan.next_us = aged.next_us;
	return plan;
}

static struct tg_renewal_plan decide(const struct tg_renewal_policy *p,
				     const struct tg_renewal_facts *f, const struct tg_attempts *a,
				     bool expired)
{
	bool trial = f->has_candidate && proved_s(f) < f->candidate_not_after;

	if (p->by_hand)
		return trial && !f->key_lost ? on_trial(f) : decide_by_hand(p, f, expired);
	if (!p->possible)
		return rest(TG_RENEWAL_NO_METHOD);
	if (a->pending && !(trial && !f->key_lost) && goes_on(p, f, a, expired))
		return decide_pending(f, a, expired);
	if (f->key_lost && f->has_current)
		return decide_key_lost(p, f, a, trial);
	/* Without a current one the key is the candidate's: what was never proved is no loss. */
	if (trial && !f->key_lost)
		return on_trial(f);
	if (!f->has_current)
		return decide_first(f, a);
	if (expired)
		return decide_expired(p, f, a);
	if (f->refused && p->on_refused == TG_ON_FAILURE_CLAIM)
		return with_claim(f, a, TG_RENEWAL_REFUSED, f->refused_us);
	return decide_by_age(p, f, a);
}

struct tg_renewal_plan tg_renewal_decide(const struct tg_renewal_policy *p,
					 const struct tg_renewal_facts *f,
					 const struct tg_attempts *a)
{
	bool expired = f->has_current && proved_s(f) >= f->not_after;
	struct tg_renewal_plan plan = decide(p, f, a, expired);

	plan.expired = expired;
	return plan;
}
