/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/outage.h"
#include "tests/cuts/probe.h"
#include "tests/cuts/scripts.h"

#include "base/clock.h"
#include "base/parse.h"

#include <tidegate/log.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * spool-failing [--quick | --full] [--seed N] [SCRIPT...]
 *
 * Lets one call after the other fail while a script runs, once or from then on to its end: writes, syncs, opens, creations,
 * renames, removals and resizes, with the errors that they have in life. Then the medium is well again, and
 *
 *	a kill at that moment loses nothing that was promised
 *	after a little more than the longest pause the spool works again, by itself
 *	everything that was put comes, in order, but for what limits drop
 *	for failed syncs: nor does a power cut lose anything promised, at any operation from the failure on, although
 *	what that sync was about never reaches the medium
 */
#define PAUSE_US (61 * TG_US_PER_S)
#define REPORTED 8u
#define CASE_S   60u

struct failure {
	unsigned kinds;
	int error;
	const char *name;
	unsigned every; /* a sample takes every so manieth call */
};

#define BIT(kind) (1u << MEDIUM_##kind)
static const struct failure failures[] = {
	{ BIT(WRITE), ENOSPC, "write: no space", 13 },
	{ BIT(WRITE), EIO, "write: error", 13 },
	{ BIT(WRITE), MEDIUM_SHORT, "write: half, then no space", 17 },
	{ BIT(WRITE), EDQUOT, "write: quota", 29 },
	{ BIT(SYNC), EIO, "sync: error", 1 },
	{ BIT(SYNC), ENOSPC, "sync: no space", 5 },
	{ BIT(SYNC_DIR), EIO, "sync of the directory: error", 1 },
	{ BIT(OPEN) | BIT(CREATE), EMFILE, "open: too many", 1 },
	{ BIT(OPEN) | BIT(CREATE), EACCES, "open: forbidden", 1 },
	{ BIT(CREATE), ENOSPC, "create: no space", 1 },
	{ BIT(RENAME), EIO, "rename: error", 1 },
	{ BIT(UNLINK), EIO, "remove: error", 1 },
	{ BIT(RESIZE), EIO, "resize: error", 1 },
	{ BIT(WRITE) | BIT(CREATE) | BIT(RENAME) | BIT(UNLINK) | BIT(RESIZE), EROFS, "read-only",
	  5 },
};

struct failing {
	const struct script *script;
	struct subject_limits limits;
	bool quick, full;
	uint64_t seed;
	unsigned thin; /* of the script under way: how much fewer calls */
	/* of the case under way */
	const struct failure *failure;
	unsigned nth;
	bool for_good;
	struct probe probe;
	/* of a script: what it starts on */
	struct image base;
	struct verdict_ledger start;
	uint64_t now;
	/* sums */
	unsigned cases, failed_calls, cuts, wrong;
};

static char what[160];

static void complain(struct failing *x, const char *problem, const struct verdict_finding *f)
{
	if (x->wrong++ >= REPORTED)
		return;
	printf("  %s: %s", what, problem);
	if (f)
		printf(": %s (pack %" PRIu64 ")", verdict_name(f->kind), f->seq);
	printf("\n");
}

/* What a kill would leave now. */
static void check_kill(struct failing *x, const char *dir, const struct verdict_ledger *ledger)
{
	struct verdict_ledger frozen = { .n = 0 };
	struct image im = IMAGE_NULL;

	image_load(&im, dir);
	verdict_freeze(&frozen, ledger, SIZE_MAX - 1);
	if (probe_check(&x->probe, &im, &frozen, NULL, NULL) > 0)
		complain(x, "after a kill", x->probe.findings);
	verdict_done(&frozen);
	image_done(&im);
}

/* It comes back by itself, and everything comes. */
static void check_return(struct failing *x, struct subject *s)
{
	struct verdict_case c = { .ledger = s->ledger, .damaged = true };
	struct verdict_ledger before = { .n = 0 };
	struct verdict_finding f;

	for (unsigned i = 0; i < 3; i++) {
		s->now += PAUSE_US;
		subject_turn(s);
	}
	if (s->disk.error != 0 || s->q.dirty > 0)
		complain(x, "the spool does not come back", NULL);
	for (size_t i = 0; i < s->ledger->n; i++) {
		const struct verdict_pack *p = s->ledger->packs + i;

		if (p->promised == VERDICT_NEVER && p->acked == VERDICT_NEVER &&
		    p->droppable == VERDICT_NEVER && p->refused == VERDICT_NEVER && !p->gone)
			complain(x, "a pack is never promised", NULL);
	}
	verdict_freeze(&before, s->ledger, medium_position());
	c.ledger = &before;
	c.ended = subject_drain(s, 32);
	c.arrivals = s->arrivals;
	c.n = s->n_arrivals;
	c.left = s->disk.counts.rows;
	if (verdict_judge(&c, &f, 1) > 0)
		complain(x, "after its return", &f);
	verdict_done(&before);
}

struct cutting {
	struct failing *x;
	const struct verdict_ledger *ledger;
};

static bool on_image(void *user, const struct image *im, size_t position, const char *how)
{
	struct cutting *c = user;
	struct verdict_ledger frozen = { .n = 0 };
	char problem[160];

	verdict_freeze(&frozen, c->ledger, position);
	c->x->cuts++;
	if (probe_check(&c->x->probe, im, &frozen, NULL, NULL) > 0) {
		(void) snprintf(problem, sizeof(problem), "power cut after %zu operations, %s",
				position, how);
		complain(c->x, problem, c->x->probe.findings);
	}
	verdict_done(&frozen);
	return true;
}

static size_t first_failure(const struct medium_log *log)
{
	for (size_t i = 0; i < log->n; i++)
		if (log->ops[i].failed)
			return i;
	return log->n;
}

/* The power goes some time after a sync has failed. */
static void check_cuts(struct failing *x, const struct medium_log *log,
		       const struct verdict_ledger *ledger)
{
	struct cutting c = { .x = x, .ledger = ledger };
	const struct outage_options o = {
		.from = first_failure(log),
		.step = x->full ? 1 : 11,
		.few = true,
		.seed = x->seed,
	};

	(void) outage_each(log, &o, on_image, &c);
}

/* Returns how many calls failed. */
static unsigned run_case(struct failing *x)
{
	struct verdict_ledger ledger = { .n = 0 };
	struct medium_log log = { .n = 0 };
	struct subject s;
	unsigned failed;

	verdict_freeze(&ledger, &x->start, 0);
	subject_init(&s, &x->limits, &ledger);
	/* The spool takes the clock's word for when it was opened: the script's time must not fall behind that. */
	if (s.now < x->now)
		s.now = x->now;
	(void) alarm(CASE_S);
	medium_start(&log, s.dir, &x->base);
	medium_fail(s.dir, x->failure->kinds, x->nth, x->for_good, x->failure->error);
	x->script->run(&s);
	failed = medium_heal();
	if (failed > 0) {
		medium_stop();
		check_kill(x, s.dir, &ledger);
		medium_go_on(&log);
		check_return(x, &s);
	}
	medium_stop();
	if (failed > 0 && x->failure->kinds == BIT(SYNC))
		check_cuts(x, &log, &ledger);
	(void) alarm(0);
	subject_done(&s);
	medium_log_done(&log);
	verdict_done(&ledger);
	return failed;
}

static void run_failure(struct failing *x, bool for_good)
{
	unsigned step = x->full ? 1 : x->failure->every * x->thin * (x->quick ? 5 : 1);
	unsigned failed;

	x->for_good = for_good;
	x->nth = 1;
	do {
		(void) snprintf(what, sizeof(what), "%s, %s at call %u%s", x->script->name,
				x->failure->name, x->nth, for_good ? " and on" : "");
		failed = run_case(x);
		x->failed_calls += failed;
		x->cases += failed > 0;
		x->nth += step;
	} while (failed > 0);
}

static void run_script(struct failing *x)
{
	struct subject s;

	x->limits = subject_limits();
	if (x->script->limit)
		x->script->limit(&x->limits);
	subject_init(&s, &x->limits, &x->start);
	if (x->script->prepare)
		x->script->prepare(&s);
	image_load(&x->base, s.dir);
	x->now = s.now;
	subject_done(&s);

	probe_init(&x->probe, &x->limits);
	/* The file may have been repaired. */
	x->probe.damaged = true;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		x->failure = failures + i;
		run_failure(x, false);
		run_failure(x, true);
	}
	probe_done(&x->probe);
	verdict_done(&x->start);
	image_done(&x->base);
}

static bool wanted(const struct script *script, bool quick, bool full, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], script->name) == 0)
			return true;
	if (argc > 0 || script->damaged || script->large)
		return false;
	return full || (quick ? script->failing == 1 : script->failing > 0);
}

static int run_all(struct failing *x, int argc, char **argv)
{
	unsigned cases = 0, calls = 0, cuts = 0, wrong = 0;

	printf("%-24s %8s %8s %8s %8s\n", "script", "failures", "calls", "cuts", "wrong");
	for (size_t i = 0; i < n_scripts; i++) {
		if (!wanted(scripts + i, x->quick, x->full, argc, argv))
			continue;
		x->script = scripts + i;
		/* Who asks for one by its name wants more of it. */
		x->thin = argc == 0 && scripts[i].failing > 0 ? scripts[i].failing : 1;
		x->cases = x->failed_calls = x->cuts = x->wrong = 0;
		run_script(x);
		printf("%-24s %8u %8u %8u %8u\n", scripts[i].name, x->cases, x->failed_calls,
		       x->cuts, x->wrong);
		(void) fflush(stdout);
		cases += x->cases;
		calls += x->failed_calls;
		cuts += x->cuts;
		wrong += x->wrong;
	}
	if (wrong > 0 || cases == 0 || cuts == 0)
		return EXIT_FAILURE;
	printf("FAULT F19: %u calls of the spool failed in %u ways: back by itself, no loss; nor "
	       "in %u power cuts after failed syncs\n",
	       calls, cases, cuts);
	return EXIT_SUCCESS;
}

static void on_death(int sig)
{
	static const char text[] = "\nspool-failing: the spool has crashed or does not end\n";

	(void) !write(STDOUT_FILENO, text, sizeof(text) - 1);
	(void) !write(STDOUT_FILENO, what, strlen(what));
	(void) signal(sig, SIG_DFL);
	(void) raise(sig);
}

int main(int argc, char **argv)
{
	struct failing x = { .seed = 1 };

	argc--, argv++;
	for (; argc > 0 && argv[0][0] == '-'; argc--, argv++) {
		if (strcmp(argv[0], "--full") == 0)
			x.full = true;
		else if (strcmp(argv[0], "--quick") == 0)
			x.quick = true;
		else if (strcmp(argv[0], "--seed") == 0 && argc > 1 &&
			 tg_parse_u64(argv[1], &x.seed) == 0)
			argc--, argv++;
		else
			return fprintf(stderr, "usage: spool-failing [--quick | --full] [--seed N] "
					       "[SCRIPT...]\n"),
			       2;
	}
	tg_log_set_level(0);
	(void) signal(SIGSEGV, on_death);
	(void) signal(SIGABRT, on_death);
	(void) signal(SIGALRM, on_death);
	return run_all(&x, argc, argv);
}
