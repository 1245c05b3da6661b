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
	[TG_ENROL_PENDING] = { 600 * TG_US_PER_S, 6 * HOUR_US, true },
};

void tg_attempts_begun(struct tg_attempts *a, enum tg_enrol_credential credential, bool own_id,
		       bool expired, uint64_t now_us)
{
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

void tg_attempts_failed(struct tg_attempts *a, enum tg_enrol_class class, uint64_t now_us,
			uint64_t chance)
{
	if (class == TG_ENROL_ID_REFUSED && !a->own_id) {
		a->own_id_due = true;
		return;
	}
	count(a, class, now_us, chance);
	if (a->credential == TG_CREDENTIAL_CURRENT)
		a->current_refused = class == TG_ENROL_REFUSED;
	else if (tg_attempts_unanswered(a))
		a->claim_us = a->claim_before_us;
}

void tg_attempts_rolled_back(struct tg_attempts *a, uint64_t now_us, uint64_t chance)
{
	count(a, TG_ENROL_REFUSED, now_us, chance);
	a->rolled_back = true;
	a->current_refused = false;
}

void tg_attempts_forgive(struct tg_attempts *a)
{
	*a = (struct tg_attempts){
		.claim_us = a->claim_us,
		.claim_before_us = a->claim_before_us,
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
