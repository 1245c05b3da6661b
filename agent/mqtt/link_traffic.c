/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_internal.h"

#include <tidegate/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * The first one of a session is what the session is judged by. Where its echo is waited for, it goes out when the
 * broker has confirmed the subscription: what comes back is then this one, and none that was retained.
 */
void tg_link_publish_status(struct tg_link *l)
{
	struct tg_fault why = { .text = "" };
	bool first = l->report.state == TG_LINK_GREETING, echo = l->setup.cfg->mqtt.echo;

	if (!l->status_fresh || !l->mqtt || (first && (l->status_sent || (echo && l->subscriptions))))
		return;
	if (first && echo) {
		l->echo = strdup(l->status);
		if (!l->echo)
			return;
	}
	if (tg_mqtt_publish(l->mqtt, l->status_topic, l->status, strlen(l->status), true,
			    first ? TG_COOKIE_STATUS : TG_COOKIE_NEWS, &why) < 0) {
		free(tg_take(l->echo));
		return; /* too many in flight: the next turn tries again */
	}
	l->status_fresh = false;
	l->status_sent = true;
}

/*
 * CONNACK, SUBACK and PUBACK together are the proof that the broker takes this identity, and the echo where it is
 * asked for. Nothing of what has been read goes out before: a broker that acknowledges what it refuses would have it.
 */
static void check_proof(struct tg_link *l)
{
	if (l->report.state != TG_LINK_GREETING || l->subscriptions || !l->status_acked || (l->echo && !l->echoed))
		return;
	l->proved = true;
	(void) snprintf(l->last_host, sizeof(l->last_host), "%s", l->setup.cfg->mqtt.endpoint);
	(void) snprintf(l->last_address, sizeof(l->last_address), "%s", tg_mqtt_address(l->mqtt));
	l->deadline_us = TG_US_FOREVER;
	l->report.error[0] = '\0';
	l->report.cause = TG_MQTT_CAUSE_NONE;
	free(tg_take(l->echo));
	tg_event(TG_EV_LINK_UP, LOG_INFO, "Connected to the broker", TG_F_ENDPOINT,
		 l->report.endpoint, NULL);
	tg_link_advance(l, TG_LINK_EV_GREETED);
	if (l->report.state == TG_LINK_ONLINE)
		(void) tg_link_judge(l, TG_TRIAL_PROVED);
	tg_link_tell(l);
}

static void on_subscribed(struct tg_link *l, const struct tg_mqtt_event *e)
{
	if (e->granted) {
		l->subscriptions -= l->subscriptions > 0;
		check_proof(l);
		return;
	}
	l->facts.by_peer = true;
	tg_link_note_failure(l, TG_MQTT_CAUSE_REFUSED,
			     e->text[0] ? e->text
					: "the broker refused the command subscription (policy?)");
	tg_link_advance(l, TG_LINK_EV_FAILED);
}

static void on_published(struct tg_link *l, uint64_t cookie)
{
	if (cookie == TG_COOKIE_STATUS) {
		l->status_acked = true;
		check_proof(l);
		return;
	}
	if (cookie == TG_COOKIE_NEWS)
		return;
	tg_flight_acked(&l->flight, cookie, tg_clock_boot_us());
	if (cookie == TG_COOKIE_NOTE) {
		tg_link_note_acked(l);
		return;
	}
	if (cookie >= TG_COOKIE_RESULT && cookie <= TG_COOKIE_RESULT_LAST) {
		tg_link_result_acked(l, cookie);
		return;
	}
	if (cookie == TG_COOKIE_GOODBYE) {
		l->farewell = true;
		tg_link_leave_if_settled(l);
		return;
	}
	l->report.acknowledged++;
	l->session_acks++;
	/* A lost notice only means that the pack is sent once more. */
	(void) !tg_spool_ack(l->o.spool, l->session, cookie);
	tg_link_leave_if_settled(l);
}

/* Our own status, of now or of any time before. */
static void on_echo(struct tg_link *l, const struct tg_mqtt_event *e)
{
	if (!l->echo || e->retained || e->payload_len != strlen(l->echo) ||
	    memcmp(e->payload, l->echo, e->payload_len) != 0) {
		tg_link_note_status(l, e);
		return;
	}
	l->echoed = true;
	check_proof(l);
}

/* Hands a command on; false when it is none that could be answered. */
static bool on_command(struct tg_link *l, const struct tg_mqtt_event *e)
{
	/* One byte more than a command may have is enough to refuse it. */
	size_t len = e->payload_len <= TG_COMMAND_JSON_MAX ? e->payload_len : TG_COMMAND_JSON_MAX + 1;
	char device[TG_NAME_MAX + 1];
	tg_autofree uint8_t *copy = NULL;

	if (e->retained || tg_command_topic_device(l->command_filter, e->topic, device) < 0)
		return false;
	copy = malloc(len + 1);
	if (!copy)
		return true;
	memcpy(copy, e->payload, len);
	/* What finds no room is counted there. */
	if (l->o.command(l->o.user, device, copy, len) == 0)
		copy = NULL;
	return true;
}

static void on_message(struct tg_link *l, const struct tg_mqtt_event *e)
{
	static struct tg_log_limit limit = TG_LOG_LIMIT_INIT;
	char topic[128];

	if (e->type == TG_MQTT_MESSAGE && strcmp(e->topic, l->status_topic) == 0) {
		on_echo(l, e);
		return;
	}
	if (e->type == TG_MQTT_MESSAGE && on_command(l, e))
		return;
	l->report.commands_ignored++;
	if (!tg_log_allowed(&limit, tg_clock_boot_us(), 3, 60 * TG_US_PER_S))
		return;
	if (e->type == TG_MQTT_MESSAGE_DROPPED)
		tg_log(LOG_NOTICE, "link", "message dropped: %s", e->text);
	else
		tg_log(LOG_NOTICE, "link", "message on %s ignored: %s",
		       tg_printable(topic, sizeof(topic), e->topic, strlen(e->topic)),
		       e->retained ? "it is retained, and so from nobody knows when"
				   : "it is not the topic of a device");
}

/* A certificate that verifies proves that it is at least as late as it says. */
static void note_peer(struct tg_link *l, const struct tg_mqtt_event *e)
{
	if (e->peer_not_before > l->report.peer_not_before)
		l->report.peer_not_before = e->peer_not_before;
}

void tg_link_on_event(struct tg_link *l, const struct tg_mqtt_event *e)
{
	if (e->session != l->session || !l->mqtt)
		return;
	switch (e->type) {
	case TG_MQTT_CONNECTED:
		note_peer(l, e);
		tg_link_advance(l, TG_LINK_EV_CONNECTED);
		return;
	case TG_MQTT_CONNECT_FAILED:
		note_peer(l, e);
		/* fall through */
	case TG_MQTT_LOST:
		l->facts.word = e->word;
		l->facts.by_peer = e->by_peer;
		l->reset = e->reset;
		tg_link_note_failure(l, e->cause, e->text);
		tg_link_advance(l, TG_LINK_EV_FAILED);
		return;
	case TG_MQTT_PUBLISH_FAILED:
		/* What is in flight at a goodbye is given up on, and must not cut the DISCONNECT short. */
		if (l->report.state != TG_LINK_ONLINE && l->report.state != TG_LINK_GREETING)
			return;
		tg_link_await_end(l);
		return;
	case TG_MQTT_SUBSCRIBED:
		on_subscribed(l, e);
		return;
	case TG_MQTT_PUBLISHED:
		on_published(l, e->cookie);
		return;
	case TG_MQTT_MESSAGE_DROPPED:
	case TG_MQTT_MESSAGE:
		on_message(l, e);
		return;
	case TG_MQTT_DISCONNECTED:
		l->disconnected = true;
		if (l->report.state == TG_LINK_CLOSING || l->report.state == TG_LINK_STOPPING)
			tg_link_advance(l, TG_LINK_EV_CLOSED);
		return;
	}
}

static bool set_aside(struct tg_link *l, const struct tg_spool_out *out, const struct tg_fault *why)
{
	tg_event(TG_EV_PACK_SET_ASIDE, LOG_ERR, "A pack cannot be published and is set aside",
		 TG_F_REASON, why->text, NULL);
	return tg_spool_refuse(l->o.spool, l->session, out->parcel->seq) == 0;
}

/* Returns whether the pack is dealt with. */
static bool publish_pack(struct tg_link *l, const struct tg_spool_out *out)
{
	struct tg_message_context ctx = {
		l->setup.cfg, &l->setup.spec, l->o.clock(l->o.clock_user), { 0 }
	};
	struct tg_fault why = { .text = "" };
	int r;

	memcpy(ctx.boot_id, l->boot_id, sizeof(ctx.boot_id));
	r = tg_message_form(&l->message, &ctx, out->parcel, out->stream, &why);
	/* What the configuration names and the machine has not is no fault of the pack: a reload can cure it. */
	if (r == -ENODATA || r == -EAGAIN)
		(void) snprintf(l->report.error, sizeof(l->report.error), "%s", why.text);
	if (r == -ENOMEM || r == -EAGAIN || r == -ENODATA)
		return false;
	if (r < 0)
		return set_aside(l, out, &why);
	r = tg_mqtt_publish(l->mqtt, l->message.topic, tg_buffer_text(&l->message.payload),
			    l->message.payload.len, false, out->parcel->seq, &why);
	if (r == -EMSGSIZE || r == -EINVAL)
		return set_aside(l, out, &why);
	/* The end of a connection is an event on its way; of a session that lost events there comes none. */
	if (r == -EPIPE) {
		tg_link_note_failure(l, TG_MQTT_CAUSE_LOCAL, why.text);
		tg_link_advance(l, TG_LINK_EV_FAILED);
	}
	if (r < 0)
		return false;
	l->report.published++;
	if (l->proved)
		l->report.error[0] = '\0';
	l->session_packs++;
	tg_flight_sent(&l->flight, out->parcel->seq, tg_clock_boot_us());
	return true;
}

void tg_link_publish_packs(struct tg_link *l)
{
	while (l->report.state == TG_LINK_ONLINE) {
		if (!l->held.parcel && !tg_mailbox_take(l->out, &l->held))
			return;
		if (tg_link_note_on_trial(l) || tg_link_results_on_trial(l))
			return;
		if (l->held.session == l->session && !publish_pack(l, &l->held))
			return;
		tg_parcel_unref(tg_take(l->held.parcel));
	}
}
