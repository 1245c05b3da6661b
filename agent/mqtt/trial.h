/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mqtt/session.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which identity the link tries next, and what the end of an attempt says
 * about it: a candidate on its trial, a new current on probation, a current
 * that the broker does not want any more.
 *
 * A *definite* failure is the broker's own word, or its conduct once it had
 * accepted us. An *indefinite* one could be the network: it counts against an
 * identity only when the other one connects right after it. A current on
 * probation goes for neither before the previous one has connected.
 *
 * Pure: no clock, no I/O, no allocation. Times are microseconds on
 * CLOCK_BOOTTIME.
 */
enum tg_link_identity {
	TG_LINK_NO_IDENTITY,
	TG_LINK_ON_CURRENT,
	TG_LINK_ON_CANDIDATE,
	TG_LINK_ON_PREVIOUS, /* current is on probation and cannot connect: is it its fault? */
};

/* What the broker has shown to think of current, or without one of the candidate. */
enum tg_link_standing {
	TG_LINK_UNPROVED, /* not yet known: no session has proved itself since it came */
	TG_LINK_GOOD,
	TG_LINK_PENDING_ACTIVATION, /* never proved, and closed or refused: just-in-time registration
				       does so; tried again from 1 s to 5 min */
	TG_LINK_REFUSED,            /* proved once, and refused now: tried at most once an hour */
};
/* "unproved", "good", "pending activation", "refused". Never NULL. */
const char *tg_link_standing_name(enum tg_link_standing s);

#define TG_TRIAL_TRIES      3 /* indefinite failures of a candidate, each with current connecting behind it */
#define TG_TRIAL_FAILURES   2 /* of a current on probation in a row, before previous is asked */
#define TG_TRIAL_CLOSED_MAX 3 /* closed before CONNACK in a row, of a current */
#define TG_TRIAL_HOUR_US    (UINT64_C(3600) * 1000 * 1000)

/* How an attempt to have a session went, or how the session ended. */
enum tg_trial_end {
	TG_TRIAL_PROVED,  /* CONNACK, SUBACK, PUBACK, where it is asked for the echo: it goes on */
	TG_TRIAL_REFUSED, /* the broker's word: TLS alert about our certificate, CONNACK */
	TG_TRIAL_UNFIT,   /* accepted; then denied, dropped or left without an answer before it was proved */
	TG_TRIAL_CLOSED,  /* closed before CONNACK, without a word */
	TG_TRIAL_FAILED,  /* network, name, TPM, files: nobody's fault that is known */
	TG_TRIAL_DROPPED, /* the broker ended a session that was proved */
	TG_TRIAL_LOST,    /* such a session ended otherwise */
};
#define TG_TRIAL_ENDS 7

/* What is known of an end. */
struct tg_trial_facts {
	bool connected, proved; /* how far it came */
	bool by_peer;           /* the connection was ended by the other side, or it denied something */
	bool silent;            /* connected, and no answer in time */
	bool excused;           /* something was in flight that may be denied to any identity */
	enum tg_mqtt_word word;
};
enum tg_trial_end tg_trial_classify(const struct tg_trial_facts *f);

/* Generation numbers, 0 for none. */
struct tg_trial_slots {
	unsigned current, candidate;
	unsigned previous; /* 0 as well when current is not on probation */
};

struct tg_trial {
	struct tg_trial_slots slots;
	enum tg_link_standing standing;
	unsigned shown;    /* the generation that the broker was shown last; 0: not known */
	unsigned tries;    /* of the candidate */
	unsigned failures; /* of a current on probation, in a row */
	unsigned closed;   /* of a current, in a row */
	bool unconfirmed;  /* the candidate failed, and current has not shown that it is not the network */
	uint64_t candidate_us, current_us; /* not to be tried before */
};
#define TG_TRIAL_INIT { .standing = TG_LINK_UNPROVED }

/* What is on the disk now. An identity that is new is not held to what another did. Never fails. */
void tg_trial_look(struct tg_trial *t, const struct tg_trial_slots *slots);
/* Forgets pauses, as something has changed that may cure what they are for. Never fails. */
void tg_trial_hurry(struct tg_trial *t);
/* What the disk does not take is not asked for again for a while: the candidate waits. Never fails. */
void tg_trial_hold(struct tg_trial *t, uint64_t now_us);
/*
 * The identity to connect with now. TG_LINK_NO_IDENTITY: none at this time; @ret_us is then when
 * the first may be, UINT64_MAX for never. Never fails.
 */
enum tg_link_identity tg_trial_pick(const struct tg_trial *t, uint64_t now_us, uint64_t *ret_us);

enum tg_trial_act {
	TG_TRIAL_NOTHING,
	TG_TRIAL_PROMOTE,
	TG_TRIAL_ROLL_BACK, /* the candidate goes */
	TG_TRIAL_DEMOTE,    /* previous is current again */
};
struct tg_trial_verdict {
	enum tg_trial_act act;
	bool at_once; /* the next connect need not wait for the back-off */
};
/* The number of the generation that @identity stands for; 0 for none. Never fails. */
unsigned tg_trial_generation(const struct tg_trial *t, enum tg_link_identity identity);
/*
 * What follows from @end of a session or attempt under @used; counts it. @rnd is uniform: those who are refused
 * together do not come back together. Nothing when the slot has another generation now than was shown. Never fails.
 */
struct tg_trial_verdict tg_trial_judge(struct tg_trial *t, enum tg_link_identity used,
				       enum tg_trial_end end, uint64_t now_us, uint64_t rnd);
