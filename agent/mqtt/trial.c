/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/trial.h"

#include "base/clock.h"

#include <assert.h>

/* Between the tries of a candidate that failed while current connects. */
static const uint64_t try_pauses_us[TG_TRIAL_TRIES - 1] = { 60 * TG_US_PER_S, 300 * TG_US_PER_S };
/* A broker that is about to go closes a few in a row: that is not its word on a certificate. */
#define CLOSED_PAUSE_US (11 * TG_US_PER_S)
#define HOLD_US         (300 * TG_US_PER_S)

enum role {
	ROLE_FIRST,     /* a candidate without a current to go back to */
	ROLE_CANDIDATE, /* one with it */
	ROLE_FRESH,     /* current, on probation */
	ROLE_PREVIOUS,  /* tried in its place */
	ROLE_CURRENT,   /* current, settled */
	ROLES
};

enum rule {
	RULE_PROMOTE,
	RULE_ROLL_BACK,
	RULE_DEMOTE,
	RULE_ASK,       /* previous is asked at once, and current goes when that one connects */
	RULE_STEP_BACK, /* current is asked at once whether it is the network */
	RULE_COUNT,     /* the same of a current on probation, after so many */
	RULE_RETURN,    /* previous fares no better: the new one has its next tries */
	RULE_PEND,
	RULE_GOOD,
	RULE_REFUSE,
	RULE_CLOSE, /* refused when it goes on */
	RULE_RETRY,
};

#define END(x)  [TG_TRIAL_##x]
#define RULE(x) RULE_##x

/*
 * A session that ends after it was proved as candidate or previous has found the disk unwilling to
 * take the verdict: nothing is to be held against it.
 */
static const enum rule rules[ROLES][TG_TRIAL_ENDS] = {
	[ROLE_FIRST] = {
		END(PROVED) = RULE(PROMOTE),
		END(REFUSED) = RULE(PEND),
		END(UNFIT) = RULE(RETRY),
		END(CLOSED) = RULE(PEND),
		END(FAILED) = RULE(RETRY),
		END(DROPPED) = RULE(RETRY),
		END(LOST) = RULE(RETRY),
	},
	[ROLE_CANDIDATE] = {
		END(PROVED) = RULE(PROMOTE),
		END(REFUSED) = RULE(ROLL_BACK),
		END(UNFIT) = RULE(ROLL_BACK),
		END(CLOSED) = RULE(STEP_BACK),
		END(FAILED) = RULE(STEP_BACK),
		END(DROPPED) = RULE(RETRY),
		END(LOST) = RULE(RETRY),
	},
	[ROLE_FRESH] = {
		END(PROVED) = RULE(GOOD),
		END(REFUSED) = RULE(ASK),
		END(UNFIT) = RULE(ASK),
		END(CLOSED) = RULE(COUNT),
		END(FAILED) = RULE(COUNT),
		END(DROPPED) = RULE(ASK),
		END(LOST) = RULE(RETRY),
	},
	[ROLE_PREVIOUS] = {
		END(PROVED) = RULE(DEMOTE),
		END(REFUSED) = RULE(RETURN),
		END(UNFIT) = RULE(RETURN),
		END(CLOSED) = RULE(RETURN),
		END(FAILED) = RULE(RETURN),
		END(DROPPED) = RULE(RETRY),
		END(LOST) = RULE(RETRY),
	},
	[ROLE_CURRENT] = {
		END(PROVED) = RULE(GOOD),
		END(REFUSED) = RULE(REFUSE),
		END(UNFIT) = RULE(RETRY),
		END(CLOSED) = RULE(CLOSE),
		END(FAILED) = RULE(RETRY),
		END(DROPPED) = RULE(RETRY),
		END(LOST) = RULE(RETRY),
	},
};

enum tg_trial_end tg_trial_classify(const struct tg_trial_facts *f)
{
	if (f->proved)
		return f->by_peer && !f->excused ? TG_TRIAL_DROPPED : TG_TRIAL_LOST;
	if (f->connected)
		return f->by_peer || f->silent ? TG_TRIAL_UNFIT : TG_TRIAL_FAILED;
	switch (f->word) {
	case TG_MQTT_WORD_NONE:
		return TG_TRIAL_FAILED;
	case TG_MQTT_WORD_CLOSED:
		return TG_TRIAL_CLOSED;
	case TG_MQTT_WORD_REFUSED:
		return TG_TRIAL_REFUSED;
	}
	return TG_TRIAL_FAILED;
}

void tg_trial_look(struct tg_trial *t, const struct tg_trial_slots *slots)
{
	const struct tg_trial_slots *was = &t->slots;

	if (slots->candidate != was->candidate) {
		t->tries = 0;
		t->unconfirmed = false;
		t->candidate_us = 0;
	}
	if (slots->current != was->current) {
		t->failures = t->closed = 0;
		t->current_us = 0;
		/* One that has just been promoted or gone back to has proved itself. */
		if (!slots->current || (slots->current != was->candidate &&
					slots->current != was->previous))
			t->standing = TG_LINK_UNPROVED;
	}
	if (slots->previous != was->previous)
		t->failures = 0;
	t->slots = *slots;
}

void tg_trial_hurry(struct tg_trial *t)
{
	t->closed = 0;
	t->candidate_us = t->current_us = 0;
}

void tg_trial_hold(struct tg_trial *t, uint64_t now_us)
{
	t->candidate_us = tg_us_add(now_us, HOLD_US);
}

enum tg_link_identity tg_trial_pick(const struct tg_trial *t, uint64_t now_us, uint64_t *ret_us)
{
	const struct tg_trial_slots *s = &t->slots;
	bool candidate = s->candidate && !t->unconfirmed;

	*ret_us = TG_US_FOREVER;
	if (candidate && now_us >= t->candidate_us)
		return TG_LINK_ON_CANDIDATE;
	if (candidate)
		*ret_us = t->candidate_us;
	if (!s->current)
		return TG_LINK_NO_IDENTITY;
	if (now_us >= t->current_us)
		return s->previous && t->failures >= TG_TRIAL_FAILURES ? TG_LINK_ON_PREVIOUS
								       : TG_LINK_ON_CURRENT;
	if (t->current_us < *ret_us)
		*ret_us = t->current_us;
	return TG_LINK_NO_IDENTITY;
}

unsigned tg_trial_generation(const struct tg_trial *t, enum tg_link_identity identity)
{
	switch (identity) {
	case TG_LINK_NO_IDENTITY:
		return 0;
	case TG_LINK_ON_CURRENT:
		return t->slots.current;
	case TG_LINK_ON_CANDIDATE:
		return t->slots.candidate;
	case TG_LINK_ON_PREVIOUS:
		return t->slots.previous;
	}
	return 0;
}

static enum role role_of(const struct tg_trial *t, enum tg_link_identity used)
{
	switch (used) {
	case TG_LINK_ON_CANDIDATE:
		return t->slots.current ? ROLE_CANDIDATE : ROLE_FIRST;
	case TG_LINK_ON_PREVIOUS:
		return ROLE_PREVIOUS;
	case TG_LINK_ON_CURRENT:
	case TG_LINK_NO_IDENTITY:
		break;
	}
	return t->slots.previous ? ROLE_FRESH : ROLE_CURRENT;
}

static void refuse(struct tg_trial *t, uint64_t now_us, uint64_t rnd)
{
	t->standing = TG_LINK_REFUSED;
	t->closed = 0;
	t->current_us = tg_us_add(now_us, TG_TRIAL_HOUR_US + rnd % (TG_TRIAL_HOUR_US / 10));
}

/* Current has had its turn behind a candidate that failed: was it the candidate's fault? */
static void confirm(struct tg_trial *t, bool connected, uint64_t now_us,
		    struct tg_trial_verdict *v)
{
	if (!t->unconfirmed)
		return;
	t->unconfirmed = false;
	/* Most likely the network's, or there is another verdict first: the candidate has another turn. */
	if (!connected || v->act != TG_TRIAL_NOTHING)
		return;
	if (++t->tries >= TG_TRIAL_TRIES)
		v->act = TG_TRIAL_ROLL_BACK;
	else
		t->candidate_us = tg_us_add(now_us, try_pauses_us[t->tries - 1]);
}

static void apply(struct tg_trial *t, enum rule rule, uint64_t now_us, uint64_t rnd,
		  struct tg_trial_verdict *v)
{
	switch (rule) {
	case RULE_PROMOTE:
		v->act = TG_TRIAL_PROMOTE;
		return;
	case RULE_ROLL_BACK:
		*v = (struct tg_trial_verdict){ TG_TRIAL_ROLL_BACK, true };
		return;
	case RULE_DEMOTE:
		*v = (struct tg_trial_verdict){ TG_TRIAL_DEMOTE, true };
		t->failures = 0;
		return;
	case RULE_ASK:
		/* Previous may have ended, or lost its key: the only one that works must not go for it. */
		t->failures = TG_TRIAL_FAILURES;
		v->at_once = true;
		return;
	case RULE_STEP_BACK:
		/* A current that is not due for long cannot tell: the candidate goes on alone. */
		t->unconfirmed = v->at_once = now_us >= t->current_us;
		return;
	case RULE_COUNT:
		/* Asked at once, so that a network that comes back meanwhile does not decide. */
		v->at_once = ++t->failures == TG_TRIAL_FAILURES;
		return;
	case RULE_RETURN:
		t->failures = 0;
		return;
	case RULE_PEND:
		t->standing = TG_LINK_PENDING_ACTIVATION;
		return;
	case RULE_GOOD:
		t->failures = t->closed = 0;
		t->current_us = 0;
		return;
	case RULE_REFUSE:
		refuse(t, now_us, rnd);
		return;
	case RULE_CLOSE:
		if (++t->closed >= TG_TRIAL_CLOSED_MAX)
			refuse(t, now_us, rnd);
		else
			t->current_us = tg_us_add(now_us, t->closed * CLOSED_PAUSE_US);
		return;
	case RULE_RETRY:
		return;
	}
}

struct tg_trial_verdict tg_trial_judge(struct tg_trial *t, enum tg_link_identity used,
				       enum tg_trial_end end, uint64_t now_us, uint64_t rnd)
{
	struct tg_trial_verdict v = { TG_TRIAL_NOTHING, false };
	enum role role = role_of(t, used);

	assert((unsigned) end < TG_TRIAL_ENDS);
	/* Another has taken its place meanwhile, which must not be judged by it. */
	if (t->shown && t->shown != tg_trial_generation(t, used)) {
		v.at_once = true;
		return v;
	}
	apply(t, rules[role][end], now_us, rnd, &v);
	if (end == TG_TRIAL_PROVED)
		t->standing = TG_LINK_GOOD;
	if (role == ROLE_CURRENT && end != TG_TRIAL_CLOSED)
		t->closed = 0;
	if (used == TG_LINK_ON_CURRENT || used == TG_LINK_ON_PREVIOUS)
		confirm(t, end == TG_TRIAL_PROVED, now_us, &v);
	return v;
}

const char *tg_link_standing_name(enum tg_link_standing s)
{
	switch (s) {
	case TG_LINK_UNPROVED:
		return "unproved";
	case TG_LINK_GOOD:
		return "good";
	case TG_LINK_PENDING_ACTIVATION:
		return "pending activation";
	case TG_LINK_REFUSED:
		return "refused";
	}
	return "?";
}
