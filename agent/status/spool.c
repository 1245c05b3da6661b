/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/spool.h"

#include "agent/status/member.h"
#include "base/clock.h"

#include <jansson.h>

/* How long a reading may be lost by a power cut while the broker does not acknowledge, but for the time of one commit. */
static uint64_t loss_window_us(const struct tg_config *cfg)
{
	uint64_t us = cfg->spool.commit_interval_us;

	return cfg->spool.durability == TG_DURABILITY_FULL ? us : us + TG_SPOOL_CHECKPOINT_US;
}

json_t *tg_status_spool(const struct tg_picture *p)
{
	const struct tg_spool_state *s = &p->spool;
	json_t *o = json_object();

	tg_member_put(o, "memory_packs", tg_member_number(s->memory_packs));
	tg_member_put(o, "memory_bytes", tg_member_number(s->memory_bytes));
	tg_member_put(o, "disk_packs", tg_member_number(s->disk_packs));
	tg_member_put(o, "disk_bytes", tg_member_number(s->disk_bytes));
	tg_member_put(o, "in_flight", tg_member_number(s->in_flight));
	tg_member_put(o, "held", tg_member_number(s->held));
	tg_member_put(o, "refused_devices", tg_member_number(s->refused_devices));
	tg_member_put(o, "refused_device", tg_member_text(s->refused_devices ? s->refused_device : ""));
	tg_member_put(o, "oldest", tg_member_date(s->oldest_wall_us / (int64_t) TG_US_PER_S));
	tg_member_put(o, "gaps", tg_member_number(s->gaps));
	tg_member_put(o, "dropped", tg_member_number(s->dropped));
	tg_member_put(o, "set_aside", tg_member_number(s->set_aside));
	tg_member_put(o, "acknowledged", tg_member_number(s->acknowledged));
	/* The link has one more where that is not to outlive a restart. */
	tg_member_put(o, "events", tg_member_number(p->link.events_waiting));
	tg_member_put(o, "events_stored", tg_member_number(s->events_stored));
	tg_member_put(o, "events_lost", tg_member_number(s->events_lost));
	tg_member_put(o, "durability",
		      json_string(p->cfg->spool.durability == TG_DURABILITY_FULL ? "full" : "normal"));
	tg_member_put(o, "loss_window_ms", tg_member_number(loss_window_us(p->cfg) / TG_US_PER_MS));
	tg_member_put(o, "error", tg_member_text(s->error_text));
	tg_member_put(o, "error_s",
		      s->error_since_us && p->now_us >= s->error_since_us
			      ? tg_member_number((p->now_us - s->error_since_us) / TG_US_PER_S)
			      : json_null());
	return o;
}

char *tg_status_spool_json(const struct tg_picture *p)
{
	json_t *o = tg_status_spool(p);
	char *text;

	tg_member_put(o, "memory_max", tg_member_number(p->cfg->spool.memory));
	tg_member_put(o, "disk_max", tg_member_number(p->cfg->spool.max_size));
	tg_member_put(o, "age_max_s", tg_member_number(p->cfg->spool.max_age_us / TG_US_PER_S));
	tg_member_put(o, "when_full",
		      json_string(p->cfg->spool.when_full == TG_DROP_OLDEST ? "drop-oldest" : "drop-newest"));
	tg_member_put(o, "repairs", tg_member_number(p->spool.repairs));
	tg_member_put(o, "kept_as", tg_member_text(p->spool.aside));
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}
