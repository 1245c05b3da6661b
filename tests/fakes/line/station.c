/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/line/station.h"

#include <string.h>
#include <time.h>

uint64_t line_now_ns(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}

struct line_tape *line_station_tape(struct line_station *s)
{
	for (size_t i = 0; i < LINE_TAPES; i++) {
		struct line_tape *t = &s->tapes[i];

		if (t->active)
			continue;
		t->active = true;
		t->echo = false;
		t->owner = -1;
		t->segment = t->at = 0;
		t->unit = NULL;
		return t;
	}
	return NULL;
}

static void note(struct line_station *s, struct line_entry e, const uint8_t *pdu, size_t len)
{
	if (len >= 5) {
		e.address = (uint16_t) (pdu[1] << 8 | pdu[2]);
		e.count = (uint16_t) (pdu[3] << 8 | pdu[4]);
	}
	if (s->n_log < LINE_LOG_MAX)
		s->log[s->n_log++] = e;
}

static void broadcast(struct line_station *s, const uint8_t *pdu, size_t len)
{
	uint8_t unheard[LINE_PDU_MAX];

	for (unsigned i = 1; i < LINE_UNITS; i++) {
		if (s->units[i] && !s->units[i]->dead)
			(void) line_unit_answer(s->units[i], pdu, len, unheard);
	}
}

static const struct line_misdeed *take_misdeed(struct line_unit *u)
{
	const struct line_misdeed *m = u->misdeed;

	if (m && u->times > 0 && --u->times == 0)
		u->misdeed = NULL;
	return m;
}

struct line_tape *line_station_hear(struct line_station *s, struct line_exchange *x,
				    const uint8_t *pdu, size_t len, struct line_entry entry,
				    uint64_t *ret_delay_us)
{
	struct line_unit *u = s->units[x->unit];
	const struct line_misdeed *m;
	struct line_tape *t;
	size_t right;

	note(s, entry, pdu, len);
	if (x->unit == 0 && s->kind == LINE_RTU)
		broadcast(s, pdu, len);
	if (!u || x->unit == 0) {
		s->stats.foreign++;
		return NULL;
	}
	s->stats.requests++;
	if (u->dead || u->deaf_until_us > line_now_ns() / 1000)
		return NULL;

	right = line_unit_answer(u, pdu, len, x->pdu);
	t = right ? line_station_tape(s) : NULL;
	if (!t)
		return NULL;
	x->pdu_len = right;
	x->argument = u->argument;
	x->before = u->before_len ? u->before : NULL;
	x->before_len = u->before_len;
	m = take_misdeed(u);
	t->unit = u;
	{
		uint8_t kept[LINE_PDU_MAX];

		memcpy(kept, x->pdu, right);
		line_misdeed_commit(m, x, &t->reply);
		memcpy(u->before, kept, right);
		u->before_len = right;
	}
	*ret_delay_us = u->delay_us;
	return t;
}

uint64_t line_station_next_ns(const struct line_station *s)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < LINE_TAPES; i++) {
		if (s->tapes[i].active && s->tapes[i].next_ns < next)
			next = s->tapes[i].next_ns;
	}
	return next;
}

void line_station_hush(struct line_station *s, int owner)
{
	for (size_t i = 0; i < LINE_TAPES; i++) {
		if (owner < 0 || s->tapes[i].owner == owner)
			s->tapes[i].active = false;
	}
}
