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
 * in memory only: a new start of the agent begins with TG_ATTEMPTS_NONE.
 */
struct tg_attempts {
	unsigned failures;                   /* in a row */
	enum tg_enrol_class class;           /* of the last failure */
	uint64_t ended_us;                   /* the end of the last failure */
	enum tg_enrol_credential credential; /* of the last attempt */
	uint64_t chance;                     /* uniform; drawn at the last failure */
	uint64_t claim_us; /* begin of the last attempt with the claim that was answered, or is under way; 0: none */
	uint64_t claim_before_us; /* of the one before that */
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
void tg_attempts_begun(struct tg_attempts *a, enum tg_enrol_credential credential, bool own_id,
		       bool expired, uint64_t now_us);
/*
 * It failed with @class; @chance is uniform over uint64_t. A refusal of the rotation client id is no failure yet: the
 * attempt goes on under the link's own id. Never fails.
 */
void tg_attempts_failed(struct tg_attempts *a, enum tg_enrol_class class, uint64_t now_us,
			uint64_t chance);
/* It brought a certificate, which the broker then refused or dropped. Never fails. */
void tg_attempts_rolled_back(struct tg_attempts *a, uint64_t now_us, uint64_t chance);
/*
 * Which generation is current (0: none), and whether it is on probation: to be called at the start and before each
 * plan. Failures are forgotten when a successor has passed its probation, and not before, or a broker that
 * refuses or drops each of them would be sent a new one after the shortest of pauses for ever. Never fails.
 */
void tg_attempts_see(struct tg_attempts *a, unsigned current, bool on_probation);
/* What the next pauses depend on has changed (configuration, an order): try again without one. When the claim was used is
 * remembered. Never fails. */
void tg_attempts_forgive(struct tg_attempts *a);

/* Whether no answer came of the last attempt, which failed: the service was not bothered. Never fails. */
bool tg_attempts_unanswered(const struct tg_attempts *a);

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
