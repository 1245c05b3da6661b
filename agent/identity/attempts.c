/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/attempts.h"

#include "base/clock.h"

#include <assert.h>

#define HOUR_US (3600 * TG_US_PER_S)

/*
 * What a retry can cure is retried soon; what an operator must cure is asked rarely, so that the
 * service is not worn out. There a half of each pause is fixed: full jitter would now and then
 * come back at once to who has just refused.
 */
struct pace {
	uint64_t base_us, cap_us;
	bool half_fixed;
};

static const struct pace paces[TG_ENROL_CLASS_COUNT_] = {
	[TG_ENROL_OK] = { 5 * TG_US_PER_S, 6 * HOUR_US, false },
	[TG_ENROL_RETRY] = { 5 * TG_US_PER_S, 6 * HOUR_US, false },
	[TG_ENROL_REFUSED] = { 300 * TG_US_PER_S, 6 * HOUR_US, true },
	[TG_ENROL_BAD_ANSWER] = { 60 * TG_US_PER_S, 6 * HOUR_US, true },
	[TG_ENROL_LOCAL] = { 5 * TG_US_PER_S, 300 * TG_US_PER_S, false },
	[TG_ENROL_ID_REFUSED] = { 300 * TG_US_PER_S, 6 * HOUR_US, true },
	/* No failure: its times are the service's. */
	[TG_ENROL_PENDING] = { TG_WAIT_DEFAULT_S * TG_US_PER_S, 6 * HOUR_US, true },
};

#define WAIT_SPREAD_S    600 /* added to a wait, and at most a sixteenth of it */
#define WAIT_DOUBT_S     3600 /* for a wait whose end a clock that was set has made unknown */
#define CLOCK_SLACK_S    300 /* between the clocks of helper and agent */

void tg_attempts_begun(struct tg_attempts *a, enum tg_enrol_kind kind,
		       enum tg_enrol_credential credential, bool own_id, bool expired,
		       uint64_t now_us)
{
	a->kind = kind;
	a->wait_us = 0;
	a->resumed = false;
	a->own_id = own_id;
	a->own_id_due = false;
	a->about = a->current;
	a->credential = credential;
	if (credential == TG_CREDENTIAL_CLAIM) {
		a->claim_before_us = a->claim_us;
		a->claim_us = now_us;
	} else if (expired) {
		a->expired_tried = true;
	}
}

bool tg_attempts_unanswered(const struct tg_attempts *a)
{
	return a->failures && !a->rolled_back &&
	       (a->class == TG_ENROL_RETRY || a->class == TG_ENROL_LOCAL);
}

static void count(struct tg_attempts *a, enum tg_enrol_class class, uint64_t now_us,
		  uint64_t chance)
{
	if (a->failures < UINT32_MAX)
		a->failures++;
	a->class = class;
	a->ended_us = now_us;
	a->chance = chance;
	a->rolled_back = false;
}

/* Nobody has failed: pauses do not grow, but what the service says does count. */
static void note_pending(struct tg_attempts *a)
{
	a->failures = 0;
	a->pending = true;
	if (a->asked < UINT32_MAX)
		a->asked++;
	a->wait_us = tg_us_add(a->ended_us, TG_WAIT_DEFAULT_S * TG_US_PER_S);
}

void tg_attempts_brought(struct tg_attempts *a)
{
	a->pending = false;
	a->asked = 0;
}

void tg_attempts_failed(struct tg_attempts *a, enum tg_enrol_class class, uint64_t now_us,
			uint64_t chance)
{
	if (class == TG_ENROL_ID_REFUSED && !a->own_id) {
		a->own_id_due = true;
		return;
	}
	count(a, class, now_us, chance);
	if (class == TG_ENROL_PENDING)
		note_pending(a);
	else if (!tg_attempts_unanswered(a))
		tg_attempts_brought(a);
	if (a->credential == TG_CREDENTIAL_CURRENT)
		a->current_refused = class == TG_ENROL_REFUSED;
	else if (tg_attempts_unanswered(a))
		a->claim_us = a->claim_before_us;
}

static uint64_t us_of(int64_t s)
{
	return (uint64_t) s * TG_US_PER_S;
}

/* Of a question that was answered so again and again: whoever says "in a minute" for days is asked less often. */
static int64_t least_wait_s(const struct tg_attempts *a)
{
	int64_t s = TG_WAIT_MIN_S;

	if (!a->pending)
		return 0;
	for (unsigned i = 1; i < a->asked && s < TG_WAIT_DEFAULT_S; i++)
		s *= 2;
	return s < TG_WAIT_DEFAULT_S ? s : TG_WAIT_DEFAULT_S;
}

void tg_attempts_told_to_wait(struct tg_attempts *a, int64_t wait_s)
{
	int64_t s = wait_s < TG_WAIT_MAX_S ? wait_s : TG_WAIT_MAX_S, spread;

	if (s < least_wait_s(a))
		s = least_wait_s(a);
	spread = s / 16 < WAIT_SPREAD_S ? s / 16 : WAIT_SPREAD_S;
	if (s + spread > TG_WAIT_MAX_S)
		spread = TG_WAIT_MAX_S - s;
	a->wait_us = tg_us_add(a->ended_us, us_of(s) + tg_chance_us(a->chance, us_of(spread)));
}

void tg_attempts_resume(struct tg_attempts *a, const struct tg_journal *j, int64_t believed_s,
			uint64_t now_us, uint64_t chance)
{
	int64_t whole = j->retry_after_s < TG_WAIT_MAX_S ? j->retry_after_s : TG_WAIT_MAX_S,
		left = j->retry_at - believed_s;

	if ((!j->pending && !(j->error_class == TG_ENROL_RETRY && j->retry_at)) ||
	    (j->kind == TG_ORDER_RENEW && j->base != a->current))
		return;
	a->resumed = true;
	a->kind = j->kind;
	a->credential = j->credential;
	if (j->error_class != TG_ENROL_OK)
		count(a, j->error_class, now_us, chance);
	if (j->pending) {
		bool failed = j->error_class == TG_ENROL_RETRY || j->error_class == TG_ENROL_LOCAL;

		note_pending(a);
		a->failures = failed;
	}
	if (left > whole + CLOCK_SLACK_S)
		left = whole < WAIT_DOUBT_S ? whole : WAIT_DOUBT_S;
	a->wait_us = left > 0 ? tg_us_add(now_us, us_of(left)) : now_us;
}

void tg_attempts_rolled_back(struct tg_attempts *a, uint64_t now_us, uint64_t chance)
{
	count(a, TG_ENROL_REFUSED, now_us, chance);
	a->rolled_back = true;
	a->current_refused = false;
	tg_attempts_brought(a);
}

void tg_attempts_forgive(struct tg_attempts *a)
{
	*a = (struct tg_attempts){
		.claim_us = a->claim_us,
		.claim_before_us = a->claim_before_us,
		.credential = a->credential,
		.kind = a->kind,
		.pending = a->pending,
		.asked = a->asked,
		.seen = a->seen,
		.current = a->current,
		.about = a->about,
	};
}

void tg_attempts_see(struct tg_attempts *a, unsigned current, bool on_probation)
{
	/* A start in the middle of a probation: what follows is its verdict. */
	if (!a->seen)
		a->about = on_probation ? current - 1 : current;
	else if (current != a->current)
		a->expired_tried = false;
	a->seen = true;
	a->current = current;
	/* Numbers only grow: a smaller one is that of a predecessor which is back. */
	if (current > a->about && !on_probation) {
		tg_attempts_forgive(a);
		tg_attempts_brought(a);
		a->about = current;
	} else if (current < a->about) {
		a->about = current;
	}
}

uint64_t tg_chance_us(uint64_t chance, uint64_t range_us)
{
	/* By multiplication, not by remainder: a range that shrinks must not move the result up. */
	assert(range_us < UINT64_C(1) << 39);
	return range_us * (chance >> 40) >> 24;
}

uint64_t tg_attempts_pause_us(const struct tg_attempts *a, uint64_t cap_us)
{
	const struct pace *p = &paces[a->class];
	uint64_t most = p->cap_us, fixed = 0, pause;

	if (a->failures == 0)
		return 0;
	/* Compared before it is shifted: base << failures would wrap after a long outage. */
	if (a->failures - 1 < 63 && p->base_us <= p->cap_us >> (a->failures - 1))
		most = p->base_us << (a->failures - 1);
	if (most > cap_us)
		most = cap_us;
	if (p->half_fixed)
		fixed = most / 2;
	pause = fixed + tg_chance_us(a->chance, most - fixed);
	return pause > TG_ATTEMPT_PAUSE_MIN_US ? pause : TG_ATTEMPT_PAUSE_MIN_US;
}
