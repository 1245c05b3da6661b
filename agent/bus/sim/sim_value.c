/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/sim/sim_value.h"

#include <math.h>
#include <string.h>

static void show(struct tg_sample *out, struct tg_value v)
{
	out->value = v;
	out->quality = TG_GOOD;
	out->reason = "";
}

static void show_real(struct tg_sample *out, double v)
{
	show(out, (struct tg_value){ .type = TG_VALUE_REAL, .real = v });
}

/* splitmix64 (Steele, Lea, Flood 2014): the n-th number of a seed without the ones before it. */
static double uniform(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (double) ((z ^ z >> 31) >> 11) / (double) (UINT64_C(1) << 53);
}

/* Where in its period it is, from 0 to 1. */
static double phase(const struct tg_sim_read *r, uint64_t elapsed_us)
{
	return (double) (elapsed_us % r->period_us) / (double) r->period_us;
}

static uint64_t counted(const struct tg_sim_read *r, uint64_t readings)
{
	uint64_t n = r->start + readings * r->step;

	return r->bits < 64 ? n & ((UINT64_C(1) << r->bits) - 1) : n;
}

static void show_text(const struct tg_sim_read *r, const struct tg_sim_state *state,
		      char room[static TG_TEXT_MAX + 1], struct tg_sample *out)
{
	const char *text = state->written ? state->value.text : r->text;
	size_t len = state->written ? strnlen(text, TG_TEXT_MAX) : r->text_len;

	memcpy(room, text, len);
	room[len] = '\0';
	show(out, (struct tg_value){ .type = TG_VALUE_TEXT, .text = room });
}

static void show_constant(const struct tg_sim_read *r, const struct tg_sim_state *state,
			  struct tg_sample *out)
{
	if (state->written)
		show(out, state->value);
	else if (r->truth)
		show(out, (struct tg_value){ .type = TG_VALUE_BOOL, .b = r->low != 0 });
	else if (r->low == nearbyint(r->low) && fabs(r->low) < 9007199254740992.0)
		show(out, (struct tg_value){ .type = TG_VALUE_INT, .i = (int64_t) r->low });
	else
		show_real(out, r->low);
}

void tg_sim_value(const struct tg_sim_read *r, struct tg_sim_state *state, uint64_t elapsed_us,
		  uint64_t writes, char room[static TG_TEXT_MAX + 1], struct tg_sample *out)
{
	uint64_t n = state->readings++;
	double width = r->high - r->low;

	if (r->bad_every && n % r->bad_every == r->bad_every - 1) {
		out->value = (struct tg_value){ .type = TG_VALUE_NONE };
		out->quality = TG_BAD;
		out->reason = "simulated fault";
		return;
	}
	switch (r->form) {
	case TG_SIM_CONSTANT:
		return show_constant(r, state, out);
	case TG_SIM_SINE:
		return show_real(out,
				 r->low + width * (1 + sin(2 * M_PI * phase(r, elapsed_us))) / 2);
	case TG_SIM_RAMP:
		return show_real(out, r->low + width * phase(r, elapsed_us));
	case TG_SIM_SQUARE:
		if (r->truth)
			return show(out, (struct tg_value){ .type = TG_VALUE_BOOL,
							    .b = phase(r, elapsed_us) >= 0.5 });
		return show_real(out, phase(r, elapsed_us) < 0.5 ? r->low : r->high);
	case TG_SIM_RANDOM:
		return show_real(out, r->low + width * uniform(r->seed, n));
	case TG_SIM_COUNTER:
		return show(out, (struct tg_value){ .type = TG_VALUE_UINT, .u = counted(r, n) });
	case TG_SIM_TEXT:
		return show_text(r, state, room, out);
	case TG_SIM_WRITES:
		return show(out, (struct tg_value){ .type = TG_VALUE_UINT, .u = writes });
	}
}
