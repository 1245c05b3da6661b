/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline/admit.h"

#include <math.h>
#include <string.h>

/* No longer than @max; does not look behind it. */
static bool fits(const char *s, size_t max)
{
	return strnlen(s, max + 1) <= max;
}

struct tg_sample tg_sample_spoil(const struct tg_sample *s, const char *reason)
{
	struct tg_sample out = *s;

	out.quality = TG_BAD;
	out.reason = reason;
	out.value = (struct tg_value){ .type = TG_VALUE_NONE };
	return out;
}

struct tg_sample tg_sample_admit(const struct tg_sample *s)
{
	struct tg_sample out = *s;

	out.unit = s->unit && fits(s->unit, TG_UNIT_MAX) ? s->unit : "";
	if (s->quality != TG_GOOD) {
		out.value = (struct tg_value){ .type = TG_VALUE_NONE };
		out.reason = s->reason ? s->reason : "";
		if (!fits(out.reason, TG_REASON_MAX))
			out.reason = "the reason is too long to tell";
		return out;
	}

	out.reason = "";
	if (s->value.type == TG_VALUE_NONE)
		return tg_sample_spoil(&out, "no value");
	if (s->value.type == TG_VALUE_REAL && !isfinite(s->value.real))
		return tg_sample_spoil(&out, "not a number");
	if (s->value.type == TG_VALUE_TEXT && !fits(s->value.text, TG_TEXT_MAX))
		return tg_sample_spoil(&out, "text too long");
	return out;
}
