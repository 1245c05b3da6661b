/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/clock.h"

#include "base/clock.h"
#include "json/json.h"

#include <jansson.h>
#include <stdio.h>

#define US_PER_MS ((int64_t) TG_US_PER_MS)
#define US_PER_S  ((int64_t) TG_US_PER_S)

struct boot_text {
	char text[33];
};

/* As in the packs. */
static struct boot_text boot_text(const uint8_t id[static 16])
{
	struct boot_text t;

	for (size_t i = 0; i < 16; i++)
		(void) snprintf(t.text + 2 * i, 3, "%02x", id[i]);
	return t;
}

const char *tg_status_clock_name(const struct tg_time_state *s)
{
	return s->waiting ? "waiting for synchronisation" : tg_clock_trust_name(s->trust);
}

json_t *tg_status_clock(const struct tg_time_state *s, const uint8_t boot_id[static 16])
{
	char floor[32], believed[32];

	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s, s:I, s:I}", "state",
			 tg_status_clock_name(s), "believed",
			 tg_clock_iso(s->believed_s * US_PER_S, believed), "floor",
			 tg_clock_iso(s->floor_s * US_PER_S, floor), "floor_source",
			 tg_floor_source_name(s->source), "service", s->service, "boot",
			 boot_text(boot_id).text, "offset_ms",
			 (json_int_t) (s->offset_us / US_PER_MS), "jumps", (json_int_t) s->jumps);
}

char *tg_status_clock_event(const struct tg_time_change *c, const char *id,
			    const uint8_t boot_id[static 16], uint64_t boot_us)
{
	bool repaired = c->was.trust == TG_CLOCK_SUSPECT;
	unsigned long refused = tg_json_refused();
	char now[32];
	json_t *o = json_pack(
		"{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "event",
		repaired ? "clock-repaired" : "clock-set", "id", id, "time",
		tg_clock_iso(c->is.offset_us + (int64_t) boot_us, now), "boot",
		boot_text(boot_id).text, "boottime_ms", (json_int_t) (boot_us / TG_US_PER_MS),
		"offset_ms", (json_int_t) (c->is.offset_us / US_PER_MS), "step_ms",
		(json_int_t) (c->step_us / US_PER_MS), "clock", tg_clock_trust_name(c->is.trust));

	return tg_json_print(o, refused);
}
