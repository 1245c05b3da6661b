/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/journal.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What came of the last attempts to get a certificate, as far as the time of
 * the next one depends on it. An attempt is one run of the helper; one whose
 * certificate the broker then refuses has failed as well.
 *
 * Pure: no clock, no I/O; all times are microseconds on CLOCK_BOOTTIME. Lives
 * in memory only: a new start of the agent begins with TG_ATTEMPTS_NONE, and
 * with what the helper's journal has of a wait that the service asked for.
 */
struct tg_attempts {
	unsigned failures;                   /* in a row */
	enum tg_enrol_class class;           /* of the last failure */
	uint64_t ended_us;                   /* the end of the last failure */
	enum tg_enrol_credential credential; /* of the last attempt */
	uint64_t chance;                     /* uniform; drawn at the last failure */
	uint64_t claim_us; /* begin of the last attempt with the claim that was answered, or is under way; 0: none */
	uint64_t claim_before_us; /* of the one before that */
	enum tg_enrol_kind kind;  /* of the last attempt */
	bool pending; /* the service has the request, which somebody has yet to approve */
	unsigned asked;   /* how often in a row it has said so */
	bool resumed; /* that was before this start, and nothing was asked since */
	uint64_t wait_us; /* the service wants to be left alone until then; 0: it did not say */
	bool rolled_back;     /* the last failure was the broker's, not the service's */
	bool current_refused; /* the service has refused the current certificate */
	bool expired_tried;   /* the current certificate has been tried since it expired */
	bool own_id;          /* the last attempt was made under the link's own client id */
	bool own_id_due; /* the service refused the rotation client id: the same again under the link's */
	bool seen;       /* the next two are known */
	unsigned current; /* the generation that is current */
	unsigned about;   /* the one that was when the last attempt was made */
};
#define TG_ATTEMPTS_NONE                                                                           \
	{                                                                                          \
		0                                                                                  \
	}

/* An attempt begins; @expired: with a current certificate that is no longer valid. Never fails. */
void tg_attempts_begun(struct tg_attempts *a, enum tg_enrol_kind kind,
		       enum tg_enrol_credential credential, bool own_id, bool expired,
		       uint64_t now_us);
/*
 * It failed with @class; @chance is uniform over uint64_t. A refusal of the rotation client id is no failure yet: the
 * attempt goes on under the link's own id. Neither is PENDING, which lasts until the service says something else; the
 * next question is after TG_WAIT_DEFAULT_S unless it named a time. Never fails.
 */
void tg_attempts_failed(struct tg_attempts *a, enum tg_enrol_class class, uint64_t now_us,
			uint64_t chance);
/*
 * Behind tg_attempts_failed(): the service wants to be left alone for @wait_s seconds from the end of that attempt.
 * Bounded to TG_WAIT_MAX_S; for a request that is pending to TG_WAIT_MIN_S from below, and more when it has
 * asked for short waits again and again. A little is added by chance, as a service that is overloaded
 * tells a whole fleet the same. Never fails.
 */
void tg_attempts_told_to_wait(struct tg_attempts *a, int64_t wait_s);
/*
 * A start of the agent: what @j tells of the last attempt of the one before, where that was told to wait, or a request
 * is pending. The wait goes on to the same time by the wall clock (@believed_s), if the clock was not set meanwhile: what cannot be is cut to
 * an hour. To be called behind the first tg_attempts_see(). Never fails.
 */
void tg_attempts_resume(struct tg_attempts *a, const struct tg_journal *j, int64_t believed_s,
			uint64_t now_us, uint64_t chance);
/* It brought a certificate: what was pending no longer is. Never fails. */
void tg_attempts_brought(struct tg_attempts *a);
/* It brought a certificate, which the broker then refused or dropped. Never fails. */
void tg_attempts_rolled_back(struct tg_attempts *a, uint64_t now_us, uint64_t chance);
/*
 * Which generation is current (0: none), and whether it is on probation: to be called at the start and before each
 * plan. Failures are forgotten when a successor has passed its probation, and not before, or a broker that
 * refuses or drops each of them would be sent a new one after the shortest of pauses for ever. Never fails.
 */
void tg_attempts_see(struct tg_attempts *a, unsigned current, bool on_probation);
/*
 * What the next pauses depend on has changed (configuration, an order): try again without one. When the claim was
 * used is remembered, and what is pending. Never fails.
 */
void tg_attempts_forgive(struct tg_attempts *a);

/* Whether no answer came of the last attempt, which failed: the service was not bothered. Never fails. */
bool tg_attempts_unanswered(const struct tg_attempts *a);

#define TG_WAIT_MIN_S     60
#define TG_WAIT_DEFAULT_S 600
#define TG_WAIT_MAX_S     86400
/* The lower bound of every pause between two attempts. */
#define TG_ATTEMPT_PAUSE_MIN_US UINT64_C(1000000)
/*
 * From the end of the last failure to the next attempt: 0 when there was none, else capped exponential with
 * jitter, in [TG_ATTEMPT_PAUSE_MIN_US, max(TG_ATTEMPT_PAUSE_MIN_US, @cap_us)]. Grows with @cap_us for the same @a, so a
 * cap that shrinks as time goes by only moves the attempt closer. Never fails.
 */
uint64_t tg_attempts_pause_us(const struct tg_attempts *a, uint64_t cap_us);
/* @range_us times the fraction that @chance is of its own range: [0, range_us). Range below 2^39. Never fails. */
uint64_t tg_chance_us(uint64_t chance, uint64_t range_us);
