/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline/rules.h"

#include <errno.h>
#include <math.h>
#include <string.h>

int tg_rule_init(struct tg_rule *r, const struct tg_config_point *point)
{
	*r = (struct tg_rule){
		.point = strdup(point->name),
		.publish = point->publish,
		.deadband = point->deadband,
		.deadband_percent = point->deadband_percent,
		.max_silence_us = point->max_silence_us,
	};
	return r->point ? 0 : -ENOMEM;
}

static void forget(struct tg_rule *r)
{
	if (r->last.type == TG_VALUE_TEXT)
		free((char *) r->last.text);
	r->last = (struct tg_value){ .type = TG_VALUE_NONE };
	r->told = false;
}

void tg_rule_done(struct tg_rule *r)
{
	forget(r);
	free(r->point);
	*r = (struct tg_rule){ .point = NULL };
}

/* The step from the last value to @now, in the integers' own arithmetic where a double would lose
 * digits. */
static double step_between(const struct tg_value *last, const struct tg_value *now)
{
	if (now->type == TG_VALUE_REAL)
		return fabs(now->real - last->real);
	if (now->type == TG_VALUE_UINT)
		return (double) (now->u > last->u ? now->u - last->u : last->u - now->u);
	return (double) (now->i > last->i ? (uint64_t) now->i - (uint64_t) last->i
					  : (uint64_t) last->i - (uint64_t) now->i);
}

static double magnitude(const struct tg_value *v)
{
	if (v->type == TG_VALUE_REAL)
		return fabs(v->real);
	return v->type == TG_VALUE_UINT ? (double) v->u : fabs((double) v->i);
}

static bool changed(const struct tg_rule *r, const struct tg_value *now)
{
	double band = r->deadband;

	/* A point may turn from integer to real when its scale is edited. */
	if (now->type != r->last.type)
		return true;
	switch (now->type) {
	case TG_VALUE_NONE:
		return false;
	case TG_VALUE_BOOL:
		return now->b != r->last.b;
	case TG_VALUE_TEXT:
		return strcmp(now->text, r->last.text) != 0;
	case TG_VALUE_INT:
	case TG_VALUE_UINT:
	case TG_VALUE_REAL:
		break;
	}
	/* A last value of zero gives a band of zero: every step away from it counts, and so does
	 * every step to it. */
	if (r->deadband_percent)
		band = magnitude(&r->last) * (r->deadband / 100);
	return step_between(&r->last, now) > band;
}

bool tg_rule_due(const struct tg_rule *r, const struct tg_sample *s)
{
	if (!r->told || s->quality != r->quality)
		return true;
	if (r->publish == TG_PUBLISH_ALWAYS && s->quality == TG_GOOD)
		return true;
	/* A stale reading may be older than the last published one; that is no long silence. */
	if (r->max_silence_us > 0 && s->boot_us >= r->boot_us &&
	    s->boot_us - r->boot_us >= r->max_silence_us)
		return true;
	return s->quality == TG_GOOD && changed(r, &s->value);
}

void tg_rule_told(struct tg_rule *r, const struct tg_sample *s)
{
	forget(r);
	r->last = s->value;
	if (s->value.type == TG_VALUE_TEXT) {
		r->last.text = strdup(s->value.text);
		if (!r->last.text) {
			r->last.type = TG_VALUE_NONE;
			return;
		}
	}
	r->quality = s->quality;
	r->boot_us = s->boot_us;
	r->told = true;
}
