/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include "base/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * sim-renewal [--full] [SEED]
 *
 * Ten years of renewals under virtual time, for certificates from 2 minutes to 25 years, in every kind of trouble that
 * world.c knows; then a fleet that was started as one. Prints what it saw, and exits 1 when a rule was broken.
 */
#define LIVES_QUICK 1000   /* renewals of one run, where ten years would be more */
#define LIVES_FULL  150000 /* ten years of an hour each */
#define LONG_ENOUGH 4      /* lives, at least, of the longest certificates */

static const struct sim_case cases[] = {
	{ .name = "nothing in the way" },
	{ .name = "backdated", .backdated = true },
	{ .name = "life without max-age", .max_age_s = 200 * YEAR },
	{ .name = "up for a fifth", .outage = OUTAGE_FIFTH },
	{ .name = "up for a fifth, hangs",
	  .outage = OUTAGE_FIFTH,
	  .hangs = true,
	  .life_min_s = HOUR },
	{ .name = "up half of the time", .outage = OUTAGE_WAVE, .duty = 0.5, .promise = RARELY },
	{ .name = "up half of it, hangs",
	  .outage = OUTAGE_WAVE,
	  .duty = 0.5,
	  .hangs = true,
	  .life_min_s = HOUR,
	  .promise = RARELY },
	{ .name = "up by chance, 1 in 4", .outage = OUTAGE_TOSS, .duty = 0.25, .promise = RARELY },
	{ .name = "long outages, claim", .outage = OUTAGE_LONG, .claim = true },
	{ .name = "long outages, hold", .outage = OUTAGE_LONG },
	{ .name = "NTP blocked for ever", .outage = OUTAGE_FIFTH, .clock = CLOCK_NO_NTP },
	{ .name = "two years behind", .outage = OUTAGE_FIFTH, .clock = CLOCK_BEHIND },
	{ .name = "clock set both ways", .clock = CLOCK_STEPS, .life_min_s = HOUR },
	{ .name = "clock set, up for a fifth",
	  .outage = OUTAGE_FIFTH,
	  .clock = CLOCK_STEPS,
	  .life_min_s = HOUR },
	{ .name = "restarts", .outage = OUTAGE_FIFTH, .reboot_every = 10, .life_min_s = HOUR },
	{ .name = "restarts all the time",
	  .outage = OUTAGE_FIFTH,
	  .reboot_every = 100,
	  .life_min_s = DAY },
	{ .name = "restarts, no NTP",
	  .outage = OUTAGE_FIFTH,
	  .reboot_every = 10,
	  .clock = CLOCK_NO_NTP,
	  .life_min_s = DAY },
	{ .name = "power cuts",
	  .outage = OUTAGE_WAVE,
	  .duty = 0.5,
	  .reboot_every = 5,
	  .power_cuts = true,
	  .life_min_s = HOUR,
	  .promise = RARELY },
	{ .name = "broker refuses half", .broker = 0.5, .drops = 0.2 },
	{ .name = "dropped in probation", .drops = 0.9995 },
	{ .name = "broker away", .mute = true, .claim = true, .promise = FREE },
	{ .name = "broker refuses most", .broker = 0.95, .drops = 0.4, .claim = true },
	{ .name = "503, up for a fifth", .outage = OUTAGE_FIFTH, .busy = true },
	{ .name = "503 and absurd times", .outage = OUTAGE_FIFTH, .busy = true, .waits = WAITS_ABSURD },
	{ .name = "503, absurd, restarts",
	  .outage = OUTAGE_FIFTH,
	  .busy = true,
	  .waits = WAITS_ABSURD,
	  .reboot_every = 10,
	  .life_min_s = HOUR },
	{ .name = "503, long outages, claim",
	  .outage = OUTAGE_LONG,
	  .busy = true,
	  .waits = WAITS_ABSURD,
	  .claim = true },
	{ .name = "202, approved in time", .approval = 0.8, .life_min_s = HOUR },
	{ .name = "202 and absurd times",
	  .approval = 0.8,
	  .waits = WAITS_ABSURD,
	  .life_min_s = HOUR },
	{ .name = "202, absurd, restarts",
	  .approval = 0.8,
	  .waits = WAITS_ABSURD,
	  .reboot_every = 20,
	  .life_min_s = DAY },
	{ .name = "202, two years behind",
	  .approval = 0.8,
	  .waits = WAITS_ABSURD,
	  .reboot_every = 1,
	  .clock = CLOCK_BEHIND,
	  .life_min_s = DAY,
	  .promise = FREE },
	{ .name = "202, clock set both ways",
	  .approval = 0.8,
	  .waits = WAITS_ABSURD,
	  .clock = CLOCK_STEPS,
	  .reboot_every = 20,
	  .life_min_s = DAY,
	  .promise = FREE },
	{ .name = "202, approved too late",
	  .approval = 3,
	  .waits = WAITS_ABSURD,
	  .claim = true,
	  .promise = FREE },
	{ .name = "everything at once",
	  .outage = OUTAGE_WAVE,
	  .duty = 0.3,
	  .hangs = true,
	  .clock = CLOCK_STEPS,
	  .reboot_every = 8,
	  .power_cuts = true,
	  .broker = 0.3,
	  .drops = 0.2,
	  .mute = true,
	  .claim = true,
	  .backdated = true,
	  .life_min_s = HOUR,
	  .promise = FREE },
};

static const struct {
	const char *name;
	int64_t s;
} lives[] = {
	{ "2 min", 2 * MINUTE }, { "10 min", 10 * MINUTE }, { "1 h", HOUR },      { "1 d", DAY },
	{ "7 d", 7 * DAY },      { "30 d", 30 * DAY },      { "90 d", 90 * DAY }, { "1 y", YEAR },
	{ "5 y", 5 * YEAR },     { "25 y", 25 * YEAR },
};
#define LIVES TG_ARRAY_SIZE(lives)

/* Of each life over all strict cases: the shortest that was left when a successor came. */
enum { PLAIN, TOLD_TO_WAIT, KINDS };
static struct {
	double share;
	int64_t s;
	const char *name;
} worst_of[KINDS][LIVES];

static void note_worst(size_t l, const struct sim_case *c, const struct sim_result *r)
{
	__typeof__(worst_of[0][0]) *worst =
		worst_of[c->busy || c->approval > 0 ? TOLD_TO_WAIT : PLAIN];

	if (c->promise != STRICT || c->broker > 0 || c->drops > 0 || c->mute ||
	    c->outage == OUTAGE_LONG || r->worst_left >= worst[l].share)
		return;
	worst[l].share = r->worst_left;
	worst[l].s = r->worst_left_s;
	worst[l].name = c->name;
}

static uint64_t run_case(const struct sim_case *c, uint64_t max_lives, uint64_t seed)
{
	struct sim_result sum = { .worst_left = 1 };

	for (size_t l = 0; l < LIVES; l++) {
		struct sim_result r = { .worst_left = 1 };
		int64_t length = 10 * YEAR;

		if (lives[l].s < c->life_min_s)
			continue;
		if (length < LONG_ENOUGH * lives[l].s && c->max_age_s)
			length = LONG_ENOUGH * lives[l].s;
		sim_run(c, lives[l].s, length, max_lives, sim_mix(seed + l), &r);
		note_worst(l, c, &r);
		sum.lives += r.lives;
		sum.attempts += r.attempts;
		sum.issued += r.issued;
		sum.reboots += r.reboots;
		sum.events += r.events;
		sum.expired += r.expired;
		sum.broken += r.broken;
		sum.violations += r.violations;
		sum.most_attempts =
			r.most_attempts > sum.most_attempts ? r.most_attempts : sum.most_attempts;
		sum.worst_left = r.worst_left < sum.worst_left ? r.worst_left : sum.worst_left;
	}
	if (sum.lives == 0 || (c->promise == RARELY && sum.broken * 200 > sum.lives)) {
		printf("  BROKEN  %s: %llu of %llu lives expired though the service was there for "
		       "a fifth\n",
		       c->name, (unsigned long long) sum.broken, (unsigned long long) sum.lives);
		sum.violations++;
	}
	printf("%-26s %9llu %10llu %9llu %8llu %6llu %8llu %7llu %8.2f %%\n", c->name,
	       (unsigned long long) sum.lives, (unsigned long long) sum.attempts,
	       (unsigned long long) sum.issued, (unsigned long long) sum.reboots,
	       (unsigned long long) sum.most_attempts, (unsigned long long) sum.expired,
	       (unsigned long long) sum.broken, sum.worst_left * 100);
	(void) fflush(stdout);
	return sum.violations;
}

static void print_worst(int kind, const char *what)
{
	printf("\nleast that was left when the next certificate came, %s:\n", what);
	for (size_t l = 0; l < LIVES; l++)
		printf("  life %-6s %6.2f %%  %10lld s  (%s)\n", lives[l].name,
		       worst_of[kind][l].share * 100, (long long) worst_of[kind][l].s,
		       worst_of[kind][l].name ? worst_of[kind][l].name : "-");
}

/* --- a fleet that was started as one ---------------------------------------------------------------------------- */

#define GATEWAYS 200
#define SLOTS    20 /* of the window */
#define PEAK     30 /* gateways at any time in a twentieth of the window, where 10 are the average */
#define PEAK_SUM                                                                                   \
	45 /* the same for later renewals, whose times are sums of draws: at most 22 are expected */

static int by_time(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The most of @at (sorted) that fall in one interval of @width. */
static unsigned peak_of(const int64_t *at, int64_t width)
{
	unsigned peak = 0, first = 0;

	for (unsigned last = 0; last < GATEWAYS; last++) {
		while (at[last] - at[first] >= width)
			first++;
		peak = last - first + 1 > peak ? last - first + 1 : peak;
	}
	return peak;
}

static uint64_t fleet_of(int64_t life_s, const char *name, uint64_t seed)
{
	static int64_t at[SIM_RENEWALS][GATEWAYS];
	uint64_t violations = 0;

	for (unsigned g = 0; g < GATEWAYS; g++) {
		struct sim_result r = { .worst_left = 1 };

		sim_run(&cases[0], life_s, 10 * YEAR, SIM_RENEWALS, sim_mix(seed * GATEWAYS + g),
			&r);
		for (unsigned n = 0; n < SIM_RENEWALS; n++)
			at[n][g] = r.begun[n];
		violations += r.violations + (r.lives < SIM_RENEWALS);
	}
	for (unsigned n = 0; n < SIM_RENEWALS; n++) {
		/* Each renewal adds a window of its own, so the fleet drifts apart. */
		int64_t span = life_s * 66 / 100 < 90 * DAY ? life_s : 90 * DAY,
			window = S64(span) / 20 * (n + 1);
		unsigned peak;

		qsort(at[n], GATEWAYS, sizeof(at[n][0]), by_time);
		peak = peak_of(at[n], window / SLOTS);
		violations += peak > (n ? PEAK_SUM : PEAK) ||
			      at[n][GATEWAYS - 1] - at[n][0] < window / 2 ||
			      at[n][GATEWAYS - 1] - at[n][0] > window + S64(30);
		printf("%d gateways, life %-4s, renewal %u: spread over %lld s, the window is %lld "
		       "s; at most %u within %lld s\n",
		       GATEWAYS, name, n + 1,
		       (long long) ((at[n][GATEWAYS - 1] - at[n][0]) / 1000000),
		       (long long) (window / 1000000), peak,
		       (long long) (window / SLOTS / 1000000));
	}
	if (violations)
		printf("  BROKEN  the fleet comes as one\n");
	return violations;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, runs = 1, max_lives = LIVES_QUICK, violations = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--full") == 0) {
			max_lives = LIVES_FULL;
			runs = 1;
		} else if (tg_parse_u64(argv[i], &seed) < 0) {
			(void) fprintf(stderr, "usage: sim-renewal [--full] [SEED]\n");
			return 2;
		}
	}
	for (size_t l = 0; l < LIVES; l++)
		worst_of[PLAIN][l].share = worst_of[TOLD_TO_WAIT][l].share = 1;
	for (uint64_t run = 0; run < runs; run++) {
		printf("seed %llu\n%-26s %9s %10s %9s %8s %6s %8s %7s %10s\n",
		       (unsigned long long) (seed + run), "", "lives", "attempts", "issued",
		       "restarts", "most", "expired", "broken", "worst left");
		for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++)
			violations +=
				run_case(&cases[i], max_lives, sim_mix((seed + run) * 1000 + i));
	}
	print_worst(PLAIN, "with the service there for a fifth of each window");
	print_worst(TOLD_TO_WAIT, "with a service that names times to come back at, or approves "
				  "within four fifths of each window");
	violations += fleet_of(HOUR, "1 h", seed) + fleet_of(30 * DAY, "30 d", seed) +
		      fleet_of(25 * YEAR, "25 y", seed);
	printf("%s\n", violations ? "FAILED" : "ok");
	return violations ? EXIT_FAILURE : EXIT_SUCCESS;
}
