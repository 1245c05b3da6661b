/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_internal.h"

#include "tls/peer.h"

#include <tidegate/log.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define GREETING_US    (30 * TG_US_PER_S)   /* CONNACK to status document, SUBACK and PUBACK */
#define GOODBYE_US     (900 * TG_US_PER_MS) /* `offline`, and PUBACKs for all that is in flight */
#define LEAVE_US       (400 * TG_US_PER_MS) /* DISCONNECT */
#define LOST_US        (2 * TG_US_PER_S)    /* word of an end that was felt already */
#define NO_IDENTITY_US (30 * TG_US_PER_S)   /* looked for again, should a notice have been lost */
/* AWS takes one CONNECT of a client id in ten seconds when it drops us right after accepting. */
#define KICKED_GAP_US (11 * TG_US_PER_S)

void tg_link_drop_out(void *out)
{
	struct tg_spool_out *o = out;

	tg_parcel_unref(o->parcel);
}

void tg_link_tell(struct tg_link *l)
{
	l->reported_us = l->report.progress_us = tg_clock_boot_us();
	l->report.next_us = l->report.state == TG_LINK_OFFLINE && l->due_us != TG_US_FOREVER
				    ? tg_link_paused_until(l)
				    : 0;
	l->report.suspended = l->away && l->report.state == TG_LINK_OFFLINE;
	/* Said until it is here: a report can be lost. */
	l->report.wants_status = l->report.state == TG_LINK_GREETING && !l->status_fresh && !l->status_sent;
	l->o.report(l->o.user, &l->report);
}

void tg_link_note_failure(struct tg_link *l, enum tg_mqtt_cause cause, const char *text)
{
	l->report.failures++;
	l->pick += cause == TG_MQTT_CAUSE_TCP;
	l->report.cause = cause;
	(void) snprintf(l->report.error, sizeof(l->report.error), "%s", text);
}

/* --- the session ------------------------------------------------------------------------------------------------- */

#define OFFLINE_MAX 96

static size_t form_offline(const struct tg_link *l, const char *reason, char out[static OFFLINE_MAX])
{
	char instance[TG_LINK_INSTANCE_MAX];

	return (size_t) snprintf(out, OFFLINE_MAX, "{\"state\":\"offline\",\"reason\":\"%s\",\"instance\":\"%s\"}",
				 reason, tg_link_instance(l->report.instance, instance));
}

static int open_session(struct tg_link *l, struct tg_fault *reterr)
{
	char gone[OFFLINE_MAX];
	const struct tg_config *cfg = l->setup.cfg;
	tg_autofree char *anchors = NULL;
	char bundle[PATH_MAX];
	struct tg_mqtt_will will = { l->status_topic, gone, form_offline(l, "connection lost", gone) };
	struct tg_mqtt_options o = {
		.session = ++l->session,
		.pick = l->pick,
		.host = cfg->mqtt.endpoint,
		.last_address = strcmp(l->last_host, cfg->mqtt.endpoint) == 0 ? l->last_address : NULL,
		.port = cfg->mqtt.port,
		.alpn = cfg->mqtt.alpn,
		.client_id = l->report.client_id,
		.ca_file = *cfg->mqtt.ca ? cfg->mqtt.ca : NULL,
		.bundle_file = bundle,
		.version = cfg->mqtt.version,
		.keep_alive_us = cfg->mqtt.keep_alive_us,
		.connect_timeout_us = TG_LINK_CONNECT_TIMEOUT_US,
		.in_flight = cfg->mqtt.in_flight + TG_LINK_OWN_PUBLISHES,
		.will = &will,
		.verify_at = l->o.believed_s(l->o.clock_user),
		.future_s = l->o.clock(l->o.clock_user).trust == TG_CLOCK_SYNCHRONISED
				    ? TG_TLS_FUTURE_S
				    : INT64_MAX,
	};
	int r = tg_specifiers_expand(&l->setup.spec, cfg->mqtt.client_id, l->report.client_id,
				     sizeof(l->report.client_id), reterr);

	if (r == 0)
		r = tg_specifiers_expand(&l->setup.spec, cfg->mqtt.status_topic, l->status_topic,
					 sizeof(l->status_topic), reterr);
	if (r == 0)
		r = tg_link_choose(l, bundle, sizeof(bundle), reterr);
	if (r == 0)
		r = tg_link_trust(l, bundle, &anchors, reterr);
	o.anchors_pem = anchors;
	if (r == 0)
		r = l->o.prepare(l->o.user, reterr);
	if (r == 0)
		r = tg_mqtt_new(&o, l->events, &l->mqtt, reterr);
	if (r == 0)
		r = tg_mqtt_connect(l->mqtt, reterr);
	return r;
}

static int connect_now(struct tg_link *l)
{
	struct tg_fault why = { .text = "" };
	int r;

	l->connect_us = tg_clock_boot_us();
	l->deadline_us = l->connect_us + TG_LINK_CONNECT_TIMEOUT_US + GREETING_US;
	l->status_sent = l->status_acked = l->echoed = l->proved = false;
	l->farewell = l->leaving = l->disconnected = false;
	l->facts = (struct tg_trial_facts){ .word = TG_MQTT_WORD_NONE };
	l->session_acks = l->session_packs = 0;
	l->overdue = l->blamed = l->reset = false;
	tg_flight_begin(&l->flight);
	r = open_session(l, &why);
	l->missing = r == -EAGAIN || r == -ENOENT;
	if (l->missing)
		(void) snprintf(l->report.error, sizeof(l->report.error), "%s", why.text);
	else if (r < 0)
		tg_link_note_failure(l, TG_MQTT_CAUSE_LOCAL, why.text);
	if (!l->missing)
		l->report.connects++;
	return r;
}

/* Paho ends its threads with the last connection, which takes a second: not between two sessions. */
static void forget_past(struct tg_link *l)
{
	l->past = tg_mqtt_free(l->past);
}

/* The command topic with '+' for the device: one subscription for all. */
static int subscribe_to_commands(struct tg_link *l, struct tg_fault *reterr)
{
	struct tg_specifiers spec = l->setup.spec;
	int r;

	spec.device = "+";
	r = tg_specifiers_expand(&spec, l->setup.cfg->mqtt.command_topic, l->command_filter,
				 sizeof(l->command_filter), reterr);
	return r < 0 ? r : tg_mqtt_subscribe(l->mqtt, l->command_filter, reterr);
}

void tg_link_await_end(struct tg_link *l)
{
	uint64_t latest = tg_clock_boot_us() + LOST_US;

	if (l->deadline_us > latest)
		l->deadline_us = latest;
}

static int greet(struct tg_link *l)
{
	struct tg_fault why = { .text = "" };
	int r = subscribe_to_commands(l, &why);

	forget_past(l);
	l->subscriptions = 1;
	if (r == 0 && l->setup.cfg->mqtt.echo) {
		r = tg_mqtt_subscribe(l->mqtt, l->status_topic, &why);
		l->subscriptions++;
	}
	l->deadline_us = tg_clock_boot_us() + GREETING_US;
	/* Whatever document is here was made before this session: ask for one that says "online". */
	l->status_fresh = false;
	if (r == -ENOTCONN) {
		tg_link_await_end(l);
		return 0;
	}
	if (r < 0)
		tg_link_note_failure(l, TG_MQTT_CAUSE_LOCAL, why.text);
	return r;
}

static int start(struct tg_link *l)
{
	unsigned window = l->setup.cfg->mqtt.in_flight;
	int r = tg_spool_link_up(l->o.spool, l->session,
				 window < TG_LINK_WINDOW_MAX ? window : TG_LINK_WINDOW_MAX, l->out);

	if (r < 0)
		tg_link_note_failure(l, TG_MQTT_CAUSE_LOCAL, "the spool does not take orders");
	return r;
}

/* Repeated until it is taken: without it the spool would wait for acknowledgements for ever. */
static void silence_spool(struct tg_link *l)
{
	while (tg_spool_link_down(l->o.spool, l->session, l->blamed) == -EAGAIN)
		(void) poll(NULL, 0, 10);
}

static void forget_session(struct tg_link *l)
{
	struct tg_spool_out out;

	forget_past(l);
	l->mqtt = tg_mqtt_free(l->mqtt);
	l->note_in_flight = false;
	(void) tg_link_results_lost(l, false);
	free(tg_take(l->echo));
	tg_parcel_unref(tg_take(l->held.parcel));
	silence_spool(l);
	while (tg_mailbox_take(l->out, &out))
		tg_link_drop_out(&out);
}

/* The session has ended in order, and the next one follows at once. */
static void put_session_away(struct tg_link *l)
{
	struct tg_mqtt *past = tg_take(l->mqtt);

	if (past)
		tg_mqtt_mute(past);
	forget_session(l);
	l->past = past;
}

static void goodbye(struct tg_link *l)
{
	char leaving[OFFLINE_MAX];
	size_t len = form_offline(l, "disconnected", leaving);
	struct tg_fault why;

	/*
	 * The spool is told at the end of the session, so that acknowledgements that still come
	 * are counted.
	 */
	l->deadline_us = tg_clock_boot_us() + GOODBYE_US;
	/* Best effort: where it does not go out, the broker has the will. */
	if (tg_mqtt_publish(l->mqtt, l->status_topic, leaving, len, true,
			    TG_COOKIE_GOODBYE, &why) < 0)
		l->farewell = true;
}

/*
 * Once nothing more is owed: asked for earlier, Paho looks only now and then whether DISCONNECT may
 * go out, and a connection that ends without it makes the broker publish the will over our
 * `offline`.
 */
void tg_link_leave(struct tg_link *l)
{
	uint64_t now = tg_clock_boot_us();

	l->leaving = true;
	l->deadline_us = tg_mqtt_disconnect(l->mqtt, 0) < 0 ? now : now + LEAVE_US;
}

void tg_link_leave_if_settled(struct tg_link *l)
{
	bool closing = l->report.state == TG_LINK_CLOSING || l->report.state == TG_LINK_STOPPING;

	if (closing && l->farewell && l->session_acks == l->session_packs && !l->leaving)
		tg_link_leave(l);
}

static bool judge_end(struct tg_link *l, enum tg_link_state from)
{
	l->facts.connected = from != TG_LINK_CONNECTING;
	l->facts.proved = l->proved;
	l->facts.excused = tg_link_note_lost(l);
	l->facts.excused |= tg_link_results_lost(l, l->facts.by_peer || l->overdue);
	l->blamed = l->proved && (l->facts.by_peer || l->overdue) && !l->facts.excused &&
		    l->session_packs > l->session_acks;
	return tg_link_judge(l, tg_trial_classify(&l->facts));
}

static void back_off(struct tg_link *l, enum tg_link_state from)
{
	uint64_t now = tg_clock_boot_us();
	bool at_once, stable;

	if (l->missing) {
		l->due_us = now + NO_IDENTITY_US;
		return;
	}
	at_once = judge_end(l, from);
	stable = tg_link_note_end(l, now);
	if (stable)
		tg_backoff_reset(&l->backoff);
	l->backoff.cap_us = tg_kicks_cap_us(&l->kicks);
	l->due_us = at_once ? now : now + tg_backoff_next(&l->backoff, tg_random_u64());
	if (from != TG_LINK_CONNECTING && !stable && l->due_us < l->connect_us + KICKED_GAP_US)
		l->due_us = l->connect_us + KICKED_GAP_US;
	forget_session(l);
	now = tg_clock_boot_us();
	if (l->report.failures)
		tg_log(LOG_WARNING, "link", "%s; trying again in %u s", l->report.error,
		       tg_link_paused_until(l) > now
			       ? (unsigned) ((tg_link_paused_until(l) - now) / TG_US_PER_S)
			       : 0);
	if (from != TG_LINK_CONNECTING)
		tg_event(TG_EV_LINK_LOST, LOG_WARNING, "Connection to the broker lost", TG_F_REASON,
			 l->report.error, TG_F_ENDPOINT, l->report.endpoint, NULL);
}

/* Returns 0, or -errno when the session cannot go on. */
static int perform(struct tg_link *l, enum tg_link_action action, enum tg_link_state from)
{
	switch (action) {
	case TG_LINK_ACT_NONE:
		return 0;
	case TG_LINK_ACT_CONNECT:
		return connect_now(l);
	case TG_LINK_ACT_GREET:
		return greet(l);
	case TG_LINK_ACT_START:
		return start(l);
	case TG_LINK_ACT_BACK_OFF:
		back_off(l, from);
		return 0;
	case TG_LINK_ACT_GOODBYE:
		goodbye(l);
		return 0;
	case TG_LINK_ACT_AGAIN:
		if (from == TG_LINK_CLOSING && l->disconnected)
			put_session_away(l);
		else
			forget_session(l);
		tg_backoff_reset(&l->backoff);
		l->due_us = tg_clock_boot_us();
		return 0;
	case TG_LINK_ACT_END:
		forget_session(l);
		return 0;
	}
	return 0;
}

void tg_link_advance(struct tg_link *l, enum tg_link_event event)
{
	enum tg_link_state from, next;
	enum tg_link_action action;
	bool again;

	do {
		from = l->report.state;
		if (tg_link_step(from, event, &next, &action) < 0) {
			tg_log(LOG_ERR, "link", "event %s makes no sense while %s, ignoring",
			       tg_link_event_name(event), tg_link_state_name(from));
			return;
		}
		l->report.state = next;
		if (next != from)
			l->report.since_us = tg_clock_boot_us();
		/* An action that fails is an event of its own: the session has failed. */
		again = perform(l, action, from) < 0;
		event = TG_LINK_EV_FAILED;
	} while (again);
	tg_link_tell(l);
}
