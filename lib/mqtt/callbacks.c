/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/internal.h"
#include "tls/alert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What Paho tells, as events in the caller's mailbox. Nothing here calls Paho
 * (but for freeing what it handed over) and nothing waits: its lock is held.
 */

/* --- events ------------------------------------------------------------------------------- */

void tg_mqtt_event_done(struct tg_mqtt_event *e)
{
	free(e->topic);
	free(e->payload);
	e->topic = NULL;
	e->payload = NULL;
}

void tg_mqtt_event_drop(void *event)
{
	tg_mqtt_event_done(event);
}

static struct tg_mqtt_event event_of(const struct tg_mqtt *m, enum tg_mqtt_event_type type)
{
	return (struct tg_mqtt_event){ .type = type, .session = m->session };
}

/* With the lock held. An event that cannot be told makes the session useless: end the connection
 * rather than lie. */
static void post(struct tg_mqtt *m, const struct tg_mqtt_event *e)
{
	if (m->muted || m->broken || tg_mailbox_post(m->events, e) == 0)
		return;
	m->broken = true;
	tg_mqtt_attempt_kill(&m->attempt);
}

static void say(struct tg_mqtt_event *e, const struct tg_mqtt *m, const char *what)
{
	char raw[TG_MQTT_PLACE_MAX + 128], place[TG_MQTT_PLACE_MAX];

	(void) snprintf(raw, sizeof(raw), "%s: %s", tg_mqtt_place(&m->attempt, place), what);
	tg_printable(e->text, sizeof(e->text), raw, strlen(raw));
}

/* A failure before Paho was asked comes the same way as one of Paho's. */
void tg_mqtt_fail_early(struct tg_mqtt *m, enum tg_mqtt_cause cause, const struct tg_fault *fault)
{
	struct tg_mqtt_event e = event_of(m, TG_MQTT_CONNECT_FAILED);

	e.cause = cause;
	tg_printable(e.text, sizeof(e.text), fault->text, strlen(fault->text));
	tg_mqtt_lock(m);
	m->state = TG_MQTT_STATE_DOWN;
	post(m, &e);
	tg_mqtt_unlock(m);
}

/* --- Paho's callbacks --------------------------------------------------------------------- */

/*
 * The overrides were not reached: what Paho has checked by itself is not enough to talk to this
 * broker. With the lock held.
 */
static void refuse_unjudged(struct tg_mqtt *m, struct tg_mqtt_event *e)
{
	e->type = TG_MQTT_CONNECT_FAILED;
	e->cause = TG_MQTT_CAUSE_LOCAL;
	e->peer_not_before = 0;
	say(e, m, "refused, as the broker's certificate was not checked: built wrongly");
	tg_mqtt_attempt_kill(&m->attempt);
}

void tg_mqtt_on_connected(void *context, MQTTAsync_successData *data)
{
	struct tg_mqtt *m = context;
	struct tg_mqtt_event e = event_of(m, TG_MQTT_CONNECTED);

	(void) data;
	e.peer_not_before = m->attempt.peer.not_before;
	tg_mqtt_lock(m);
	if (m->state == TG_MQTT_STATE_CONNECTING) {
		bool judged = m->attempt.peer.passed;

		m->state = judged ? TG_MQTT_STATE_UP : TG_MQTT_STATE_DOWN;
		if (!judged)
			refuse_unjudged(m, &e);
		post(m, &e);
	}
	tg_mqtt_unlock(m);
}

void tg_mqtt_on_connect_failed(void *context, MQTTAsync_failureData *data)
{
	struct tg_mqtt *m = context;
	struct tg_mqtt_event e = event_of(m, TG_MQTT_CONNECT_FAILED);
	int code = data ? data->code : 0;
	bool timed_out = data && data->message && strstr(data->message, "timeout");

	/* The broker was accepted, and refused us: what it proved holds all the same. */
	if (m->attempt.peer.passed)
		e.peer_not_before = m->attempt.peer.not_before;
	e.cause = tg_mqtt_reason(&m->attempt, code, timed_out, e.text, sizeof(e.text));
	e.word = tg_mqtt_word(&m->attempt, code, timed_out);
	if (e.cause == TG_MQTT_CAUSE_REFUSED)
		e.code = code;
	if (e.cause == TG_MQTT_CAUSE_TLS_PEER)
		e.code = m->attempt.peer.error;
	tg_mqtt_attempt_release(&m->attempt);
	tg_mqtt_lock(m);
	if (m->state == TG_MQTT_STATE_CONNECTING) {
		m->state = TG_MQTT_STATE_DOWN;
		post(m, &e);
	}
	tg_mqtt_unlock(m);
}

/* Ends the use of @s and tells how it went, once. With the lock held. */
static void finish_publish(struct tg_mqtt_slot *s, enum tg_mqtt_event_type type)
{
	struct tg_mqtt *m = s->m;
	struct tg_mqtt_event e = event_of(m, type);

	if (!s->used)
		return;
	s->used = false;
	m->in_flight--;
	e.cookie = s->cookie;
	if (type == TG_MQTT_PUBLISH_FAILED)
		say(&e, m, "the connection ended before the broker acknowledged the message");
	post(m, &e);
}

/* What Paho has not sent yet when the connection ends it keeps until the handle is destroyed. With
 * the lock held. */
static void fail_leftovers(struct tg_mqtt *m)
{
	for (unsigned i = 0; i < m->in_flight_max; i++)
		finish_publish(&m->slots[i], TG_MQTT_PUBLISH_FAILED);
}

void tg_mqtt_on_lost(void *context, char *cause)
{
	struct tg_mqtt *m = context;
	struct tg_mqtt_event e = event_of(m, TG_MQTT_LOST);
	char words[TG_MQTT_FRAME_WORDS_MAX], why[TG_MQTT_FRAME_WORDS_MAX + 32] = "the connection ended";

	(void) cause; /* always NULL in the versions that Debian has */
	if (m->attempt.frame.fault)
		(void) snprintf(why, sizeof(why), "left, as the broker %s",
				tg_mqtt_frame_words(&m->attempt.frame, words));
	else if (m->attempt.peer.alerted)
		(void) snprintf(why, sizeof(why), "the broker ended TLS: %s (alert %u)",
				tg_tls_alert_text(m->attempt.peer.alert), m->attempt.peer.alert);
	else if (m->attempt.ended_by_peer)
		(void) snprintf(why, sizeof(why), "the connection ended: closed at the other end");
	else if (m->attempt.end_errno)
		(void) snprintf(why, sizeof(why), "the connection ended: %s", strerror(m->attempt.end_errno));
	say(&e, m, why);
	e.by_peer = m->attempt.ended_by_peer;
	e.reset = m->attempt.reset;
	tg_mqtt_attempt_release(&m->attempt);
	tg_mqtt_lock(m);
	if (m->state == TG_MQTT_STATE_UP || m->state == TG_MQTT_STATE_LEAVING) {
		m->state = TG_MQTT_STATE_DOWN;
		fail_leftovers(m);
		post(m, &e);
	}
	tg_mqtt_unlock(m);
}

void tg_mqtt_on_disconnected(void *context, MQTTAsync_successData *data)
{
	struct tg_mqtt *m = context;
	struct tg_mqtt_event e = event_of(m, TG_MQTT_DISCONNECTED);

	(void) data;
	/*
	 * Paho has closed its socket, but its receiving thread still waits for it, up to a second, and sees the socket of
	 * the next session only then: this wakes it.
	 */
	tg_mqtt_attempt_kill(&m->attempt);
	tg_mqtt_lock(m);
	if (m->state == TG_MQTT_STATE_LEAVING) {
		m->state = TG_MQTT_STATE_DOWN;
		fail_leftovers(m);
		post(m, &e);
	}
	tg_mqtt_unlock(m);
}

void tg_mqtt_on_disconnect_failed(void *context, MQTTAsync_failureData *data)
{
	(void) data;
	tg_mqtt_on_lost(context, NULL);
}

void tg_mqtt_on_published(void *context, MQTTAsync_successData *data)
{
	struct tg_mqtt_slot *slot = context;

	(void) data;
	tg_mqtt_lock(slot->m);
	finish_publish(slot, TG_MQTT_PUBLISHED);
	tg_mqtt_unlock(slot->m);
}

void tg_mqtt_on_publish_failed(void *context, MQTTAsync_failureData *data)
{
	struct tg_mqtt_slot *slot = context;

	(void) data;
	tg_mqtt_lock(slot->m);
	finish_publish(slot, TG_MQTT_PUBLISH_FAILED);
	tg_mqtt_unlock(slot->m);
}

static void tell_subscribed(struct tg_mqtt *m, bool granted, int code)
{
	struct tg_mqtt_event e = event_of(m, TG_MQTT_SUBSCRIBED);

	e.granted = granted;
	e.code = code;
	if (!granted)
		say(&e, m,
		    "the broker refused the subscription: look at its access list or policy");
	tg_mqtt_lock(m);
	post(m, &e);
	tg_mqtt_unlock(m);
}

void tg_mqtt_on_subscribed(void *context, MQTTAsync_successData *data)
{
	tell_subscribed(context, true, data ? data->alt.qos : 0);
}

void tg_mqtt_on_subscribe_failed(void *context, MQTTAsync_failureData *data)
{
	/* Interrupted subscriptions are told by LOST. */
	if (data && data->code == MQTT_BAD_SUBSCRIBE)
		tell_subscribed(context, false, data->code);
}

/* With the lock held. */
static void drop_message(struct tg_mqtt *m, const char *why)
{
	struct tg_mqtt_event e = event_of(m, TG_MQTT_MESSAGE_DROPPED);

	e.code = ++m->dropped;
	say(&e, m, why);
	/* When there is no room the next one tells the sum. */
	if (tg_mailbox_count(m->events) < m->in_flight_max + TG_MQTT_MAILBOX_EXTRA / 2)
		(void) !tg_mailbox_post(m->events, &e);
}

static const char *copy_message(struct tg_mqtt_event *e, const char *topic, int topic_len,
				const MQTTAsync_message *msg)
{
	/* Paho gives the length or, when it feels like it, 0 for a string. */
	size_t len = topic_len > 0 ? (size_t) topic_len : strlen(topic);

	if (memchr(topic, 0, len))
		return "a message was dropped: its topic contains NUL";
	if (len > TG_MQTT_TOPIC_MAX)
		return "a message was dropped: its topic is too long";
	if (msg->payloadlen < 0 || (unsigned) msg->payloadlen > TG_MQTT_MESSAGE_MAX)
		return "a message was dropped: it is larger than 256 KiB";
	e->topic = strndup(topic, len);
	/* One byte more, so that an empty payload is not NULL. */
	e->payload = malloc((size_t) msg->payloadlen + 1);
	if (!e->topic || !e->payload)
		return "a message was dropped: out of memory";
	memcpy(e->payload, msg->payload, (size_t) msg->payloadlen);
	e->payload[msg->payloadlen] = 0;
	e->payload_len = (size_t) msg->payloadlen;
	e->retained = msg->retained;
	e->duplicate = msg->dup;
	return NULL;
}

/* With the lock held. Takes what @e owns when it could be told. */
static void deliver(struct tg_mqtt *m, struct tg_mqtt_event *e, const char *why)
{
	/* Muted, the mailbox may be gone: the caller frees it behind tg_mqtt_free(). */
	if (m->muted || m->broken)
		return;
	if (!why && tg_mailbox_count(m->events) >= m->in_flight_max + TG_MQTT_MAILBOX_EXTRA / 2)
		why = "a message was dropped: earlier ones still wait";
	if (why)
		drop_message(m, why);
	else if (tg_mailbox_post(m->events, e) == 0)
		e->topic = NULL, e->payload = NULL; /* the taker's now */
}

int tg_mqtt_on_message(void *context, char *topic, int topic_len, MQTTAsync_message *msg)
{
	struct tg_mqtt *m = context;
	struct tg_mqtt_event e = event_of(m, TG_MQTT_MESSAGE);
	const char *why = copy_message(&e, topic, topic_len, msg);

	tg_mqtt_lock(m);
	deliver(m, &e, why);
	tg_mqtt_unlock(m);
	tg_mqtt_event_done(&e);
	MQTTAsync_freeMessage(&msg);
	MQTTAsync_free(topic);
	return 1;
}

int tg_mqtt_on_tls_error(const char *line, size_t len, void *context)
{
	struct tg_mqtt *m = context;

	tg_mqtt_reason_note(&m->attempt, line, len);
	return 1;
}
