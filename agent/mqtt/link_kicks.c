/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/cloud_event.h"
#include "agent/mqtt/link_internal.h"
#include "json/json.h"

#include <tidegate/log.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * Tells what several ends of sessions in a row have shown (kicks.h), once, and as a problem in the report for as long as it lasts.
 */
#define STATUS_MAX (128u * 1024) /* bytes; our own are smaller */

static void tell(struct tg_link *l, enum tg_event_id id, const char *text, enum tg_cloud_news news)
{
	struct tg_cloud_event e = {
		.news = news,
		.gateway = l->setup.spec.id,
		.wall_us = l->o.clock(l->o.clock_user).trust == TG_CLOCK_SUSPECT ? 0 : tg_clock_wall_us(),
		.client_id = l->report.client_id,
		.reason = l->report.problem,
	};

	tg_link_note(l, tg_cloud_event_json(&e), false);
	tg_event(id, LOG_ERR, text, TG_F_REASON, l->report.problem, TG_F_ENDPOINT,
		 l->report.endpoint, NULL);
}

static void tell_client_id(struct tg_link *l, const char *how)
{
	(void) snprintf(l->report.problem, sizeof(l->report.problem),
			"another client uses the client id %s%s; a cloned card?",
			l->report.client_id, how);
	tell(l, TG_EV_CLIENT_ID_TAKEN, "The client id is taken, or limited", TG_CLOUD_CLIENT_ID_TAKEN);
}

static void tell_readings(struct tg_link *l)
{
	(void) snprintf(l->report.problem, sizeof(l->report.problem),
			"the broker ends the connection on every reading, or acknowledges none: "
			"does its policy allow the topic %s?",
			l->setup.cfg->mqtt.topic);
	tell(l, TG_EV_READINGS_REFUSED, "The broker takes no readings", TG_CLOUD_READINGS_REFUSED);
}

bool tg_link_note_end(struct tg_link *l, uint64_t now)
{
	struct tg_kicks_end end = {
		.lasted_us = now - l->connect_us,
		.by_peer = l->facts.by_peer,
		.unanswered = l->overdue,
		.excused = l->facts.excused,
		.forgotten = l->reset && now - tg_mqtt_heard_us(l->mqtt) >= TG_KICKS_SILENCE_US,
		.packs = l->session_packs > l->session_acks,
		.acked = l->session_acks > 0,
	};
	bool stable;

	if (!l->proved)
		return false;
	l->was_proved = true;
	if (end.by_peer || end.unanswered)
		end.again = tg_flight_ended(&l->flight);
	stable = tg_kicks_is_stable(&l->kicks, &end);
	switch (tg_kicks_ended(&l->kicks, &end)) {
	case TG_KICKS_NOTHING:
		break;
	case TG_KICKS_CLIENT_ID:
		tell_client_id(l, ", or the broker limits it: it ends each session soon");
		break;
	case TG_KICKS_READINGS:
		tell_readings(l);
		break;
	}
	return stable;
}

void tg_link_watch_kicks(struct tg_link *l, uint64_t now)
{
	if (l->report.state != TG_LINK_ONLINE ||
	    !tg_kicks_lasts(&l->kicks, now - l->connect_us, l->session_acks > 0))
		return;
	tg_log(LOG_NOTICE, "link", "no longer: %s", l->report.problem);
	l->report.problem[0] = '\0';
}

const char *tg_link_instance(uint64_t instance, char out[static TG_LINK_INSTANCE_MAX])
{
	(void) snprintf(out, TG_LINK_INSTANCE_MAX, "%016" PRIx64, instance);
	return out;
}

void tg_link_note_status(struct tg_link *l, const struct tg_mqtt_event *e)
{
	tg_cleanup(tg_json_freep) struct json_t *o = NULL;
	char ours[TG_LINK_INSTANCE_MAX], instance[TG_LINK_INSTANCE_MAX], state[16], how[64];

	/*
	 * Before the first session an earlier start of this agent may have left what is retained. A client that has our id
	 * cannot be connected together with us: what it has left is all that is seen of it.
	 */
	if ((e->retained && !l->was_proved) ||
	    tg_json_object((const char *) e->payload, e->payload_len, STATUS_MAX, &o, NULL) < 0 ||
	    tg_json_text(o, "state", state, sizeof(state), NULL) < 0 ||
	    /* Wills come late, too. */
	    (!e->retained && strcmp(state, "offline") == 0) ||
	    tg_json_text(o, "instance", instance, sizeof(instance), NULL) < 0 ||
	    strcmp(instance, tg_link_instance(l->report.instance, ours)) == 0)
		return;
	if (!tg_kicks_seen(&l->kicks))
		return;
	(void) snprintf(how, sizeof(how), ": its status names the instance %s", instance);
	tell_client_id(l, how);
}
