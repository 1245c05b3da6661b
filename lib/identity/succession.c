/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/generation.h"

#include "identity/generations.h"

#include <errno.h>

/*
 * What becomes of a candidate, step by step. Each step is durable before the next begins, and the
 * order is what makes a power cut harmless (recover.c tells what is left apart):
 *
 *	promote		previous -> old current; current -> candidate (here it counts); candidate removed
 *	roll back	outcome "rejected" (here it counts); candidate removed; its key stripped
 *	demote		outcome "rejected" of current (here it counts); current -> previous; previous
 *			removed; the failed one's key stripped
 *	retire		outcome "retired" of previous (here it counts); its key stripped
 *
 * An outcome that cannot be written, as the disk is full, keeps nothing from going on: what counts
 * is then the first link that moves, or the key that goes.
 */

/* Retires previous, whatever @current is, unless they are one. */
static int retire(const struct tg_generations *s, const char *reason, int64_t now_s,
		  struct tg_fault *reterr)
{
	unsigned linked[TG_SLOTS] = { 0 };
	int r = tg_generations_linked(s, linked, reterr);
	unsigned previous = linked[TG_SLOT_PREVIOUS];
	struct tg_manifest m;

	if (r < 0 || !previous || previous == linked[TG_SLOT_CURRENT])
		return r;
	/* One without its key has had its end written down already. */
	r = tg_generations_load(s, previous, true, &m, reterr);
	if (r < 0 && r != -EBADMSG)
		return r;
	if (r == 0)
		tg_generations_end(s, previous, TG_OUTCOME_RETIRED, reason, now_s);
	return tg_generations_strip(s, previous, reterr);
}

static int switch_links(const struct tg_generations *s, const unsigned linked[static TG_SLOTS],
			struct tg_fault *reterr)
{
	unsigned candidate = linked[TG_SLOT_CANDIDATE], current = linked[TG_SLOT_CURRENT],
		 before = linked[TG_SLOT_PREVIOUS];
	int r = 0;

	/* The one before the old current is history from now on; its key must not stay behind
	 * without a link. */
	if (current && current != candidate) {
		if (before && before != current && before != candidate)
			r = tg_generations_strip(s, before, reterr);
		if (r == 0)
			r = tg_generations_point(s, TG_SLOT_PREVIOUS, current, reterr);
	}
	if (r == 0)
		r = tg_generations_point(s, TG_SLOT_CURRENT, candidate, reterr);
	return r < 0 ? r : tg_generations_clear(s, TG_SLOT_CANDIDATE, reterr);
}

int tg_generation_promote(const char *state_dir, bool forget_previous, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	unsigned linked[TG_SLOTS] = { 0 };
	struct tg_manifest m = { .made = 0 };
	int r = tg_generations_lock(state_dir, &s, reterr);

	if (r == 0)
		r = tg_generations_linked(&s, linked, reterr);
	if (r < 0)
		return r;
	r = tg_generations_slot(&s, TG_SLOT_CANDIDATE, &linked[TG_SLOT_CANDIDATE], reterr);
	if (r == 0) {
		r = tg_generations_load(&s, linked[TG_SLOT_CANDIDATE], true, &m, reterr);
		if (r == 0)
			r = switch_links(&s, linked, reterr);
	} else if (r == -ENOENT && linked[TG_SLOT_CURRENT]) {
		r = 0;
	}
	/* Without a candidate: a promotion that was cut behind its last link is done but for this. */
	if (r == 0 && forget_previous)
		r = retire(&s, "followed by the next", m.made, reterr);
	return r;
}

int tg_generation_roll_back(const char *state_dir, const char *reason, int64_t now_s,
			    struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	unsigned linked[TG_SLOTS] = { 0 };
	unsigned candidate;
	int r = tg_generations_lock(state_dir, &s, reterr);

	if (r == 0)
		r = tg_generations_linked(&s, linked, reterr);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	candidate = linked[TG_SLOT_CANDIDATE];
	/* A promotion that was cut has made it current already: only the link is in excess. */
	if (candidate == linked[TG_SLOT_CURRENT])
		candidate = 0;
	if (candidate)
		tg_generations_end(&s, candidate, TG_OUTCOME_REJECTED, reason, now_s);
	r = tg_generations_clear(&s, TG_SLOT_CANDIDATE, reterr);
	return r == 0 && candidate ? tg_generations_strip(&s, candidate, reterr) : r;
}

/* Whether previous could take over: 1 or 0. */
static int has_heir(const struct tg_generations *s, const unsigned linked[static TG_SLOTS],
		    struct tg_fault *reterr)
{
	struct tg_manifest m;
	int r;

	if (!linked[TG_SLOT_PREVIOUS] || !linked[TG_SLOT_CURRENT] ||
	    linked[TG_SLOT_PREVIOUS] == linked[TG_SLOT_CURRENT])
		return 0;
	r = tg_generations_load(s, linked[TG_SLOT_PREVIOUS], true, &m, reterr);
	return r == 0 ? 1 : (r == -EBADMSG ? 0 : r);
}

int tg_generation_on_probation(const char *state_dir, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	unsigned linked[TG_SLOTS] = { 0 };
	int r = tg_generations_open(state_dir, &s, reterr);

	if (r == 0)
		r = tg_generations_linked(&s, linked, reterr);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return has_heir(&s, linked, reterr);
}

int tg_generation_demote(const char *state_dir, const char *reason, int64_t now_s,
			 struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	unsigned linked[TG_SLOTS] = { 0 };
	int r = tg_generations_lock(state_dir, &s, reterr);

	if (r == 0)
		r = tg_generations_linked(&s, linked, reterr);
	if (r == 0)
		r = has_heir(&s, linked, reterr);
	if (r == 0)
		return tg_fault_set(reterr, -ENOENT, "there is no identity to go back to");
	if (r < 0)
		return r;
	tg_generations_end(&s, linked[TG_SLOT_CURRENT], TG_OUTCOME_REJECTED, reason, now_s);
	r = tg_generations_point(&s, TG_SLOT_CURRENT, linked[TG_SLOT_PREVIOUS], reterr);
	if (r == 0)
		r = tg_generations_clear(&s, TG_SLOT_PREVIOUS, reterr);
	return r == 0 ? tg_generations_strip(&s, linked[TG_SLOT_CURRENT], reterr) : r;
}

int tg_generation_retire(const char *state_dir, int64_t now_s, struct tg_fault *reterr)
{
	tg_cleanup(tg_generations_done) struct tg_generations s = TG_GENERATIONS_NULL;
	int r = tg_generations_lock(state_dir, &s, reterr);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return retire(&s, "followed by the next", now_s, reterr);
}
