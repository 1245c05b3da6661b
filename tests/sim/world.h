/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/identity/renewal.h"
#include "wallclock/wallclock.h"

/*
 * One gateway and all that its identity depends on, under virtual time: enrolment service, broker, clocks, power. The
 * rules of renewal and of the wall clock are the real ones; everything around them is made up here from a seed.
 *
 * World time is microseconds since 1970 and is always right; the gateway sees its boot clock, and a wall clock that may lie.
 */
#define S64(s)  ((int64_t) (s) *1000000)
#define MINUTE  INT64_C(60)
#define HOUR    INT64_C(3600)
#define DAY     (24 * HOUR)
#define YEAR    (365 * DAY)
#define EPOCH_S INT64_C(1800000000) /* the day on which every simulation begins */

enum outage {
	OUTAGE_NONE,
	OUTAGE_FIFTH, /* of each window for renewal one fifth, in one piece anywhere, is all there is */
	OUTAGE_WAVE, /* up and down by chance, in pieces of a random length, `duty` of the time up */
	OUTAGE_TOSS, /* each attempt meets a service that is up with the probability `duty`: no piece is reliable */
	OUTAGE_LONG, /* in some windows down to the end, and for up to three lives more */
};

enum clock_kind {
	CLOCK_GOOD,   /* synchronised soon after each start */
	CLOCK_NO_NTP, /* right, but nobody says so */
	CLOCK_BEHIND, /* two years behind at each start, for ever */
	CLOCK_STEPS,  /* set to something else now and then, both ways; repaired in between */
};

enum waits {
	WAITS_SANE,   /* what a service may well ask for: a few minutes to hours, within its window */
	WAITS_ABSURD, /* Retry-After: 0, 1, 10 years, the past, and everything in between */
};

struct sim_case {
	const char *name;
	enum outage outage;
	double duty;
	bool hangs; /* a service that is down keeps the helper waiting, instead of refusing it at once */
	double approval;   /* each request is approved by chance within this share of what is left of the window */
	bool busy;         /* a service that is down says so, and when to come back */
	enum waits waits;
	enum clock_kind clock;
	int64_t reboot_every; /* parts of the life from start to start; 0: none */
	bool power_cuts;      /* off for long, too: up to a life */
	double broker; /* probability that it refuses a certificate; rarely, for good later */
	double drops;  /* probability that it drops one in its probation */
	bool mute;     /* it cannot be reached for a while now and then, up to three lives */
	bool claim;    /* on-expiry = on-refused = claim */
	bool backdated;
	int64_t max_age_s; /* 0: 90 days */
	/* of the lives that this case is for */
	int64_t life_min_s;
	/* What holds. STRICT: no expiry unless the service was away for more than four fifths of the window. */
	enum { STRICT, RARELY, FREE } promise;
};

struct sim_result {
	uint64_t lives, attempts, issued, claims, reboots, events;
	uint64_t most_attempts; /* in one life */
	uint64_t questions; /* about requests that were pending */
	uint64_t expired,
		broken;    /* broken: though the service was there for a fifth of the window */
	double worst_left; /* of the life, when a successor was promoted in time */
	int64_t worst_left_s, longest_gap_s;
	uint64_t violations;
#define SIM_RENEWALS 3
	int64_t begun[SIM_RENEWALS]; /* world time of the first renewals */
};

/*
 * Runs @c with certificates of @life_s seconds for @length_s of world time, or @max_lives renewals. What breaks a rule is
 * printed (the first few) and counted in @ret->violations.
 */
void sim_run(const struct sim_case *c, int64_t life_s, int64_t length_s, uint64_t max_lives,
	     uint64_t seed, struct sim_result *ret);

uint64_t sim_mix(uint64_t x);
