/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/member.h"

#include "base/clock.h"

#include <jansson.h>

json_t *tg_member_text(const char *s)
{
	return s && s[0] ? json_string(s) : json_null();
}

json_t *tg_member_number(uint64_t v)
{
	return json_integer((json_int_t) v);
}

json_t *tg_member_date(int64_t wall_s)
{
	char iso[32];

	return wall_s ? json_string(tg_clock_iso(wall_s * (int64_t) TG_US_PER_S, iso))
		      : json_null();
}

void tg_member_put(json_t *object, const char *key, json_t *value)
{
	(void) json_object_set_new(object, key, value);
}
