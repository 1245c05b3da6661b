/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/mqtt_once.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define IN_FLIGHT  4
#define SLOTS      (IN_FLIGHT + TG_MQTT_MAILBOX_EXTRA)
#define GOODBYE_US (1 * TG_US_PER_S)
#define ADDRESSES  3 /* of the name, tried one after the other when there is no TCP connection */

struct tg_mqtt_once {
	struct tg_mailbox *events; /* outlives the session */
	struct tg_mqtt *mqtt;
	uint64_t cookie;
	enum tg_mqtt_cause cause; /* of the last failed connect */
	bool up;
	int64_t peer_not_before;
};

/* What the session says of a failed connect, in our terms. Its text says the rest. */
static int errno_of_cause(const struct tg_mqtt_event *e)
{
	switch (e->cause) {
	case TG_MQTT_CAUSE_DNS:
	case TG_MQTT_CAUSE_TCP:
		return -EHOSTUNREACH;
	case TG_MQTT_CAUSE_TLS_PEER:
		return -ECONNABORTED;
	case TG_MQTT_CAUSE_TLS_REFUSED:
		/* Closed without a word: something in front of a service that is down does that, too. */
		return e->word == TG_MQTT_WORD_REFUSED ? -EPERM : -ECONNRESET;
	case TG_MQTT_CAUSE_REFUSED:
		/* CONNACK 3: the server is not available just now. */
		return e->code == 3 ? -ECONNRESET : -EPERM;
	case TG_MQTT_CAUSE_TPM:
		return -EIO;
	case TG_MQTT_CAUSE_LOCAL:
		return -ENOENT;
	case TG_MQTT_CAUSE_CLOSED:
	case TG_MQTT_CAUSE_NONE:
		break;
	}
	return -ECONNRESET;
}

/*
 * Waits for the next event: 0 and an owned event, or -ETIMEDOUT. The clock is looked at first, or a
 * broker that never stops sending would never run out of time.
 */
static int next_event(struct tg_mqtt_once *m, uint64_t deadline_us, struct tg_mqtt_event *ret)
{
	for (;;) {
		if (tg_clock_boot_us() >= deadline_us)
			return -ETIMEDOUT;
		if (tg_mailbox_take(m->events, ret) == 1)
			return 0;
		(void) tg_mailbox_wait(m->events, deadline_us);
	}
}

static int wait_connected(struct tg_mqtt_once *m, uint64_t deadline_us, struct tg_fault *reterr)
{
	for (;;) {
		struct tg_mqtt_event e = { 0 };
		int r = next_event(m, deadline_us, &e);

		if (r < 0)
			return tg_fault_set(reterr, r, "no connection in time");
		tg_mqtt_event_done(&e);
		if (e.type == TG_MQTT_CONNECTED) {
			m->up = true;
			m->peer_not_before = e.peer_not_before;
			return 0;
		}
		if (e.type != TG_MQTT_CONNECT_FAILED && e.type != TG_MQTT_LOST)
			continue;
		m->cause = e.cause;
		r = errno_of_cause(&e);
		if (e.cause == TG_MQTT_CAUSE_CLOSED)
			return tg_fault_set(reterr, r,
					    "%s (policy? The broker may not allow this client id, "
					    "or not know the certificate)",
					    e.text);
		return tg_fault_set(reterr, r, "%s", e.text);
	}
}

int tg_mqtt_once_open(const struct tg_mqtt_options *o, uint64_t deadline_us,
		      enum tg_mqtt_cause *ret_cause, struct tg_mqtt_once **ret,
		      struct tg_fault *reterr)
{
	tg_cleanup(tg_mqtt_once_closep) struct tg_mqtt_once *m = calloc(1, sizeof(*m));
	struct tg_mqtt_options options = *o;
	int r = 0;

	*ret_cause = TG_MQTT_CAUSE_NONE;
	if (!m)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = tg_mailbox_new(SLOTS, sizeof(struct tg_mqtt_event), tg_mqtt_event_drop, &m->events);
	if (r < 0)
		return tg_fault_set(reterr, r, "no mailbox: %s", strerror(-r));
	options.in_flight = IN_FLIGHT;
	options.will = NULL;
	for (options.pick = 0; options.pick < ADDRESSES; options.pick++) {
		m->cause = TG_MQTT_CAUSE_NONE;
		m->mqtt = tg_mqtt_free(m->mqtt);
		r = tg_mqtt_new(&options, m->events, &m->mqtt, reterr);
		if (r == 0)
			r = tg_mqtt_connect(m->mqtt, reterr);
		if (r == 0)
			r = wait_connected(m, deadline_us, reterr);
		if (m->cause != TG_MQTT_CAUSE_TCP)
			break;
	}
	*ret_cause = m->cause;
	if (r < 0)
		return r;
	*ret = tg_take(m);
	return 0;
}

int64_t tg_mqtt_once_peer_not_before(const struct tg_mqtt_once *m)
{
	return m->peer_not_before;
}

static int subscribe(struct tg_mqtt_once *m, const char *filter, uint64_t deadline_us,
		     struct tg_fault *reterr)
{
	int r = tg_mqtt_subscribe(m->mqtt, filter, reterr);

	while (r == 0) {
		struct tg_mqtt_event e = { 0 };

		r = next_event(m, deadline_us, &e);
		if (r < 0)
			return tg_fault_set(reterr, r, "%s: no answer to SUBSCRIBE", filter);
		tg_mqtt_event_done(&e);
		if (e.type == TG_MQTT_LOST) {
			m->up = false;
			return tg_fault_set(reterr, -ECONNRESET,
					    "%s: the broker ended the connection instead of "
					    "granting the subscription (policy?)",
					    filter);
		}
		if (e.type != TG_MQTT_SUBSCRIBED)
			continue;
		if (!e.granted)
			return tg_fault_set(reterr, -EPERM,
					    "%s: the broker refused the subscription (policy?)",
					    filter);
		return 0;
	}
	return r;
}

static int reply_topic(const char *topic, const char *suffix, char out[static TG_MQTT_TOPIC_MAX],
		       struct tg_fault *reterr)
{
	int n = snprintf(out, TG_MQTT_TOPIC_MAX, "%s/%s", topic, suffix);

	if (n < 0 || n >= TG_MQTT_TOPIC_MAX)
		return tg_fault_set(reterr, -EINVAL, "topic too long: %.64s...", topic);
	return 0;
}

int tg_mqtt_once_prepare(struct tg_mqtt_once *m, const char *topic, uint64_t deadline_us,
			 struct tg_fault *reterr)
{
	static const char *const suffixes[] = { "accepted", "rejected" };
	char filter[TG_MQTT_TOPIC_MAX];

	for (size_t i = 0; i < TG_ARRAY_SIZE(suffixes); i++) {
		int r = reply_topic(topic, suffixes[i], filter, reterr);

		if (r == 0)
			r = subscribe(m, filter, deadline_us, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

void tg_mqtt_reply_done(struct tg_mqtt_reply *r)
{
	if (r->payload)
		explicit_bzero(r->payload, r->len);
	free(r->payload);
	*r = (struct tg_mqtt_reply){ 0 };
}

struct call {
	char accepted[TG_MQTT_TOPIC_MAX], rejected[TG_MQTT_TOPIC_MAX];
	const char *topic;
	bool acknowledged; /* PUBACK is here: the broker took the request */
};

/* 1 when @e is the answer (moved to @ret), 0 when it is nothing of interest, or -errno. */
static int judge_event(struct tg_mqtt_once *m, struct call *c, struct tg_mqtt_event *e,
		       struct tg_mqtt_reply *ret, struct tg_fault *reterr)
{
	/* A message that was not acknowledged is how a policy that forbids it looks from here. */
	static const char hint[] = " (policy? It must allow publishing on this topic)";

	switch (e->type) {
	case TG_MQTT_PUBLISHED:
		c->acknowledged |= e->cookie == m->cookie;
		return 0;
	case TG_MQTT_PUBLISH_FAILED:
		if (e->cookie != m->cookie)
			return 0;
		return tg_fault_set(reterr, -ECONNRESET, "%s: %s%s", c->topic, e->text, hint);
	case TG_MQTT_LOST:
		m->up = false;
		return tg_fault_set(reterr, -ECONNRESET, "%s: the broker ended the connection%s",
				    c->topic, c->acknowledged ? " before it answered" : hint);
	case TG_MQTT_MESSAGE:
		/* What the broker has kept is no answer to what was asked just now. */
		if (e->retained ||
		    (strcmp(e->topic, c->accepted) != 0 && strcmp(e->topic, c->rejected) != 0))
			return 0;
		*ret = (struct tg_mqtt_reply){ .accepted = strcmp(e->topic, c->accepted) == 0,
					       .payload = tg_take(e->payload),
					       .len = e->payload_len };
		return 1;
	case TG_MQTT_MESSAGE_DROPPED:
		return tg_fault_set(reterr, -EMSGSIZE, "%s: %s", c->topic, e->text);
	case TG_MQTT_CONNECTED:
	case TG_MQTT_CONNECT_FAILED:
	case TG_MQTT_SUBSCRIBED:
	case TG_MQTT_DISCONNECTED:
		break;
	}
	return 0;
}

static int wait_reply(struct tg_mqtt_once *m, struct call *c, uint64_t deadline_us,
		      struct tg_mqtt_reply *ret, struct tg_fault *reterr)
{
	for (;;) {
		struct tg_mqtt_event e = { 0 };
		int r = next_event(m, deadline_us, &e);

		if (r < 0)
			return tg_fault_set(reterr, r, "%s: no answer in time%s", c->topic,
					    c->acknowledged ? "" : ", nor was the request taken");
		r = judge_event(m, c, &e, ret, reterr);
		tg_mqtt_event_done(&e);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}

int tg_mqtt_once_call(struct tg_mqtt_once *m, const char *topic, const void *payload, size_t len,
		      uint64_t deadline_us, struct tg_mqtt_reply *ret, struct tg_fault *reterr)
{
	struct call c = { .topic = topic };
	int r = reply_topic(topic, "accepted", c.accepted, reterr);

	if (r == 0)
		r = reply_topic(topic, "rejected", c.rejected, reterr);
	if (r == 0)
		r = tg_mqtt_publish(m->mqtt, topic, payload, len, false, ++m->cookie, reterr);
	if (r == -EPIPE || r == -ENOTCONN) {
		m->up = false;
		r = -ECONNRESET;
	}
	return r < 0 ? r : wait_reply(m, &c, deadline_us, ret, reterr);
}

struct tg_mqtt_once *tg_mqtt_once_close(struct tg_mqtt_once *m)
{
	if (m) {
		if (m->up && tg_mqtt_disconnect(m->mqtt, GOODBYE_US) == 0) {
			uint64_t deadline_us = tg_us_add(tg_clock_boot_us(), 2 * GOODBYE_US);
			struct tg_mqtt_event e = { 0 };
			bool gone = false;

			while (!gone && next_event(m, deadline_us, &e) == 0) {
				gone = e.type == TG_MQTT_DISCONNECTED || e.type == TG_MQTT_LOST;
				tg_mqtt_event_done(&e);
			}
		}
		m->mqtt = tg_mqtt_free(m->mqtt);
		m->events = tg_mailbox_free(m->events);
		free(m);
	}
	return NULL;
}
