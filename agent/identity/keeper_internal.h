/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/identity/keeper.h"

#include "agent/identity/helper_process.h"

/*
 * The keeper's inside, for its two files: keeper.c gathers facts and plans,
 * keeper_attempt.c makes an attempt and takes in its end.
 */
struct tg_keeper_mark {
	bool there;
	unsigned attempts;
	int64_t updated;
};

struct tg_keeper {
	sd_event *loop;
	struct tg_keeper_options o;
	sd_event_source *timer;

	struct tg_renewal_policy policy;
	struct tg_attempts attempts;
	struct tg_renewal_facts facts; /* of the last plan */
	struct tg_renewal_plan plan;
	bool synchronised; /* the clock was, then */
	bool ordered, by_claim;
	bool begun;        /* there was a first look */
	char service[256]; /* where a wait that the journal has was asked for; "": methods that have none */
	char asked_text[TG_FAULT_MAX];
	unsigned told_due; /* the generation whose renewal by hand was told to be due */

	/* the generations, as they were read for the last plan */
	unsigned current, candidate; /* numbers; 0: none */
	bool on_probation;

	/* what others told */
	bool refused, told_probation, key_lost;
	uint64_t refused_us, trial_us; /* since when */
	uint32_t promotions, roll_backs;
	char tpm[17];

	/* the attempt under way, or the last one */
	struct tg_helper_process *helper; /* NULL: none runs */
	struct tg_keeper_attempt attempt;
	struct tg_keeper_mark mark; /* of the journal, before it */
	unsigned before;            /* the newest generation before it */
	bool leaving;               /* the link was told to leave, and has not yet */
	uint64_t leave_by_us;
	bool away;  /* the link must be told to come back */
	bool stuck; /* the helper has refused its configuration */
};

/* Whether an attempt is under way. */
bool tg_keeper_busy(const struct tg_keeper *k);
/* Plans anew from what is known now; begins an attempt when one is due. Not while one is under way. */
void tg_keeper_look(struct tg_keeper *k);
/* Reads the slots' manifests into @k->facts and @k->current, candidate. */
void tg_keeper_read_generations(struct tg_keeper *k);
/* Calls on_timer at @at_us. */
void tg_keeper_wake_at(struct tg_keeper *k, uint64_t at_us);

/* A new generation is there: tells the others. */
void tg_keeper_found(struct tg_keeper *k);
/* Begins what @k->plan says. */
void tg_keeper_begin(struct tg_keeper *k);
/* The link has left its session, or has had long enough for it. */
void tg_keeper_link_left(struct tg_keeper *k);
void tg_keeper_link_stays(struct tg_keeper *k);
/* Tells the link to come back, where that is due. */
void tg_keeper_call_back(struct tg_keeper *k);
