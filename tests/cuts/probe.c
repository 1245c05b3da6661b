/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cuts/probe.h"

#include <assert.h>

#define WINDOW     32u
#define LOOK_AGAIN 8u /* every so many checks the drained file is opened once more */

void probe_init(struct probe *p, const struct subject_limits *limits)
{
	struct verdict_ledger none = { .n = 0 };

	*p = (struct probe){ .limits = *limits };
	subject_init(&p->subject, limits, &none);
}

void probe_done(struct probe *p)
{
	subject_done(&p->subject);
}

/* What was drained and closed must be empty for the next start, too. */
static uint64_t rows_left(struct probe *p)
{
	uint64_t rows;

	if (subject_open(&p->subject) < 0)
		return UINT64_MAX;
	rows = p->subject.disk.counts.rows;
	if (p->subject.disk.error != 0)
		rows = UINT64_MAX;
	subject_close(&p->subject);
	return rows;
}

static void drain(struct probe *p, struct verdict_case *c)
{
	struct subject *s = &p->subject;

	if (subject_open(s) < 0)
		return;
	c->rows = s->disk.counts.rows;
	c->dropped = s->disk.counts.dropped;
	c->set_aside = s->disk.counts.set_aside;
	c->ended = subject_drain(s, WINDOW);
	c->arrivals = s->arrivals;
	c->n = s->n_arrivals;
	c->left = s->disk.counts.rows;
	c->told = subject_has_told(s) || (p->altered && s->disk.counts.dropped > c->dropped);
	subject_close(s);
	if (!s->closed_well)
		c->ended = false;
}

size_t probe_check(struct probe *p, const struct image *im, const struct verdict_ledger *ledger,
		   struct medium_log *log, struct verdict_ledger *recovery)
{
	struct verdict_ledger working = { .n = 0 };
	struct verdict_case c = { .ledger = ledger, .altered = p->altered, .damaged = p->damaged };
	size_t found;

	verdict_freeze(&working, ledger, 0);
	p->subject.ledger = &working;
	p->subject.limits = p->limits;
	p->subject.seq = working.n ? working.packs[working.n - 1].seq : 0;
	if (log)
		medium_start(log, p->subject.dir, im);
	else
		image_store(im, p->subject.dir);
	drain(p, &c);
	if (log)
		medium_stop();
	p->told = c.told;
	p->came = c.n;
	if (c.ended && p->checks++ % LOOK_AGAIN == 0 && !log)
		c.left += rows_left(p);
	found = verdict_judge(&c, p->findings, sizeof(p->findings) / sizeof(p->findings[0]));
	if (recovery)
		*recovery = working;
	else
		verdict_done(&working);
	return found;
}
