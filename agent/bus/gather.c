/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gather.h"

#include "base/clock.h"

#include <tidegate/error.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void forget_texts(struct tg_sample *s)
{
	if (s->value.type == TG_VALUE_TEXT)
		free((char *) s->value.text);
	s->value = (struct tg_value){ .type = TG_VALUE_NONE };
	if (*s->reason)
		free((char *) s->reason);
	s->reason = "";
}

/* "30 s", "1.5 s", as one would say it. */
static void say_silence(struct tg_gather *g)
{
	uint64_t ms = g->cfg->stale_after_us / TG_US_PER_MS;

	if (ms % 1000)
		(void) snprintf(g->silence, sizeof(g->silence), "nothing for %.10g s",
				(double) ms / 1000);
	else
		(void) snprintf(g->silence, sizeof(g->silence), "nothing for %llu s",
				(unsigned long long) ms / 1000);
}

/* When it turns stale if nothing comes: not before it was told, where gather is longer than stale-after. */
static uint64_t stale_us(const struct tg_gather *g, const struct tg_gather_point *p)
{
	uint64_t at;

	if (!g->ages || !g->cfg->stale_after_us)
		return TG_US_FOREVER;
	at = tg_us_add(p->heard_us, g->cfg->stale_after_us);
	return p->pending && at < g->due_us ? g->due_us : at;
}

static void set_freshness(struct tg_gather *g, struct tg_gather_point *p,
			  enum tg_gather_freshness freshness)
{
	g->n_fresh -= p->freshness == TG_GATHER_FRESH;
	g->n_stale -= p->freshness == TG_GATHER_STALE;
	p->freshness = freshness;
	g->n_fresh += p->freshness == TG_GATHER_FRESH;
	g->n_stale += p->freshness == TG_GATHER_STALE;
}

int tg_gather_init(struct tg_gather *g, const struct tg_config_device *cfg, bool ages,
		   uint64_t now_us)
{
	*g = (struct tg_gather){ .cfg = cfg,
				 .ages = ages,
				 .look_us = ages && cfg->stale_after_us
						    ? tg_us_add(now_us, cfg->stale_after_us)
						    : TG_US_FOREVER,
				 .due_us = TG_US_FOREVER,
				 .tick_us = tg_us_add(now_us, cfg->every_us),
				 .second_us = now_us };
	g->points = calloc(cfg->n_points ? cfg->n_points : 1, sizeof(*g->points));
	if (!g->points)
		return -ENOMEM;
	for (size_t i = 0; i < cfg->n_points; i++) {
		g->points[i].newest.reason = "";
		g->points[i].heard_us = now_us;
	}
	say_silence(g);
	return 0;
}

void tg_gather_done(struct tg_gather *g)
{
	for (size_t i = 0; g->points && i < g->cfg->n_points; i++)
		forget_texts(&g->points[i].newest);
	free(g->points);
	g->points = NULL;
}

/* --- hearing --- */

static void count(struct tg_gather *g, struct tg_gather_point *p, uint64_t now_us)
{
	if (now_us >= tg_us_add(g->second_us, TG_US_PER_S)) {
		g->second_us = now_us;
		for (size_t i = 0; i < g->cfg->n_points; i++)
			g->points[i].said = 0;
	}
	g->heard++;
	if (++p->said <= TG_GATHER_RATE)
		return;
	g->over++;
	g->babbled_us = now_us;
}

/* Takes the texts of @s over as copies. */
static void keep(struct tg_gather_point *p, const struct tg_sample *s)
{
	struct tg_sample copy = *s;

	if (copy.value.type == TG_VALUE_TEXT)
		copy.value.text = strndup(copy.value.text, TG_TEXT_MAX + 1);
	copy.reason = s->reason && *s->reason ? strndup(s->reason, TG_REASON_MAX) : "";
	if (copy.value.type == TG_VALUE_TEXT && !copy.value.text) {
		copy.value.type = TG_VALUE_NONE;
		copy.quality = TG_BAD;
	}
	if (!copy.reason)
		copy.reason = "";
	forget_texts(&p->newest);
	p->newest = copy;
}

void tg_gather_up(struct tg_gather *g, uint64_t now_us)
{
	if (!g->down)
		return;
	g->down = false;
	for (size_t i = 0; i < g->cfg->n_points; i++) {
		g->points[i].heard_us = now_us;
		set_freshness(g, &g->points[i], TG_GATHER_AWAITED);
	}
	if (g->cfg->n_points)
		g->look_us = stale_us(g, &g->points[0]);
}

void tg_gather_hear(struct tg_gather *g, size_t i, const struct tg_sample *s, uint64_t now_us)
{
	struct tg_gather_point *p = &g->points[i];

	assert(i < g->cfg->n_points);
	/* The first word after a pause comes before the news that the bus is back. */
	tg_gather_up(g, now_us);
	count(g, p, now_us);
	keep(p, s);
	p->newest.point = g->cfg->points[i].name;
	p->newest.unit = g->cfg->points[i].unit;
	if (p->newest.boot_us == 0 || p->newest.boot_us > now_us)
		p->newest.boot_us = now_us;
	p->pending = true;
	p->heard_us = g->last_us = now_us;
	set_freshness(g, p, TG_GATHER_FRESH);
	if (stale_us(g, p) < g->look_us)
		g->look_us = stale_us(g, p);
	if (g->due_us == TG_US_FOREVER)
		g->due_us =
			tg_us_add(now_us, g->cfg->gather_us > TG_GATHER_MIN_US ? g->cfg->gather_us
									       : TG_GATHER_MIN_US);
}

void tg_gather_down(struct tg_gather *g, const char *reason, uint64_t now_us)
{
	(void) tg_printable(g->down_reason, sizeof(g->down_reason), reason, strlen(reason));
	if (g->down)
		return;
	g->down = true;
	/* What is pending comes first, then all at once as bad. */
	g->tick_us = now_us;
}

/* --- taking --- */

uint64_t tg_gather_next_us(const struct tg_gather *g)
{
	uint64_t next = g->due_us;

	if ((g->down || g->n_stale) && g->tick_us < next)
		next = g->tick_us;
	return !g->down && g->look_us < next ? g->look_us : next;
}

static size_t take_pending(struct tg_gather *g, struct tg_sample *out)
{
	size_t n = 0;

	g->due_us = TG_US_FOREVER;
	for (size_t i = 0; i < g->cfg->n_points; i++) {
		struct tg_gather_point *p = &g->points[i];

		if (!p->pending)
			continue;
		p->pending = false;
		out[n++] = p->newest;
	}
	return n;
}

static void offer_ill(const struct tg_gather *g, size_t i, uint64_t now_us, struct tg_sample *out)
{
	*out = (struct tg_sample){ .point = g->cfg->points[i].name,
				   .unit = g->cfg->points[i].unit,
				   .reason = g->down ? g->down_reason : g->silence,
				   .quality = g->down ? TG_BAD : TG_STALE,
				   .boot_us = now_us };
}

/* Those that turn stale at @now_us to @out, and all that are when @tick. Returns how many. */
static size_t take_stale(struct tg_gather *g, uint64_t now_us, bool tick, struct tg_sample *out)
{
	size_t n = 0;

	g->look_us = TG_US_FOREVER;
	for (size_t i = 0; i < g->cfg->n_points; i++) {
		struct tg_gather_point *p = &g->points[i];
		bool was = p->freshness == TG_GATHER_STALE,
		     is = was || (now_us >= stale_us(g, p) && !p->pending);

		if (is && !was)
			set_freshness(g, p, TG_GATHER_STALE);
		if (is && (!was || tick))
			offer_ill(g, i, now_us, &out[n++]);
		if (!is && stale_us(g, p) < g->look_us)
			g->look_us = stale_us(g, p);
	}
	return n;
}

size_t tg_gather_take(struct tg_gather *g, uint64_t now_us, struct tg_sample *out)
{
	bool tick = (g->down || g->n_stale) && now_us >= g->tick_us;
	size_t n = 0;

	/* One pack has each point at most once: what is ill then comes with the next call. */
	if (now_us >= g->due_us || (g->down && g->due_us != TG_US_FOREVER))
		return take_pending(g, out);
	if (tick)
		g->tick_us = tg_us_add(now_us, g->cfg->every_us);
	if (!g->down)
		return tick || now_us >= g->look_us ? take_stale(g, now_us, tick, out) : 0;
	for (size_t i = 0; tick && i < g->cfg->n_points; i++)
		offer_ill(g, i, now_us, &out[n++]);
	return n;
}

size_t tg_gather_all(const struct tg_gather *g, uint64_t now_us, struct tg_sample *out)
{
	for (size_t i = 0; i < g->cfg->n_points; i++) {
		const struct tg_gather_point *p = &g->points[i];

		if (!g->down && p->freshness == TG_GATHER_FRESH) {
			out[i] = p->newest;
			continue;
		}
		offer_ill(g, i, now_us, &out[i]);
		if (!g->down && p->freshness == TG_GATHER_AWAITED)
			out[i].reason = "nothing heard yet";
	}
	return g->cfg->n_points;
}

/* --- health --- */

unsigned tg_gather_ill(const struct tg_gather *g, const struct tg_gather_point **ret_first)
{
	const struct tg_gather_point *first = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < g->cfg->n_points; i++) {
		const struct tg_gather_point *p = &g->points[i];

		if (p->freshness == TG_GATHER_AWAITED && !g->down)
			continue;
		if (p->freshness == TG_GATHER_FRESH && p->newest.quality == TG_GOOD && !g->down)
			continue;
		if (!first)
			first = p;
		n++;
	}
	if (ret_first)
		*ret_first = first;
	return n;
}

bool tg_gather_is_dead(const struct tg_gather *g)
{
	return g->down || (g->n_stale > 0 && g->n_fresh == 0);
}

bool tg_gather_has_heard(const struct tg_gather *g)
{
	return g->n_fresh > 0;
}

bool tg_gather_babbles(const struct tg_gather *g, uint64_t now_us)
{
	return g->babbled_us && now_us < tg_us_add(g->babbled_us, TG_GATHER_CALM_US);
}
