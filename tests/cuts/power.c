/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/outage.h"
#include "tests/cuts/probe.h"
#include "tests/cuts/scripts.h"

#include "base/parse.h"

#include <tidegate/log.h>

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * spool-cuts [--quick | --full] [--seed N] [--trace] [SCRIPT...]
 *
 * Cuts the power at every operation that the spool does to its directory, in
 * each script, makes every image that the cut may leave (outage.h), starts the
 * spool on it, and has what comes back judged (verdict.h). Of some images the recovery itself is recorded and cut, too.
 *
 * Then the same on a medium whose syncs do nothing: every script must fail
 * there, or this program could not see a loss.
 */
#define REPORTED 6u /* findings of one script that are printed */
#define SEEN     (1u << 22)

struct mode {
	bool quick, full, trace;
	uint64_t seed;
	unsigned nested_every; /* of so many images one recovery is cut, too; 0: none */
};

struct tally {
	size_t positions, images, distinct, recoveries, recovery_positions, violations;
	size_t rows; /* findings printed */
	double seconds;
};

struct cutting {
	const struct script *script;
	const struct mode *mode;
	const struct medium_log *log;
	const struct verdict_ledger *ledger;
	struct probe probe;
	struct tally *tally;
	uint64_t facts; /* what the ledger says at `position`, as a hash */
	size_t position;
	struct verdict_ledger frozen;
	bool nested, silent, enough;
};

/* --- images that were judged already --- */

static uint64_t *seen;
static size_t n_seen;

static void forget_seen(void)
{
	if (!seen)
		seen = calloc(SEEN, sizeof(*seen));
	assert(seen);
	if (n_seen > 0)
		memset(seen, 0, SEEN * sizeof(*seen));
	n_seen = 0;
}

static bool is_new(uint64_t key)
{
	size_t at = (size_t) (key * UINT64_C(0x9e3779b97f4a7c15) >> 42) % SEEN;

	key |= 1;
	while (seen[at] != 0 && seen[at] != key)
		at = (at + 1) % SEEN;
	if (seen[at] == key)
		return false;
	assert(n_seen < SEEN / 2);
	n_seen++;
	seen[at] = key;
	return true;
}

static uint64_t hash_facts(const struct verdict_ledger *l)
{
	uint64_t h = l->n;

	for (size_t i = 0; i < l->n; i++) {
		const struct verdict_pack *p = l->packs + i;
		unsigned held = (p->promised == 0) | (p->acked == 0) << 1 | (p->settled == 0) << 2 |
				(p->droppable == 0) << 3 | (p->refused == 0) << 4 |
				(p->aside == 0) << 5;

		h = (h ^ held) * UINT64_C(0x100000001b3);
		h ^= h >> 31;
	}
	return h;
}

/* --- one image --- */

static void print_log(const struct medium_log *log, size_t position)
{
	for (size_t i = 0; i < log->n; i++) {
		const struct medium_op *op = log->ops + i;

		printf("  %c %4zu %-14s file %u at %" PRIu64 ", %zu bytes %s %s%s\n",
		       i == position ? '>' : ' ', i, medium_kind_name(op->kind), op->file,
		       op->offset, op->len, op->name, op->to, op->failed ? ", failed" : "");
	}
}

static void report(struct cutting *x, size_t position, const char *what, size_t found)
{
	const struct verdict_finding *f = x->probe.findings;

	x->tally->violations++;
	if (x->silent || x->tally->rows++ >= REPORTED)
		return;
	printf("  %s%s, cut after %zu operations, %s: %s (pack %" PRIu64 "), %zu findings\n",
	       x->script->name, x->nested ? ", in recovery" : "", position, what,
	       verdict_name(f->kind), f->seq, found);
	if (x->mode->trace)
		print_log(x->log, position);
}

static bool on_image(void *user, const struct image *im, size_t position, const char *what);

/* The recovery of this image is cut, too. */
static void cut_recovery(struct cutting *x, const struct medium_log *log,
			 const struct verdict_ledger *ledger)
{
	const struct outage_options o = { .few = !x->mode->full,
					  .full = false,
					  .seed = x->mode->seed };
	struct cutting inner = *x;

	inner.nested = true;
	inner.log = log;
	inner.ledger = ledger;
	inner.position = SIZE_MAX;
	inner.frozen = (struct verdict_ledger){ .n = 0 };
	x->tally->recoveries++;
	x->tally->recovery_positions += outage_each(log, &o, on_image, &inner);
	verdict_done(&inner.frozen);
	x->probe = inner.probe;
	x->enough = inner.enough;
}

static void look_at(struct cutting *x, size_t position)
{
	if (position == x->position)
		return;
	x->position = position;
	verdict_done(&x->frozen);
	verdict_freeze(&x->frozen, x->ledger, position);
	x->facts = hash_facts(&x->frozen);
}

static bool on_image(void *user, const struct image *im, size_t position, const char *what)
{
	struct cutting *x = user;
	struct medium_log log = { .n = 0 };
	struct verdict_ledger recovery = { .n = 0 };
	bool record;
	size_t found;

	look_at(x, position);
	x->tally->images++;
	if (!is_new(image_hash(im) ^ x->facts))
		return true;
	x->tally->distinct++;
	record = !x->nested && x->mode->nested_every &&
		 x->tally->distinct % x->mode->nested_every == 0;
	found = probe_check(&x->probe, im, &x->frozen, record ? &log : NULL,
			    record ? &recovery : NULL);
	if (found > 0) {
		report(x, position, what, found);
		/* On a medium that lies one loss is all that is wanted. */
		x->enough = x->silent;
	} else if (record) {
		cut_recovery(x, &log, &recovery);
	}
	medium_log_done(&log);
	verdict_done(&recovery);
	return !x->enough;
}

/* --- one script --- */

static double cpu_seconds(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* What the wiped page took is not promised any more: that is what one recovery without a cut does not bring. */
static void forgive(struct probe *p, const struct image *base, struct verdict_ledger *l)
{
	(void) probe_check(p, base, l, NULL, NULL);
	assert(p->told);
	for (size_t i = 0; i < l->n; i++) {
		bool came = false;

		for (size_t k = 0; k < p->came && !came; k++)
			came = p->subject.arrivals[k].seq == l->packs[i].seq &&
			       !p->subject.arrivals[k].gap;
		if (came)
			continue;
		l->packs[i].promised = VERDICT_NEVER;
		l->packs[i].droppable = 0;
	}
}

static void record_script(const struct script *script, const struct subject_limits *limits,
			  struct probe *probe, struct medium_log *log,
			  struct verdict_ledger *ledger)
{
	struct image base = IMAGE_NULL;
	struct subject s;

	subject_init(&s, limits, ledger);
	if (script->prepare)
		script->prepare(&s);
	image_load(&base, s.dir);
	if (script->damaged)
		forgive(probe, &base, ledger);
	medium_start(log, s.dir, &base);
	script->run(&s);
	medium_stop();
	image_done(&base);
	subject_done(&s);
}

static void run_script(const struct script *script, const struct mode *mode, bool silent,
		       struct tally *tally)
{
	const struct outage_options o = {
		.step = mode->full ? 1 : script->every,
		.full = mode->full,
		.few = mode->quick || (script->large && !mode->full),
		.seed = mode->seed,
	};
	struct subject_limits limits = subject_limits();
	struct verdict_ledger ledger = { .n = 0 };
	struct medium_log log = { .n = 0 };
	struct cutting x = { .script = script,
			     .mode = mode,
			     .log = &log,
			     .ledger = &ledger,
			     .tally = tally,
			     .position = SIZE_MAX,
			     .silent = silent };

	forget_seen();
	if (script->limit)
		script->limit(&limits);
	probe_init(&x.probe, &limits);
	x.probe.damaged = script->damaged;
	record_script(script, &limits, &x.probe, &log, &ledger);
	tally->seconds = -cpu_seconds();
	tally->positions = outage_each(&log, &o, on_image, &x);
	tally->seconds += cpu_seconds();
	verdict_done(&x.frozen);
	probe_done(&x.probe);
	medium_log_done(&log);
	verdict_done(&ledger);
}

static void add(struct tally *sum, const struct tally *t)
{
	sum->positions += t->positions;
	sum->images += t->images;
	sum->distinct += t->distinct;
	sum->recoveries += t->recoveries;
	sum->recovery_positions += t->recovery_positions;
	sum->violations += t->violations;
	sum->seconds += t->seconds;
}

static bool wanted(const struct script *script, const struct mode *mode, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], script->name) == 0)
			return true;
	return argc == 0 && (script->quick || !mode->quick);
}

/* Returns how many scripts showed no loss on a medium that loses its syncs, which none may. */
static unsigned run_lies(const struct mode *mode, int argc, char **argv)
{
	const struct mode plain = { .quick = true, .seed = mode->seed };
	unsigned blind = 0, scripts_run = 0;

	medium_set_lie(MEDIUM_LOSES_SYNCS);
	for (size_t i = 0; i < n_scripts; i++) {
		struct tally t = { .images = 0 };

		if (!wanted(scripts + i, mode, argc, argv))
			continue;
		run_script(scripts + i, &plain, true, &t);
		scripts_run++;
		if (t.violations > 0)
			continue;
		printf("  %s: no loss is seen although no sync was done\n", scripts[i].name);
		blind++;
	}
	medium_set_lie(MEDIUM_HONEST);
	printf("without syncs: %u of %u scripts lose packs\n", scripts_run - blind, scripts_run);
	return blind;
}

static void on_death(int sig)
{
	static const char text[] = "\nspool-cuts: the spool has crashed or does not end\n";

	(void) !write(STDOUT_FILENO, text, sizeof(text) - 1);
	(void) signal(sig, SIG_DFL);
	(void) raise(sig);
}

static int run_all(const struct mode *mode, int argc, char **argv)
{
	struct tally sum = { .images = 0 };
	unsigned blind;

	printf("%-24s %8s %8s %8s %18s %10s %6s\n", "script", "cuts", "images", "distinct",
	       "in recoveries", "violations", "s");
	for (size_t i = 0; i < n_scripts; i++) {
		struct tally t = { .images = 0 };

		if (!wanted(scripts + i, mode, argc, argv))
			continue;
		run_script(scripts + i, mode, false, &t);
		printf("%-24s %8zu %8zu %8zu %8zu of %6zu %10zu %6.1f\n", scripts[i].name,
		       t.positions, t.images, t.distinct, t.recovery_positions, t.recoveries,
		       t.violations, t.seconds);
		(void) fflush(stdout);
		add(&sum, &t);
	}
	printf("%-24s %8zu %8zu %8zu %8zu of %6zu %10zu %6.1f\n", "all", sum.positions, sum.images,
	       sum.distinct, sum.recovery_positions, sum.recoveries, sum.violations, sum.seconds);
	blind = run_lies(mode, argc, argv);
	if (sum.violations > 0 || blind > 0)
		return EXIT_FAILURE;
	printf("FAULT F03: %zu cuts of the spool, %zu images, %zu cuts of recoveries: no loss; "
	       "without syncs all scripts lose\n",
	       sum.positions, sum.distinct, sum.recovery_positions);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct mode mode = { .seed = 1, .nested_every = 200 };

	argc--, argv++;
	for (; argc > 0 && argv[0][0] == '-'; argc--, argv++) {
		if (strcmp(argv[0], "--full") == 0)
			mode.full = true, mode.nested_every = 50;
		else if (strcmp(argv[0], "--quick") == 0)
			mode.quick = true;
		else if (strcmp(argv[0], "--trace") == 0)
			mode.trace = true;
		else if (strcmp(argv[0], "--seed") == 0 && argc > 1 &&
			 tg_parse_u64(argv[1], &mode.seed) == 0)
			argc--, argv++;
		else
			return fprintf(stderr, "usage: spool-cuts [--quick | --full] [--seed N] "
					       "[--trace] [SCRIPT...]\n"),
			       2;
	}
	tg_log_set_level(0);
	(void) signal(SIGSEGV, on_death);
	(void) signal(SIGABRT, on_death);
	printf("seed %" PRIu64 "\n", mode.seed);
	return run_all(&mode, argc, argv);
}
