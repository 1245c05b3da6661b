/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/encode/reading.h"

#include "base/clock.h"
#include "json/json.h"

#include <jansson.h>
#include <string.h>

static json_t *value(const struct tg_value *v)
{
	switch (v->type) {
	case TG_VALUE_NONE:
		return json_null();
	case TG_VALUE_BOOL:
		return json_boolean(v->b);
	case TG_VALUE_INT:
		return json_integer(v->i);
	case TG_VALUE_UINT:
		/* jansson's integers are signed; what does not fit is shown exactly, as text. */
		return v->u <= INT64_MAX ? json_integer((json_int_t) v->u)
					 : json_sprintf("%llu", (unsigned long long) v->u);
	case TG_VALUE_REAL:
		return json_real(v->real);
	case TG_VALUE_TEXT:
		return json_string(v->text);
	}
	return json_null();
}

/* @offset_us leads to the wall clock; each sample has a time of its own, to the microsecond. */
static json_t *sample(const struct tg_sample *s, int64_t offset_us)
{
	static const char *const qualities[] = { "good", "stale", "bad" };
	json_t *o = json_pack("{s:s, s:o, s:s, s:s, s:I}", "point", s->point, "value",
			      value(&s->value), "unit", s->unit, "quality",
			      qualities[s->quality], "time_us",
			      (json_int_t) ((int64_t) s->boot_us + offset_us));

	if (s->quality != TG_GOOD)
		(void) json_object_set_new(o, "reason", json_string(s->reason));
	return o;
}

char *tg_reading_json(const struct tg_parcel *p, const char *point)
{
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { .samples = NULL };
	json_t *samples, *o;
	unsigned long refused = tg_json_refused();
	char iso[32];

	if (tg_parcel_unpack(p, &u) < 0)
		return NULL;
	samples = json_array();
	for (size_t i = 0; i < u.pack.n_samples; i++) {
		if (!point[0] || strcmp(point, u.pack.samples[i].point) == 0)
			(void) json_array_append_new(samples, sample(&u.pack.samples[i],
								 u.pack.wall_offset_us));
	}
	o = json_pack(
		"{s:s, s:s, s:s, s:o}", "device", u.pack.device, "time",
		tg_clock_iso((int64_t) u.pack.samples[0].boot_us + u.pack.wall_offset_us, iso),
		"clock", tg_clock_trust_name(u.pack.clock), "samples", samples);
	return tg_json_print(o, refused);
}
