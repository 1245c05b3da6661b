/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/probe.h"

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
 * spool-damage [--quick | --full] [--seed N]
 *
 * Flips one bit in every byte of a small spool, file and log; cuts both off at every sector; wipes every sector. Each time the
 * spool is started and drained: what is sent must be what was stored, in order; what is missing must be
 * told (the file is set aside, or a gap record or the count of dropped packs says so); and it must come to an end.
 *
 * The end of a log is different: SQLite takes a log up to the first frame that fails its checksum, as nothing else
 * can be told from a commit that was never finished. There the last commits may be missing in silence, but never one before
 * one that comes.
 *
 * Without --full, every byte of the headers of file, pages, log and frames, and each 16th of the rest.
 */
#define SECTOR     512u
#define PAGE       4096u
#define LOG_HEADER 32u
#define FRAME      (24u + PAGE)
#define RARE       16u
#define REPORTED   8u
#define CASE_S     30u /* nothing may take so long */

struct totals {
	unsigned cases, harmless, told, tail, wrong;
};

struct damage {
	struct image base;
	struct verdict_ledger ledger;
	struct probe probe;
	struct totals totals;
};

/* Of the case under way; also for a handler. */
static char what[96];

/* --- what happened --- */

static bool has_come(const struct damage *x, uint64_t seq)
{
	const struct subject *s = &x->probe.subject;

	for (size_t i = 0; i < x->probe.came; i++)
		if (s->arrivals[i].seq == seq && s->arrivals[i].gap == 0)
			return true;
	return false;
}

/* All that came are older than all that did not. */
static bool lost_its_tail(const struct damage *x)
{
	bool lost = false;

	for (size_t i = 0; i < x->ledger.n; i++) {
		bool came = has_come(x, x->ledger.packs[i].seq);

		if (came && lost)
			return false;
		lost = lost || !came;
	}
	return lost;
}

static bool only_lost(const struct damage *x, size_t found)
{
	for (size_t i = 0; i < found && i < PROBE_FINDINGS; i++)
		if (x->probe.findings[i].kind != VERDICT_LOST)
			return false;
	return found <= PROBE_FINDINGS;
}

static void try_it(struct damage *x, const struct image *im, bool in_log)
{
	struct totals *t = &x->totals;
	size_t found;

	(void) alarm(CASE_S);
	found = probe_check(&x->probe, im, &x->ledger, NULL, NULL);
	(void) alarm(0);
	t->cases++;
	if (found == 0 && x->probe.told)
		t->told++;
	else if (found == 0)
		t->harmless++;
	else if (in_log && only_lost(x, found) && lost_its_tail(x))
		t->tail++;
	else if (t->wrong++ < REPORTED)
		printf("  %s: %s (pack %" PRIu64 "), %zu findings\n", what,
		       verdict_name(x->probe.findings[0].kind), x->probe.findings[0].seq, found);
}

/* --- the damages --- */

static bool is_header(bool in_log, size_t at)
{
	if (in_log)
		return at < LOG_HEADER || (at - LOG_HEADER) % FRAME < 24;
	return at < 108 || at % PAGE < 16;
}

static void flip_bits(struct damage *x, struct image_file *f, bool in_log, bool all, uint64_t seed)
{
	for (size_t at = 0; at < f->len; at++) {
		uint8_t bit = (uint8_t) (1u << (at * 5 + seed) % 8);

		if (!all && !is_header(in_log, at) && (at + seed) % RARE != 0)
			continue;
		(void) snprintf(what, sizeof(what), "%s, byte %zu, bit %02x", f->name, at, bit);
		f->data[at] ^= bit;
		try_it(x, &x->base, in_log);
		f->data[at] ^= bit;
	}
}

static void wipe_sectors(struct damage *x, struct image_file *f, bool in_log)
{
	uint8_t kept[SECTOR];

	for (size_t at = 0; at < f->len; at += SECTOR) {
		size_t n = f->len - at < SECTOR ? f->len - at : SECTOR;

		(void) snprintf(what, sizeof(what), "%s, zeros at %zu", f->name, at);
		memcpy(kept, f->data + at, n);
		memset(f->data + at, 0, n);
		try_it(x, &x->base, in_log);
		memcpy(f->data + at, kept, n);
	}
}

static void cut_off(struct damage *x, struct image_file *f, bool in_log)
{
	size_t len = f->len;

	for (size_t at = 0; at < len; at += SECTOR) {
		(void) snprintf(what, sizeof(what), "%s, cut off at %zu", f->name, at);
		f->len = at;
		try_it(x, &x->base, in_log);
		f->len = len;
	}
}

/* A closed file with small packs and some that take pages of their own, or @log: with six commits behind it. */
static void make(struct damage *x, bool log)
{
	const struct subject_limits limits = subject_limits();
	struct subject s;

	image_done(&x->base);
	verdict_done(&x->ledger);
	subject_init(&s, &limits, &x->ledger);
	assert(subject_open(&s) == 0);
	subject_put(&s, 30, 10);
	subject_put(&s, 2, 700);
	subject_turn(&s);
	subject_close(&s);
	assert(s.closed_well && subject_open(&s) == 0);
	for (unsigned i = 0; i < 6 && log; i++) {
		subject_put(&s, 3, 10);
		subject_turn(&s);
	}
	if (log)
		subject_kill(&s);
	else
		subject_close(&s);
	image_load(&x->base, s.dir);
	subject_done(&s);
	for (size_t i = 0; i < x->ledger.n; i++)
		assert(x->ledger.packs[i].promised == 0);
}

static void damage_file(struct damage *x, const char *name, bool in_log, bool all, uint64_t seed)
{
	struct image_file *f = image_find(&x->base, name);
	struct totals *t = &x->totals;

	assert(f && f->len > 2 * PAGE);
	flip_bits(x, f, in_log, all, seed);
	printf("%-14s %6zu bytes, %6u bits flipped: %6u harmless, %6u told, %6u at the end of the "
	       "log, %u wrong\n",
	       name, f->len, t->cases, t->harmless, t->told, t->tail, t->wrong);
}

static int run(bool quick, bool full, uint64_t seed)
{
	struct damage x = { .base = IMAGE_NULL };
	const struct subject_limits limits = subject_limits();
	unsigned bits = 0, sectors = 0, wrong = 0;
	bool seen = true;

	probe_init(&x.probe, &limits);
	x.probe.altered = true;
	for (int in_log = 0; in_log < 2; in_log++) {
		struct totals *t = &x.totals;
		const char *name = in_log ? "spool.db-wal" : "spool.db";

		make(&x, in_log);
		*t = (struct totals){ 0 };
		if (!quick)
			damage_file(&x, name, in_log, full, seed);
		bits += t->cases;
		seen = seen && (quick || (in_log ? t->tail : t->told) > t->cases / 20);
		wrong += t->wrong;
		*t = (struct totals){ 0 };
		wipe_sectors(&x, image_find(&x.base, name), in_log);
		cut_off(&x, image_find(&x.base, name), in_log);
		printf("%-14s %6u sectors wiped or cut off: %u harmless, %u told, %u at the end of "
		       "the log, %u wrong\n",
		       name, t->cases, t->harmless, t->told, t->tail, t->wrong);
		sectors += t->cases;
		seen = seen && (in_log ? t->tail : t->told) > t->cases / 20;
		wrong += t->wrong;
	}
	/* Much of a file matters: where next to nothing is told, nothing is seen. */
	if (!seen)
		printf("nearly every damage passes unseen\n");
	wrong += !seen;
	if (wrong == 0)
		printf("FAULT F21: %u bits flipped in a spool, %u sectors wiped or cut off: never "
		       "sent altered, losses told or at the log's end\n",
		       bits, sectors);
	probe_done(&x.probe);
	verdict_done(&x.ledger);
	image_done(&x.base);
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void on_death(int sig)
{
	static const char text[] = "\nspool-damage: the spool has crashed or does not end\n";

	(void) !write(STDOUT_FILENO, text, sizeof(text) - 1);
	(void) !write(STDOUT_FILENO, what, strlen(what));
	(void) signal(sig, SIG_DFL);
	(void) raise(sig);
}

int main(int argc, char **argv)
{
	bool quick = false, full = false;
	uint64_t seed = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--full") == 0)
			full = true;
		else if (strcmp(argv[i], "--quick") == 0)
			quick = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc &&
			 tg_parse_u64(argv[i + 1], &seed) == 0)
			i++;
		else
			return fprintf(stderr, "usage: spool-damage [--quick | --full] [--seed "
					       "N]\n"),
			       2;
	}
	tg_log_set_level(0);
	(void) signal(SIGSEGV, on_death);
	(void) signal(SIGABRT, on_death);
	(void) signal(SIGALRM, on_death);
	return run(quick, full, seed);
}
