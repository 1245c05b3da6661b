/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trial's rules one by one, then every sequence of ends up to a length from every state of the disk.
 */
#include "agent/mqtt/trial.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

#define MIN_US (60 * TG_US_PER_S)

/* A gateway: what is on its disk, and the link's view of it. */
struct world {
	struct tg_trial t;
	struct tg_trial_slots disk;
	uint64_t now;
	unsigned promoted, rolled_back, demoted;
	unsigned lost; /* generations that are gone */
};

static struct world with(unsigned current, unsigned candidate, unsigned previous)
{
	struct world w = { .t = TG_TRIAL_INIT, .disk = { current, candidate, previous }, .now = 1000 };

	tg_trial_look(&w.t, &w.disk);
	return w;
}

static enum tg_link_identity pick(const struct world *w)
{
	uint64_t due;

	return tg_trial_pick(&w->t, w->now, &due);
}

static uint64_t due(const struct world *w)
{
	uint64_t at;

	return tg_trial_pick(&w->t, w->now, &at) == TG_LINK_NO_IDENTITY ? at : w->now;
}

/* As lib/identity does it. */
static void act(struct world *w, enum tg_trial_act a)
{
	switch (a) {
	case TG_TRIAL_NOTHING:
		break;
	case TG_TRIAL_PROMOTE:
		assert_int_not_equal(w->disk.candidate, 0);
		w->disk.previous = w->disk.current;
		w->disk.current = w->disk.candidate;
		w->disk.candidate = 0;
		w->promoted++;
		break;
	case TG_TRIAL_ROLL_BACK:
		assert_int_not_equal(w->disk.candidate, 0);
		assert_int_not_equal(w->disk.current, 0);
		w->disk.candidate = 0;
		w->rolled_back++;
		break;
	case TG_TRIAL_DEMOTE:
		assert_int_not_equal(w->disk.previous, 0);
		w->disk.current = w->disk.previous;
		w->disk.previous = 0;
		w->demoted++;
		break;
	}
	tg_trial_look(&w->t, &w->disk);
}

static struct tg_trial_verdict end(struct world *w, enum tg_link_identity used, enum tg_trial_end e)
{
	struct tg_trial_verdict v = tg_trial_judge(&w->t, used, e, w->now, 12345);

	act(w, v.act);
	return v;
}

/* --- how it ended ------------------------------------------------------------------------------------------------ */

static void ends_are_told_apart(void **state)
{
	static const struct {
		struct tg_trial_facts f;
		enum tg_trial_end end;
	} cases[] = {
		{ { .word = TG_MQTT_WORD_NONE }, TG_TRIAL_FAILED },
		{ { .word = TG_MQTT_WORD_CLOSED }, TG_TRIAL_CLOSED },
		{ { .word = TG_MQTT_WORD_REFUSED }, TG_TRIAL_REFUSED },
		{ { .connected = true }, TG_TRIAL_FAILED },
		{ { .connected = true, .silent = true }, TG_TRIAL_UNFIT },
		{ { .connected = true, .by_peer = true }, TG_TRIAL_UNFIT },
		{ { .connected = true, .proved = true, .by_peer = true }, TG_TRIAL_DROPPED },
		{ { .connected = true, .proved = true }, TG_TRIAL_LOST },
		{ { .connected = true, .proved = true, .by_peer = true, .excused = true },
		  TG_TRIAL_LOST },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++)
		assert_int_equal(tg_trial_classify(&cases[i].f), cases[i].end);
}

/* --- the first identity ------------------------------------------------------------------------------------------ */

static void without_an_identity_nothing_is_picked(void **state)
{
	struct world w = with(0, 0, 0);

	(void) state;
	assert_int_equal(pick(&w), TG_LINK_NO_IDENTITY);
	assert_true(due(&w) == TG_US_FOREVER);
}

static void a_first_candidate_is_tried_for_ever(void **state)
{
	static const enum tg_trial_end ends[] = { TG_TRIAL_REFUSED, TG_TRIAL_CLOSED, TG_TRIAL_UNFIT,
						  TG_TRIAL_FAILED };
	struct world w = with(0, 7, 0);

	(void) state;
	for (int i = 0; i < 40; i++) {
		struct tg_trial_verdict v;

		assert_int_equal(pick(&w), TG_LINK_ON_CANDIDATE);
		v = end(&w, TG_LINK_ON_CANDIDATE, ends[i % 4]);
		assert_int_equal(v.act, TG_TRIAL_NOTHING);
		assert_false(v.at_once);
		assert_int_equal(w.t.standing, TG_LINK_PENDING_ACTIVATION);
	}
	assert_int_equal(end(&w, TG_LINK_ON_CANDIDATE, TG_TRIAL_PROVED).act, TG_TRIAL_PROMOTE);
	assert_int_equal(w.t.standing, TG_LINK_GOOD);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
}

static void the_network_makes_nothing_pending(void **state)
{
	struct world w = with(0, 7, 0);

	(void) state;
	(void) end(&w, TG_LINK_ON_CANDIDATE, TG_TRIAL_FAILED);
	(void) end(&w, TG_LINK_ON_CANDIDATE, TG_TRIAL_UNFIT);
	assert_int_equal(w.t.standing, TG_LINK_UNPROVED);
}

/* --- a candidate ------------------------------------------------------------------------------------------------- */

static void a_definite_refusal_rolls_back_at_once(void **state)
{
	static const enum tg_trial_end ends[] = { TG_TRIAL_REFUSED, TG_TRIAL_UNFIT };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(ends); i++) {
		struct world w = with(7, 8, 0);
		struct tg_trial_verdict v;

		assert_int_equal(pick(&w), TG_LINK_ON_CANDIDATE);
		v = end(&w, TG_LINK_ON_CANDIDATE, ends[i]);
		assert_int_equal(v.act, TG_TRIAL_ROLL_BACK);
		assert_true(v.at_once);
		assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
	}
}

static void an_indefinite_failure_goes_back_after_one_attempt(void **state)
{
	static const uint64_t pauses[] = { MIN_US, 5 * MIN_US };
	struct world w = with(7, 8, 0);

	(void) state;
	for (unsigned i = 0; i < TG_TRIAL_TRIES; i++) {
		struct tg_trial_verdict v;

		assert_int_equal(pick(&w), TG_LINK_ON_CANDIDATE);
		v = end(&w, TG_LINK_ON_CANDIDATE, i % 2 ? TG_TRIAL_CLOSED : TG_TRIAL_FAILED);
		assert_int_equal(v.act, TG_TRIAL_NOTHING);
		assert_true(v.at_once);
		assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
		v = end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_PROVED);
		if (i + 1 == TG_TRIAL_TRIES) {
			assert_int_equal(v.act, TG_TRIAL_ROLL_BACK);
			break;
		}
		assert_int_equal(v.act, TG_TRIAL_NOTHING);
		/* Current has the session until the next try. */
		w.now += pauses[i] - 1;
		assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
		w.now += 1;
	}
	assert_int_equal(w.rolled_back, 1);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
}

static void a_network_that_is_away_counts_against_nobody(void **state)
{
	struct world w = with(7, 8, 0);

	(void) state;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(pick(&w), TG_LINK_ON_CANDIDATE);
		assert_true(end(&w, TG_LINK_ON_CANDIDATE, TG_TRIAL_FAILED).at_once);
		assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
		assert_false(end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_FAILED).at_once);
	}
	assert_int_equal(w.t.tries, 0);
	assert_int_equal(end(&w, TG_LINK_ON_CANDIDATE, TG_TRIAL_PROVED).act, TG_TRIAL_PROMOTE);
}

static void a_candidate_beside_a_refused_current_goes_on_alone(void **state)
{
	struct world w = with(7, 0, 0);
	int others = 0;

	(void) state;
	(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_REFUSED);
	assert_int_equal(pick(&w), TG_LINK_NO_IDENTITY);
	w.disk.candidate = 8;
	tg_trial_look(&w.t, &w.disk);
	for (int i = 0; i < 24; i++) {
		enum tg_link_identity used = pick(&w);
		struct tg_trial_verdict v;

		others += used == TG_LINK_ON_CURRENT;
		v = end(&w, used, used == TG_LINK_ON_CURRENT ? TG_TRIAL_REFUSED : TG_TRIAL_CLOSED);
		assert_int_equal(v.act, TG_TRIAL_NOTHING);
		w.now += 5 * MIN_US;
	}
	/* In two hours. */
	assert_in_range(others, 1, 2);
	assert_int_equal(pick(&w), TG_LINK_ON_CANDIDATE);
	assert_int_equal(end(&w, TG_LINK_ON_CANDIDATE, TG_TRIAL_PROVED).act, TG_TRIAL_PROMOTE);
	assert_int_equal(w.t.standing, TG_LINK_GOOD);
}

static void a_new_candidate_is_not_held_to_the_old_ones_failures(void **state)
{
	struct world w = with(7, 8, 0);

	(void) state;
	(void) end(&w, TG_LINK_ON_CANDIDATE, TG_TRIAL_CLOSED);
	(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_PROVED);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
	w.disk.candidate = 9;
	tg_trial_look(&w.t, &w.disk);
	assert_int_equal(pick(&w), TG_LINK_ON_CANDIDATE);
	assert_int_equal(w.t.tries, 0);
}

static void what_the_disk_does_not_take_is_asked_for_later(void **state)
{
	struct world w = with(7, 8, 0);

	(void) state;
	assert_int_equal(tg_trial_judge(&w.t, TG_LINK_ON_CANDIDATE, TG_TRIAL_REFUSED, w.now, 0).act,
			 TG_TRIAL_ROLL_BACK);
	tg_trial_hold(&w.t, w.now);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
	w.now += 5 * MIN_US;
	assert_int_equal(pick(&w), TG_LINK_ON_CANDIDATE);
}

/* --- on probation ------------------------------------------------------------------------------------------------ */

static void a_broker_that_drops_or_refuses_a_new_current_is_shown_the_old_one(void **state)
{
	static const enum tg_trial_end ends[] = { TG_TRIAL_DROPPED, TG_TRIAL_UNFIT,
						  TG_TRIAL_REFUSED };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(ends); i++) {
		struct world w = with(8, 0, 7);
		struct tg_trial_verdict v = end(&w, TG_LINK_ON_CURRENT, ends[i]);

		assert_int_equal(v.act, TG_TRIAL_NOTHING);
		assert_true(v.at_once);
		assert_int_equal(pick(&w), TG_LINK_ON_PREVIOUS);
		assert_int_equal(end(&w, TG_LINK_ON_PREVIOUS, TG_TRIAL_PROVED).act, TG_TRIAL_DEMOTE);
		assert_int_equal(w.disk.current, 7);
		/* The old one has been good all the time. */
		assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
		(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_DROPPED);
		assert_int_equal(w.disk.current, 7);
	}
}

/* It has expired, its key was lost, or it is refused as well. */
static void the_new_one_stays_where_the_old_one_is_of_no_use(void **state)
{
	static const enum tg_trial_end ends[] = { TG_TRIAL_FAILED, TG_TRIAL_REFUSED, TG_TRIAL_CLOSED };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(ends); i++) {
		struct world w = with(8, 0, 7);

		(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_PROVED);
		(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_DROPPED);
		assert_int_equal(end(&w, TG_LINK_ON_PREVIOUS, ends[i]).act, TG_TRIAL_NOTHING);
		assert_int_equal(w.disk.current, 8);
		assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
		(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_PROVED);
		assert_int_equal(w.demoted, 0);
	}
}

static void a_candidate_is_not_judged_by_the_one_before_it(void **state)
{
	static const enum tg_trial_end ends[] = { TG_TRIAL_REFUSED, TG_TRIAL_UNFIT, TG_TRIAL_PROVED };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(ends); i++) {
		struct world w = with(7, 8, 0);

		w.t.shown = tg_trial_generation(&w.t, TG_LINK_ON_CANDIDATE);
		/* The helper, while the broker still makes up its mind. */
		w.disk.candidate = 9;
		tg_trial_look(&w.t, &w.disk);
		assert_int_equal(end(&w, TG_LINK_ON_CANDIDATE, ends[i]).act, TG_TRIAL_NOTHING);
		assert_int_equal(w.disk.candidate, 9);
		assert_int_equal(pick(&w), TG_LINK_ON_CANDIDATE);
	}
}

static void two_failed_connects_ask_the_old_one_and_it_decides(void **state)
{
	struct world w = with(8, 0, 7);

	(void) state;
	(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_LOST);
	assert_false(end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_FAILED).at_once);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
	/* At once, so that a network that comes back meanwhile does not decide. */
	assert_true(end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_CLOSED).at_once);
	assert_int_equal(pick(&w), TG_LINK_ON_PREVIOUS);
	assert_int_equal(end(&w, TG_LINK_ON_PREVIOUS, TG_TRIAL_PROVED).act, TG_TRIAL_DEMOTE);
	assert_int_equal(w.disk.current, 7);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
}

static void an_old_one_that_fares_no_better_says_nothing(void **state)
{
	static const enum tg_trial_end ends[] = { TG_TRIAL_FAILED, TG_TRIAL_CLOSED,
						  TG_TRIAL_REFUSED, TG_TRIAL_UNFIT };
	struct world w = with(8, 0, 7);

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(ends); i++) {
		for (unsigned n = 0; n < TG_TRIAL_FAILURES; n++) {
			assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
			(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_FAILED);
		}
		assert_int_equal(pick(&w), TG_LINK_ON_PREVIOUS);
		assert_int_equal(end(&w, TG_LINK_ON_PREVIOUS, ends[i]).act, TG_TRIAL_NOTHING);
	}
	assert_int_equal(w.disk.current, 8);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
}

/* --- current ----------------------------------------------------------------------------------------------------- */

static void a_current_that_is_refused_is_tried_once_an_hour(void **state)
{
	struct world w = with(7, 0, 0);

	(void) state;
	(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_PROVED);
	for (int i = 0; i < 3; i++) {
		uint64_t at;

		assert_int_equal(end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_REFUSED).act,
				 TG_TRIAL_NOTHING);
		assert_int_equal(w.t.standing, TG_LINK_REFUSED);
		at = due(&w);
		assert_true(at >= w.now + 60 * MIN_US && at <= w.now + 66 * MIN_US);
		w.now = at;
		assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
	}
	/* The service may have changed its mind. */
	(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_PROVED);
	assert_int_equal(w.t.standing, TG_LINK_GOOD);
}

static void those_refused_together_do_not_come_back_together(void **state)
{
	struct world a = with(7, 0, 0), b = with(7, 0, 0);

	(void) state;
	(void) tg_trial_judge(&a.t, TG_LINK_ON_CURRENT, TG_TRIAL_REFUSED, a.now, 1);
	(void) tg_trial_judge(&b.t, TG_LINK_ON_CURRENT, TG_TRIAL_REFUSED, b.now, UINT64_MAX / 3);
	assert_true(a.t.current_us != b.t.current_us);
}

static void closed_three_times_in_a_row_is_refused(void **state)
{
	struct world w = with(7, 0, 0);

	(void) state;
	for (unsigned i = 1; i < TG_TRIAL_CLOSED_MAX; i++) {
		(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_CLOSED);
		assert_int_equal(w.t.standing, TG_LINK_UNPROVED);
		/* Slower each time: a broker that restarts closes a few, too. */
		assert_true(due(&w) == w.now + i * 11 * TG_US_PER_S);
		w.now = due(&w);
	}
	(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_CLOSED);
	assert_int_equal(w.t.standing, TG_LINK_REFUSED);
	assert_true(due(&w) >= w.now + TG_TRIAL_HOUR_US);
}

static void anything_between_breaks_the_row(void **state)
{
	struct world w = with(7, 0, 0);

	(void) state;
	for (int i = 0; i < 20; i++) {
		(void) end(&w, TG_LINK_ON_CURRENT, i % 3 == 2 ? TG_TRIAL_FAILED : TG_TRIAL_CLOSED);
		w.now = due(&w);
	}
	assert_int_equal(w.t.standing, TG_LINK_UNPROVED);
}

static void a_new_current_or_an_operator_ends_the_hour(void **state)
{
	struct world w = with(7, 0, 0);

	(void) state;
	(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_REFUSED);
	assert_int_equal(pick(&w), TG_LINK_NO_IDENTITY);
	tg_trial_hurry(&w.t);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
	(void) end(&w, TG_LINK_ON_CURRENT, TG_TRIAL_REFUSED);
	w.disk.current = 9;
	tg_trial_look(&w.t, &w.disk);
	assert_int_equal(pick(&w), TG_LINK_ON_CURRENT);
	assert_int_equal(w.t.standing, TG_LINK_UNPROVED);
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

#define DEPTH 6

static unsigned long played;

static void check(const struct world *before, const struct world *w, enum tg_link_identity used,
		  enum tg_trial_end e, struct tg_trial_verdict v)
{
	bool definite = e == TG_TRIAL_REFUSED || e == TG_TRIAL_UNFIT;
	uint64_t at;

	/* There is an identity if there was one, and a session that is proved is never given up. */
	assert_true(w->disk.current || w->disk.candidate || !(before->disk.current || before->disk.candidate));
	assert_true(tg_trial_pick(&w->t, w->now, &at) != TG_LINK_NO_IDENTITY || at < TG_US_FOREVER);
	if (used == TG_LINK_ON_CANDIDATE && e == TG_TRIAL_PROVED)
		assert_int_equal(v.act, TG_TRIAL_PROMOTE);
	if (v.act == TG_TRIAL_PROMOTE)
		assert_true(used == TG_LINK_ON_CANDIDATE && e == TG_TRIAL_PROVED);
	if (used == TG_LINK_ON_CANDIDATE && before->disk.current && definite)
		assert_int_equal(v.act, TG_TRIAL_ROLL_BACK);
	/* One attempt, then back to what there was, unless that is known to be of no use. */
	if (used == TG_LINK_ON_CANDIDATE && before->disk.current && e <= TG_TRIAL_FAILED &&
	    e != TG_TRIAL_PROVED && w->now >= w->t.current_us) {
		enum tg_link_identity next = pick(w);

		assert_true(v.at_once);
		assert_true(next == TG_LINK_ON_CURRENT || next == TG_LINK_ON_PREVIOUS);
	}
	/* What works goes only for what has just been seen to work. */
	if (v.act == TG_TRIAL_DEMOTE)
		assert_true(used == TG_LINK_ON_PREVIOUS && e == TG_TRIAL_PROVED);
	/* The network alone costs no identity. */
	if (e == TG_TRIAL_FAILED || e == TG_TRIAL_CLOSED || e == TG_TRIAL_LOST)
		assert_int_equal(v.act, TG_TRIAL_NOTHING);
	/* What is definite of a settled current is paused for an hour, and for nothing else. */
	if (used == TG_LINK_ON_CURRENT && !before->disk.previous && e == TG_TRIAL_REFUSED)
		assert_true(w->t.standing == TG_LINK_REFUSED && w->t.current_us >= w->now + TG_TRIAL_HOUR_US);
	if (e == TG_TRIAL_FAILED || e == TG_TRIAL_UNFIT || e == TG_TRIAL_LOST)
		assert_true(w->t.standing != TG_LINK_REFUSED || before->t.standing == TG_LINK_REFUSED);
	if (e == TG_TRIAL_PROVED)
		assert_int_equal(w->t.standing, TG_LINK_GOOD);
	/* Only what leaves another to be tried is tried without a pause. */
	if (v.at_once)
		assert_true(pick(w) != used || w->disk.current != before->disk.current);
	assert_true(w->t.tries < TG_TRIAL_TRIES || !w->disk.candidate);
	assert_true(w->t.failures <= TG_TRIAL_FAILURES && w->t.closed < TG_TRIAL_CLOSED_MAX);
}

static void play(const struct world *from, unsigned depth, unsigned fresh)
{
	if (depth == 0)
		return;
	for (int e = 0; e < TG_TRIAL_DROPPED; e++) {
		/* What a proved session does later: goes on, is dropped, is lost. */
		int last = e == TG_TRIAL_PROVED ? 2 : 0;

		for (int then = 0; then <= last; then++) {
			struct world w = *from, before = *from;
			enum tg_link_identity used = pick(&w);
			struct tg_trial_verdict v;

			if (used == TG_LINK_NO_IDENTITY) {
				w.now = due(&w);
				used = pick(&w);
				before = w;
			}
			assert_int_not_equal(used, TG_LINK_NO_IDENTITY);
			assert_true(used != TG_LINK_ON_CANDIDATE || w.disk.candidate);
			assert_true(used != TG_LINK_ON_CURRENT || w.disk.current);
			assert_true(used != TG_LINK_ON_PREVIOUS || w.disk.previous);
			v = end(&w, used, (enum tg_trial_end) e);
			check(&before, &w, used, (enum tg_trial_end) e, v);
			played++;
			if (then) {
				enum tg_trial_end ended = then == 1 ? TG_TRIAL_DROPPED : TG_TRIAL_LOST;

				before = w;
				v = end(&w, TG_LINK_ON_CURRENT, ended);
				check(&before, &w, TG_LINK_ON_CURRENT, ended, v);
			}
			/* The operator, or the schedule, makes another one now and then. */
			if (depth % 3 == 0 && !w.disk.candidate) {
				w.disk.candidate = ++fresh;
				tg_trial_look(&w.t, &w.disk);
			}
			w.now += 90 * TG_US_PER_S;
			play(&w, depth - 1, fresh);
		}
	}
}

static void every_sequence_keeps_the_promises(void **state)
{
	static const struct tg_trial_slots from[] = {
		{ 0, 1, 0 }, { 1, 0, 0 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 3, 1 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(from); i++) {
		struct world w = with(from[i].current, from[i].candidate, from[i].previous);

		play(&w, DEPTH, 10);
	}
	assert_true(played > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_are_told_apart),
		cmocka_unit_test(without_an_identity_nothing_is_picked),
		cmocka_unit_test(a_first_candidate_is_tried_for_ever),
		cmocka_unit_test(the_network_makes_nothing_pending),
		cmocka_unit_test(a_definite_refusal_rolls_back_at_once),
		cmocka_unit_test(an_indefinite_failure_goes_back_after_one_attempt),
		cmocka_unit_test(a_network_that_is_away_counts_against_nobody),
		cmocka_unit_test(a_candidate_beside_a_refused_current_goes_on_alone),
		cmocka_unit_test(a_new_candidate_is_not_held_to_the_old_ones_failures),
		cmocka_unit_test(what_the_disk_does_not_take_is_asked_for_later),
		cmocka_unit_test(a_broker_that_drops_or_refuses_a_new_current_is_shown_the_old_one),
		cmocka_unit_test(the_new_one_stays_where_the_old_one_is_of_no_use),
		cmocka_unit_test(a_candidate_is_not_judged_by_the_one_before_it),
		cmocka_unit_test(two_failed_connects_ask_the_old_one_and_it_decides),
		cmocka_unit_test(an_old_one_that_fares_no_better_says_nothing),
		cmocka_unit_test(a_current_that_is_refused_is_tried_once_an_hour),
		cmocka_unit_test(those_refused_together_do_not_come_back_together),
		cmocka_unit_test(closed_three_times_in_a_row_is_refused),
		cmocka_unit_test(anything_between_breaks_the_row),
		cmocka_unit_test(a_new_current_or_an_operator_ends_the_hour),
		cmocka_unit_test(every_sequence_keeps_the_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
