/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/verdict.h"

#include <assert.h>
#include <stdlib.h>

/* --- the ledger --- */

struct verdict_pack *verdict_put(struct verdict_ledger *l, uint64_t seq, unsigned device,
				 uint32_t crc, size_t position)
{
	assert(l->n == 0 || l->packs[l->n - 1].seq < seq);
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->packs = reallocarray(l->packs, l->room, sizeof(*l->packs));
		assert(l->packs);
	}
	l->packs[l->n] = (struct verdict_pack){
		.seq = seq,
		.crc = crc,
		.device = device,
		.put = position,
		.promised = VERDICT_NEVER,
		.acked = VERDICT_NEVER,
		.settled = VERDICT_NEVER,
		.droppable = VERDICT_NEVER,
		.refused = VERDICT_NEVER,
		.aside = VERDICT_NEVER,
	};
	return l->packs + l->n++;
}

static int by_seq(const void *key, const void *element)
{
	uint64_t seq = *(const uint64_t *) key, at = ((const struct verdict_pack *) element)->seq;

	return (seq > at) - (seq < at);
}

struct verdict_pack *verdict_find(const struct verdict_ledger *l, uint64_t seq)
{
	if (l->n == 0)
		return NULL;
	return bsearch(&seq, l->packs, l->n, sizeof(*l->packs), by_seq);
}

static size_t frozen(size_t fact, size_t cut)
{
	return fact <= cut ? 0 : VERDICT_NEVER;
}

void verdict_freeze(struct verdict_ledger *to, const struct verdict_ledger *from, size_t cut)
{
	assert(to->n == 0);
	for (size_t i = 0; i < from->n; i++) {
		const struct verdict_pack *p = from->packs + i;
		struct verdict_pack *copy;

		if (p->put > cut)
			continue;
		copy = verdict_put(to, p->seq, p->device, p->crc, 0);
		copy->promised = frozen(p->promised, cut);
		copy->acked = frozen(p->acked, cut);
		copy->settled = frozen(p->settled, cut);
		copy->droppable = frozen(p->droppable, cut);
		copy->refused = frozen(p->refused, cut);
		copy->aside = frozen(p->aside, cut);
	}
}

void verdict_done(struct verdict_ledger *l)
{
	free(l->packs);
	*l = (struct verdict_ledger){ .n = 0 };
}

/* --- the judgement --- */

struct judge {
	const struct verdict_case *c;
	struct verdict_finding *out;
	size_t max, n;
	bool *came;    /* by place in the ledger */
	uint64_t gaps; /* packs that gap records speak of */
};

const char *verdict_name(enum verdict_kind k)
{
	static const char *const names[VERDICT_KINDS_] = {
		[VERDICT_LOST] = "lost",
		[VERDICT_INVENTED] = "invented",
		[VERDICT_ALTERED] = "altered",
		[VERDICT_TWICE] = "twice",
		[VERDICT_DISORDER] = "out of order",
		[VERDICT_FALSE_GAP] = "a false gap record",
		[VERDICT_MISCOUNTED] = "miscounted",
		[VERDICT_DAMAGED] = "damaged",
		[VERDICT_STUCK] = "stuck",
	};

	return names[k];
}

static void find(struct judge *j, enum verdict_kind kind, uint64_t seq)
{
	if (j->n < j->max)
		j->out[j->n] = (struct verdict_finding){ kind, seq };
	j->n++;
}

static bool holds(const struct judge *j, size_t fact)
{
	return fact != VERDICT_NEVER && fact <= j->c->cut;
}

static void judge_pack(struct judge *j, const struct verdict_arrival *a)
{
	const struct verdict_ledger *l = j->c->ledger;
	const struct verdict_pack *p = verdict_find(l, a->seq);
	bool *came;

	if (!p || !holds(j, p->put)) {
		find(j, VERDICT_INVENTED, a->seq);
		return;
	}
	if (p->crc != a->crc || p->device != a->device)
		find(j, VERDICT_ALTERED, a->seq);
	came = j->came + (p - l->packs);
	if ((*came || holds(j, p->settled) || holds(j, p->aside)) && !(j->c->altered && j->c->told))
		find(j, VERDICT_TWICE, a->seq);
	*came = true;
}

/* Each arrival of a device must be younger than all before: of a gap record, its end counts. */
static void judge_order(struct judge *j, size_t at)
{
	const struct verdict_arrival *a = j->c->arrivals + at;

	for (size_t i = at; i-- > 0;) {
		const struct verdict_arrival *before = j->c->arrivals + i;

		if (before->device != a->device)
			continue;
		if (before->seq > a->seq)
			find(j, VERDICT_DISORDER, a->seq);
		break;
	}
}

/* Only what is missing, and all of it. */
static void judge_gap(struct judge *j, size_t at)
{
	const struct verdict_case *c = j->c;
	const struct verdict_arrival *a = c->arrivals + at;
	uint64_t least = 0, most = 0;
	bool last = false, overlaps = false;

	for (size_t i = 0; i < c->ledger->n; i++) {
		const struct verdict_pack *p = c->ledger->packs + i;

		if (p->device != a->device || p->seq < a->gap_first || p->seq > a->seq ||
		    !holds(j, p->put) || j->came[i])
			continue;
		last = last || p->seq == a->seq;
		most++;
		least += holds(j, p->promised) && !holds(j, p->acked) && !holds(j, p->refused);
	}
	for (size_t i = 0; i < at; i++)
		overlaps = overlaps || (c->arrivals[i].gap && c->arrivals[i].device == a->device &&
					c->arrivals[i].seq >= a->gap_first);
	if (!last || overlaps || a->gap < least || a->gap > most)
		find(j, VERDICT_FALSE_GAP, a->seq);
	j->gaps += a->gap;
}

static bool covered(const struct judge *j, const struct verdict_pack *p)
{
	for (size_t i = 0; i < j->c->n; i++) {
		const struct verdict_arrival *a = j->c->arrivals + i;

		if (a->gap && a->device == p->device && a->gap_first <= p->seq && p->seq <= a->seq)
			return true;
	}
	return false;
}

static void judge_missing(struct judge *j)
{
	const struct verdict_case *c = j->c;

	for (size_t i = 0; i < c->ledger->n; i++) {
		const struct verdict_pack *p = c->ledger->packs + i;

		if (j->came[i] || !holds(j, p->promised) || holds(j, p->acked) ||
		    holds(j, p->refused))
			continue;
		if (c->altered ? c->told : holds(j, p->droppable) && covered(j, p))
			continue;
		find(j, VERDICT_LOST, p->seq);
	}
}

static void judge_counts(struct judge *j)
{
	const struct verdict_case *c = j->c;
	uint64_t droppable = 0, refused = 0, aside = 0;

	for (size_t i = 0; i < c->ledger->n; i++) {
		const struct verdict_pack *p = c->ledger->packs + i;

		droppable += holds(j, p->droppable);
		refused += holds(j, p->refused);
		aside += holds(j, p->aside);
	}
	if (c->rows != c->n || c->dropped < j->gaps || c->dropped > droppable ||
	    c->set_aside < aside || c->set_aside > refused)
		find(j, VERDICT_MISCOUNTED, 0);
	if (c->told)
		find(j, VERDICT_DAMAGED, 0);
}

size_t verdict_judge(const struct verdict_case *c, struct verdict_finding *out, size_t max)
{
	struct judge j = { .c = c, .out = out, .max = max };

	j.came = calloc(c->ledger->n + 1, sizeof(*j.came));
	assert(j.came);
	for (size_t i = 0; i < c->n; i++) {
		if (!c->altered || !c->told)
			judge_order(&j, i);
		if (c->arrivals[i].gap == 0)
			judge_pack(&j, c->arrivals + i);
	}
	for (size_t i = 0; i < c->n; i++)
		if (c->arrivals[i].gap != 0)
			judge_gap(&j, i);
	judge_missing(&j);
	if (!c->altered && !c->damaged)
		judge_counts(&j);
	if (!c->ended || c->left != 0)
		find(&j, VERDICT_STUCK, 0);
	free(j.came);
	return j.n;
}
