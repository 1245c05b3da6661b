/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_internal.h"

#include "agent/status/clock.h"
#include "base/clock.h"

#include <tidegate/log.h>

#include <stdlib.h>

/* A clock that somebody sets again and again is not worth more messages than this. */
#define EVENTS_BURST  6
#define EVENTS_WINDOW (600 * TG_US_PER_S)

/*
 * Readings that have gone out already: undated ones get the clock's offset to the time since boot by this, and who stored dated
 * ones hears that the clock was wrong.
 */
static void tell_receivers(struct tg_agent *a, const struct tg_time_change *change)
{
	static struct tg_log_limit limit = TG_LOG_LIMIT_INIT;
	uint64_t now = tg_clock_boot_us();
	tg_autofree char *json = NULL;
	bool was = change->was.trust == TG_CLOCK_SUSPECT, is = change->is.trust == TG_CLOCK_SUSPECT;

	if (is || (!was && !change->step_us))
		return;
	/* The status document has the offset, too. */
	if (!tg_log_allowed(&limit, now, EVENTS_BURST, EVENTS_WINDOW))
		return;
	json = tg_status_clock_event(change, a->spec.id, a->boot_id, now);
	if (json && tg_link_event(a->link, json) == 0)
		json = NULL;
}

/* A broker that our clock was against is not kept waiting for the end of a back-off once the clock is another one. */
static void retry_link(struct tg_agent *a, const struct tg_time_change *change)
{
	static struct tg_log_limit limit = TG_LOG_LIMIT_INIT;

	if (!change->step_us || a->link_report.state != TG_LINK_OFFLINE ||
	    a->link_report.cause != TG_MQTT_CAUSE_TLS_PEER)
		return;
	if (tg_log_allowed(&limit, tg_clock_boot_us(), EVENTS_BURST, EVENTS_WINDOW))
		(void) !tg_link_identity_changed(a->link);
}

void tg_agent_on_clock(void *user, const struct tg_time_change *change)
{
	struct tg_agent *a = user;

	tell_receivers(a, change);
	tg_keeper_clock_changed(a->keeper);
	retry_link(a, change);
	a->status_due = true;
}

void tg_agent_keep_floor(struct tg_agent *a)
{
	static const enum tg_slot slots[] = { TG_SLOT_CURRENT, TG_SLOT_CANDIDATE };
	struct tg_manifest m;

	/*
	 * A candidate only where there is nothing else: the first one may be all that is known of
	 * the time. Beside a current one, an authority that dates it wrong would move the clock of
	 * a gateway for good, although no broker ever takes what it issued.
	 */
	for (size_t i = 0; i < TG_ARRAY_SIZE(slots); i++) {
		if (tg_generation_read(a->o->state_dir, slots[i], &m, NULL) < 0)
			continue;
		tg_timekeeping_raise_floor(a->time, TG_FLOOR_CERTIFICATE, m.not_before);
		return;
	}
}
