/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/convert.h"

#include <assert.h>
#include <errno.h>
#include <math.h>

#define ROUNDING 1e-9               /* of the value: more than a few operations on doubles lose */
#define WHOLE    9007199254740992.0 /* 2^53: up to there doubles hold every whole number */

static bool is_plain(const struct tg_config_point *p)
{
	return p->scale == 1.0 && p->offset == 0.0;
}

/*
 * The whole number that @scale is the inverse of, or 0. A scale such as 0.1 has no exact binary form
 * while its inverse has: dividing by 10 gives the double nearest to the decimal result, where
 * multiplying gives 0.30000000000000004 for a raw 3.
 */
static double divisor(double scale)
{
	double inverse = nearbyint(1.0 / scale);

	return fabs(scale) < 1.0 && isfinite(inverse) && 1.0 / inverse == scale ? inverse : 0;
}

static void spoil(struct tg_sample *s, const char *reason)
{
	s->value = (struct tg_value){ .type = TG_VALUE_NONE };
	s->quality = TG_BAD;
	s->reason = reason;
}

/* A number as a double; false for what is none. */
static bool to_real(const struct tg_value *v, double *ret)
{
	switch (v->type) {
	case TG_VALUE_INT:
		*ret = (double) v->i;
		return true;
	case TG_VALUE_UINT:
		*ret = (double) v->u;
		return true;
	case TG_VALUE_REAL:
		*ret = v->real;
		return true;
	case TG_VALUE_NONE:
	case TG_VALUE_BOOL:
	case TG_VALUE_TEXT:
		break;
	}
	return false;
}

void tg_convert(const struct tg_config_point *p, struct tg_sample *s)
{
	double raw, by, shown;

	if (s->quality != TG_GOOD || !to_real(&s->value, &raw))
		return;
	if (!isfinite(raw))
		return spoil(s, "not a number");
	if (is_plain(p))
		return;
	by = divisor(p->scale);
	shown = (by != 0 ? raw / by : raw * p->scale) + p->offset;
	if (!isfinite(shown))
		return spoil(s, "out of range when scaled");
	s->value = (struct tg_value){ .type = TG_VALUE_REAL, .real = shown };
}

static int check_range(const struct tg_config_point *p, double shown, struct tg_fault *reterr)
{
	if (!isfinite(shown))
		return tg_fault_set(reterr, -ERANGE, "not a number");
	if (p->has_min && shown < p->min)
		return tg_fault_set(reterr, -ERANGE, "%.10g is below min = %.10g", shown, p->min);
	if (p->has_max && shown > p->max)
		return tg_fault_set(reterr, -ERANGE, "%.10g is above max = %.10g", shown, p->max);
	return 0;
}

static struct tg_value number(double v)
{
	double whole = nearbyint(v);

	if (fabs(whole) < WHOLE && fabs(v - whole) <= fabs(v) * ROUNDING)
		return (struct tg_value){ .type = TG_VALUE_INT, .i = (int64_t) whole };
	return (struct tg_value){ .type = TG_VALUE_REAL, .real = v };
}

int tg_convert_back(const struct tg_config_point *p, const struct tg_value *shown,
		    struct tg_value *ret_raw, struct tg_fault *reterr)
{
	double v, by, raw;
	int r;

	if (shown->type == TG_VALUE_NONE)
		return tg_fault_set(reterr, -EINVAL, "no value");
	if (!to_real(shown, &v)) {
		*ret_raw = *shown;
		return 0;
	}
	r = check_range(p, v, reterr);
	if (r < 0)
		return r;
	if (is_plain(p) && shown->type != TG_VALUE_REAL) {
		*ret_raw = *shown;
		return 0;
	}
	assert(p->scale != 0);
	by = divisor(p->scale);
	raw = by != 0 ? (v - p->offset) * by : (v - p->offset) / p->scale;
	if (!isfinite(raw))
		return tg_fault_set(reterr, -ERANGE, "out of range when scaled");
	*ret_raw = number(raw);
	return 0;
}
