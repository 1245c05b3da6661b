/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link.h"

#include "agent/mqtt/message.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "identity/generation.h"

#include <tidegate/log.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define ORDERS_SLOTS 64
#define OUT_SLOTS 256 /* the largest in-flight window that the configuration takes */
#define EVENTS_SLOTS (OUT_SLOTS + OWN_PUBLISHES + TG_MQTT_MAILBOX_EXTRA)
#define OWN_PUBLISHES 2 /* status and goodbye, beside the packs */

#define CONNECT_TIMEOUT_US (20 * TG_US_PER_S)
#define GREETING_US (30 * TG_US_PER_S)	/* CONNACK to status document, SUBACK and PUBACK */
#define GOODBYE_US (900 * TG_US_PER_MS) /* `offline`, and PUBACKs for all that is in flight */
#define LEAVE_US (400 * TG_US_PER_MS)	/* DISCONNECT */
#define ACK_KEEP_ALIVES 3 /* so long without one PUBACK while packs wait for theirs: the session is of no use */
#define REPORT_US TG_US_PER_S
#define NO_IDENTITY_US (30 * TG_US_PER_S) /* looked for again, should a notice have been lost */
#define BACKOFF_BASE_US TG_US_PER_S
#define BACKOFF_CAP_US (300 * TG_US_PER_S)
/* AWS takes one CONNECT of a client id in ten seconds when it drops us right after accepting. */
#define KICKED_GAP_US (11 * TG_US_PER_S)
#define STABLE_US (60 * TG_US_PER_S) /* a session that lasted so long, with acknowledgements, has proved itself */

/* Cookies below 2^32 are never sequence numbers: epochs start at 1. */
enum { COOKIE_STATUS = 1, COOKIE_GOODBYE };

enum order_type { ORDER_SETUP, ORDER_IDENTITY, ORDER_STATUS, ORDER_FLOOR, ORDER_STOP };

struct order {
	enum order_type type;
	struct tg_link_setup *setup; /* owned */
	char *json;		     /* owned */
	int64_t floor_s;
};

struct tg_link {
	/* fixed at birth */
	struct tg_link_options o;
	struct tg_mailbox *orders, *events, *out;
	pthread_t thread;
	_Atomic bool ended;

	/* the thread's own */
	struct tg_link_setup setup;
	char *status; /* the newest document, NULL before the first */
	bool status_fresh;
	int64_t floor_s;
	struct tg_mqtt *mqtt;
	unsigned session;
	unsigned pick; /* of the broker's addresses: the next one after a TCP failure */
	struct tg_message message;
	uint8_t boot_id[16];
	struct tg_spool_out held; /* could not be published yet; parcel NULL: none */
	bool subscribed, status_acked, proved;
	bool farewell, leaving; /* `offline` is acknowledged; DISCONNECT is on its way */
	bool missing; /* an id or an identity: nothing was tried */
	uint64_t connect_us, deadline_us, due_us, reported_us;
	uint64_t session_acks, session_packs; /* acknowledged, published */
	uint64_t moved_us; /* when the window was empty or one of it was acknowledged */
	struct tg_backoff backoff;
	char status_topic[TG_MQTT_TOPIC_MAX + 1];
	struct tg_link_report report;
};

static void drop_order(void *msg)
{
	struct order *o = msg;

	if (o->setup)
		tg_config_unref(o->setup->cfg);
	free(o->setup);
	free(o->json);
}

static void drop_out(void *msg)
{
	struct tg_spool_out *o = msg;

	tg_parcel_unref(o->parcel);
}

static void tell(struct tg_link *l)
{
	l->reported_us = l->report.progress_us = tg_clock_boot_us();
	l->report.next_us = l->report.state == TG_LINK_OFFLINE && l->due_us != TG_US_FOREVER ? l->due_us : 0;
	/* Said until it is here: a report can be lost. */
	l->report.wants_status = l->report.state == TG_LINK_GREETING && !l->status_fresh;
	l->o.report(l->o.user, &l->report);
	l->report.promoted = l->report.rolled_back = false;
}

static void note_failure(struct tg_link *l, enum tg_mqtt_cause cause, const char *text)
{
	l->report.failures++;
	l->pick += cause == TG_MQTT_CAUSE_TCP;
	l->report.cause = cause;
	(void) snprintf(l->report.error, sizeof(l->report.error), "%s", text);
}

/* --- the session ------------------------------------------------------------------------------------------------- */

static int pick_identity(struct tg_link *l, char *bundle, size_t size, struct tg_fault *reterr)
{
	struct tg_manifest m;
	struct tg_fault why;

	l->report.identity = TG_LINK_ON_CANDIDATE;
	if (tg_generation_read(l->o.state_dir, TG_SLOT_CANDIDATE, &m, &why) == 0)
		return tg_generation_path(l->o.state_dir, TG_SLOT_CANDIDATE, TG_FILE_BUNDLE, bundle, size);
	l->report.identity = TG_LINK_ON_CURRENT;
	if (tg_generation_read(l->o.state_dir, TG_SLOT_CURRENT, &m, &why) == 0)
		return tg_generation_path(l->o.state_dir, TG_SLOT_CURRENT, TG_FILE_BUNDLE, bundle, size);
	l->report.identity = TG_LINK_NO_IDENTITY;
	return tg_fault_set(reterr, -ENOENT, "no identity yet: the link waits for enrolment");
}

static int open_session(struct tg_link *l, struct tg_fault *reterr)
{
	static const char gone[] = "{\"state\":\"offline\",\"reason\":\"connection lost\"}";
	const struct tg_config *cfg = l->setup.cfg;
	char bundle[PATH_MAX];
	struct tg_mqtt_will will = { l->status_topic, gone, sizeof(gone) - 1 };
	struct tg_mqtt_options o = {
		.session = ++l->session,
		.pick = l->pick,
		.host = cfg->mqtt.endpoint,
		.port = cfg->mqtt.port,
		.alpn = cfg->mqtt.alpn,
		.client_id = l->report.client_id,
		.ca_file = cfg->mqtt.ca,
		.bundle_file = bundle,
		.version = cfg->mqtt.version,
		.keep_alive_us = cfg->mqtt.keep_alive_us,
		.connect_timeout_us = CONNECT_TIMEOUT_US,
		.in_flight = cfg->mqtt.in_flight + OWN_PUBLISHES,
		.will = &will,
		.verify_at = l->floor_s,
	};
	int r = tg_specifiers_expand(&l->setup.spec, cfg->mqtt.client_id, l->report.client_id,
				     sizeof(l->report.client_id), reterr);

	if (r == 0)
		r = tg_specifiers_expand(&l->setup.spec, cfg->mqtt.status_topic, l->status_topic,
					 sizeof(l->status_topic), reterr);
	if (r == 0)
		r = pick_identity(l, bundle, sizeof(bundle), reterr);
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
	l->deadline_us = l->connect_us + CONNECT_TIMEOUT_US + GREETING_US;
	l->subscribed = l->status_acked = l->proved = l->farewell = l->leaving = false;
	l->session_acks = l->session_packs = 0;
	r = open_session(l, &why);
	l->missing = r == -EAGAIN || r == -ENOENT;
	if (l->missing)
		(void) snprintf(l->report.error, sizeof(l->report.error), "%s", why.text);
	else if (r < 0)
		note_failure(l, TG_MQTT_CAUSE_LOCAL, why.text);
	if (!l->missing)
		l->report.connects++;
	return r;
}

/* The command topic with '+' for the device: one subscription for all. */
static int subscribe(struct tg_link *l, struct tg_fault *reterr)
{
	struct tg_specifiers spec = l->setup.spec;
	char filter[TG_MQTT_TOPIC_MAX + 1];
	int r;

	spec.device = "+";
	r = tg_specifiers_expand(&spec, l->setup.cfg->mqtt.command_topic, filter, sizeof(filter), reterr);
	return r < 0 ? r : tg_mqtt_subscribe(l->mqtt, filter, reterr);
}

static int greet(struct tg_link *l)
{
	struct tg_fault why = { .text = "" };
	int r = subscribe(l, &why);

	l->deadline_us = tg_clock_boot_us() + GREETING_US;
	/* Whatever document is here was made before this session: ask for one that says "online". */
	l->status_fresh = false;
	if (r < 0)
		note_failure(l, TG_MQTT_CAUSE_LOCAL, why.text);
	return r;
}

static int start(struct tg_link *l)
{
	unsigned window = l->setup.cfg->mqtt.in_flight;
	int r = tg_spool_link_up(l->o.spool, l->session, window < OUT_SLOTS ? window : OUT_SLOTS, l->out);

	if (r < 0)
		note_failure(l, TG_MQTT_CAUSE_LOCAL, "the spool does not take orders");
	return r;
}

/* Repeated until it is taken: without it the spool would wait for acknowledgements for ever. */
static void silence_spool(struct tg_link *l)
{
	while (tg_spool_link_down(l->o.spool, l->session) == -EAGAIN)
		(void) poll(NULL, 0, 10);
}

static void forget_session(struct tg_link *l)
{
	struct tg_spool_out out;

	l->mqtt = tg_mqtt_free(l->mqtt);
	tg_parcel_unref(tg_take(l->held.parcel));
	silence_spool(l);
	while (tg_mailbox_take(l->out, &out))
		drop_out(&out);
}

static void goodbye(struct tg_link *l)
{
	static const char leaving[] = "{\"state\":\"offline\",\"reason\":\"disconnected\"}";
	struct tg_fault why;

	/* The spool is told at the end of the session, so that acknowledgements that still come are counted. */
	l->deadline_us = tg_clock_boot_us() + GOODBYE_US;
	/* Best effort: where it does not go out, the broker has the will. */
	if (tg_mqtt_publish(l->mqtt, l->status_topic, leaving, sizeof(leaving) - 1, true, COOKIE_GOODBYE, &why) < 0)
		l->farewell = true;
}

/*
 * DISCONNECT, once nothing more is owed: asked for earlier, Paho looks only now and then whether it may go out, and a
 * connection that ends without it makes the broker publish the will over our `offline`.
 */
static void leave(struct tg_link *l)
{
	uint64_t now = tg_clock_boot_us();

	l->leaving = true;
	l->deadline_us = tg_mqtt_disconnect(l->mqtt, 0) < 0 ? now : now + LEAVE_US;
}

static void leave_if_nothing_is_owed(struct tg_link *l)
{
	bool closing = l->report.state == TG_LINK_CLOSING || l->report.state == TG_LINK_STOPPING;

	if (closing && l->farewell && l->session_acks == l->session_packs && !l->leaving)
		leave(l);
}

/* Was it the broker's word on this certificate, and not the network, the clock or us? */
static bool blames_identity(enum tg_mqtt_cause c)
{
	return c == TG_MQTT_CAUSE_TLS_REFUSED || c == TG_MQTT_CAUSE_REFUSED || c == TG_MQTT_CAUSE_CLOSED;
}

static void judge_candidate(struct tg_link *l, enum tg_link_state from)
{
	struct tg_manifest m;
	struct tg_fault why;
	/* Brokers that take a certificate and not what it asks for drop the session behind the CONNACK, or say nothing. */
	bool dropped = from != TG_LINK_CONNECTING && l->report.cause != TG_MQTT_CAUSE_LOCAL;

	if (l->report.identity != TG_LINK_ON_CANDIDATE || l->proved ||
	    !(dropped || blames_identity(l->report.cause)))
		return;
	/* The first identity has nothing to go back to: it is tried again, as the service may activate it late. */
	if (tg_generation_read(l->o.state_dir, TG_SLOT_CURRENT, &m, &why) < 0)
		return;
	if (tg_generation_roll_back(l->o.state_dir, &why) < 0) {
		tg_log(LOG_ERR, "link", "cannot roll back to the current identity: %s", why.text);
		return;
	}
	l->report.rolled_back = true;
	tg_event(TG_EV_IDENTITY_ROLLED_BACK, LOG_WARNING,
		 "The broker refused the new certificate; going on with the current one", TG_F_REASON,
		 l->report.error, NULL);
}

static void back_off(struct tg_link *l, enum tg_link_state from)
{
	uint64_t now = tg_clock_boot_us();
	bool stable = from == TG_LINK_ONLINE && l->session_acks && now - l->connect_us >= STABLE_US;

	if (l->missing) {
		l->due_us = now + NO_IDENTITY_US;
		return;
	}
	if (stable)
		tg_backoff_reset(&l->backoff);
	l->due_us = now + tg_backoff_next(&l->backoff, tg_random_u64());
	if (from != TG_LINK_CONNECTING && !stable && l->due_us < l->connect_us + KICKED_GAP_US)
		l->due_us = l->connect_us + KICKED_GAP_US;
	judge_candidate(l, from);
	forget_session(l);
	if (l->report.failures)
		tg_log(LOG_WARNING, "link", "%s; trying again in %u s", l->report.error,
		       (unsigned) ((l->due_us - now) / TG_US_PER_S));
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

static void step(struct tg_link *l, enum tg_link_event event)
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
	tell(l);
}

static void publish_status(struct tg_link *l)
{
	struct tg_fault why = { .text = "" };

	if (!l->status_fresh || !l->mqtt)
		return;
	if (tg_mqtt_publish(l->mqtt, l->status_topic, l->status, strlen(l->status), true, COOKIE_STATUS,
			    &why) < 0)
		return; /* too many in flight: the next turn tries again */
	l->status_fresh = false;
	step(l, TG_LINK_EV_GREETED);
}

/* --- what arrives ------------------------------------------------------------------------------------------------ */

static void promote(struct tg_link *l)
{
	struct tg_fault why;

	if (tg_generation_promote(l->o.state_dir, true, &why) < 0) {
		tg_log(LOG_ERR, "link", "the new identity works, but cannot be made current: %s", why.text);
		return;
	}
	l->report.identity = TG_LINK_ON_CURRENT;
	l->report.promoted = true;
	tg_event(TG_EV_IDENTITY_PROMOTED, LOG_NOTICE, "The broker took the new certificate; it is current now",
		 TG_F_ENDPOINT, l->report.endpoint, NULL);
}

/* CONNACK, SUBACK and PUBACK together are the proof that the broker takes this identity. */
static void check_proof(struct tg_link *l)
{
	if (l->proved || !l->subscribed || !l->status_acked)
		return;
	l->proved = true;
	l->deadline_us = TG_US_FOREVER;
	l->report.error[0] = '\0';
	l->report.cause = TG_MQTT_CAUSE_NONE;
	tg_event(TG_EV_LINK_UP, LOG_INFO, "Connected to the broker", TG_F_ENDPOINT, l->report.endpoint, NULL);
	if (l->report.identity == TG_LINK_ON_CANDIDATE)
		promote(l);
	tell(l);
}

static void on_subscribed(struct tg_link *l, const struct tg_mqtt_event *e)
{
	if (e->granted) {
		l->subscribed = true;
		check_proof(l);
		return;
	}
	note_failure(l, TG_MQTT_CAUSE_REFUSED, e->text[0] ? e->text : "the broker refused the command subscription (policy?)");
	step(l, TG_LINK_EV_FAILED);
}

static void on_published(struct tg_link *l, uint64_t cookie)
{
	if (cookie == COOKIE_STATUS) {
		l->status_acked = true;
		check_proof(l);
		return;
	}
	if (cookie == COOKIE_GOODBYE) {
		l->farewell = true;
		leave_if_nothing_is_owed(l);
		return;
	}
	l->report.acknowledged++;
	l->session_acks++;
	l->moved_us = tg_clock_boot_us();
	/* A lost notice only means that the pack is sent once more. */
	(void) !tg_spool_ack(l->o.spool, l->session, cookie);
	leave_if_nothing_is_owed(l);
}

static void on_message(struct tg_link *l, const struct tg_mqtt_event *e)
{
	static struct tg_log_limit limit = TG_LOG_LIMIT_INIT;
	char topic[128];

	l->report.commands_ignored++;
	if (!tg_log_allowed(&limit, tg_clock_boot_us(), 3, 60 * TG_US_PER_S))
		return;
	if (e->type == TG_MQTT_MESSAGE_DROPPED)
		tg_log(LOG_NOTICE, "link", "message dropped: %s", e->text);
	else
		tg_log(LOG_NOTICE, "link", "message on %s ignored: this version takes no commands",
		       tg_printable(topic, sizeof(topic), e->topic, strlen(e->topic)));
}

/* A certificate that verifies in everything but its date proves that it is at least as late as it says. */
static void note_peer(struct tg_link *l, const struct tg_mqtt_event *e)
{
	if (e->peer_not_before > l->report.peer_not_before)
		l->report.peer_not_before = e->peer_not_before;
	if (l->report.peer_not_before > l->floor_s)
		l->floor_s = l->report.peer_not_before;
}

static void on_event(struct tg_link *l, const struct tg_mqtt_event *e)
{
	if (e->session != l->session || !l->mqtt)
		return;
	switch (e->type) {
	case TG_MQTT_CONNECTED:
		note_peer(l, e);
		step(l, TG_LINK_EV_CONNECTED);
		return;
	case TG_MQTT_CONNECT_FAILED:
		note_peer(l, e);
		/* fall through */
	case TG_MQTT_LOST:
		note_failure(l, e->cause, e->text);
		step(l, TG_LINK_EV_FAILED);
		return;
	case TG_MQTT_PUBLISH_FAILED:
		/* What is in flight at a goodbye is given up on, and must not cut the DISCONNECT short. */
		if (l->report.state != TG_LINK_ONLINE && l->report.state != TG_LINK_GREETING)
			return;
		note_failure(l, e->cause, e->text);
		step(l, TG_LINK_EV_FAILED);
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
		if (l->report.state == TG_LINK_CLOSING || l->report.state == TG_LINK_STOPPING)
			step(l, TG_LINK_EV_CLOSED);
		return;
	}
}

/* Whether a session made with one setup is just as right under the other. */
static bool same_session(const struct tg_link_setup *a, const struct tg_link_setup *b)
{
	const struct tg_config *x = a->cfg, *y = b->cfg;

	return strcmp(a->spec.id, b->spec.id) == 0 && strcmp(a->spec.tpm, b->spec.tpm) == 0 &&
	       strcmp(x->mqtt.endpoint, y->mqtt.endpoint) == 0 && x->mqtt.port == y->mqtt.port &&
	       strcmp(x->mqtt.alpn, y->mqtt.alpn) == 0 && strcmp(x->mqtt.ca, y->mqtt.ca) == 0 &&
	       strcmp(x->mqtt.client_id, y->mqtt.client_id) == 0 && x->mqtt.version == y->mqtt.version &&
	       x->mqtt.keep_alive_us == y->mqtt.keep_alive_us && x->mqtt.in_flight == y->mqtt.in_flight &&
	       strcmp(x->mqtt.status_topic, y->mqtt.status_topic) == 0 &&
	       strcmp(x->mqtt.command_topic, y->mqtt.command_topic) == 0;
}

static void take_setup(struct tg_link *l, struct tg_link_setup *setup)
{
	bool stands = l->report.state == TG_LINK_GREETING || l->report.state == TG_LINK_ONLINE;
	const struct tg_config *cfg = setup->cfg;
	bool same = l->setup.cfg && same_session(&l->setup, setup);

	tg_config_unref(l->setup.cfg);
	l->setup = *setup;
	free(setup);
	if (cfg->mqtt.endpoint[0])
		(void) snprintf(l->report.endpoint, sizeof(l->report.endpoint), "%s:%u", cfg->mqtt.endpoint,
				cfg->mqtt.port);
	else
		l->report.endpoint[0] = '\0';
	/* A reload that only touches devices leaves the session alone; one that waits for its next try tries now. */
	if (!same || !stands)
		step(l, TG_LINK_EV_CHANGED);
}

static void on_order(struct tg_link *l, struct order *o)
{
	switch (o->type) {
	case ORDER_SETUP:
		take_setup(l, tg_take(o->setup));
		return;
	case ORDER_IDENTITY:
		step(l, TG_LINK_EV_CHANGED);
		return;
	case ORDER_STATUS:
		free(l->status);
		l->status = tg_take(o->json);
		l->status_fresh = true;
		return;
	case ORDER_FLOOR:
		/* A broker's certificate may have raised it meanwhile. */
		if (o->floor_s > l->floor_s)
			l->floor_s = o->floor_s;
		return;
	case ORDER_STOP:
		step(l, TG_LINK_EV_STOP);
		return;
	}
}

/* --- packs out --------------------------------------------------------------------------------------------------- */

static bool set_aside(struct tg_link *l, const struct tg_spool_out *out, const struct tg_fault *why)
{
	tg_event(TG_EV_PACK_SET_ASIDE, LOG_ERR, "A pack cannot be published and is set aside", TG_F_REASON,
		 why->text, NULL);
	return tg_spool_refuse(l->o.spool, l->session, out->parcel->seq) == 0;
}

/* Returns whether the pack is dealt with. */
static bool publish_pack(struct tg_link *l, const struct tg_spool_out *out)
{
	struct tg_message_context ctx = { l->setup.cfg, &l->setup.spec, l->o.clock(l->o.clock_user), { 0 } };
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
		note_failure(l, TG_MQTT_CAUSE_LOCAL, why.text);
		step(l, TG_LINK_EV_FAILED);
	}
	if (r < 0)
		return false;
	l->report.published++;
	if (l->proved)
		l->report.error[0] = '\0';
	if (l->session_packs++ == l->session_acks)
		l->moved_us = tg_clock_boot_us();
	return true;
}

static void publish_packs(struct tg_link *l)
{
	while (l->report.state == TG_LINK_ONLINE) {
		if (!l->held.parcel && !tg_mailbox_take(l->out, &l->held))
			return;
		if (l->held.session == l->session && !publish_pack(l, &l->held))
			return;
		tg_parcel_unref(tg_take(l->held.parcel));
	}
}

/* --- the thread -------------------------------------------------------------------------------------------------- */

static bool ready(const struct tg_link *l)
{
	return l->setup.cfg && l->setup.cfg->mqtt.endpoint[0];
}

/* A broker, or something on the way, that answers pings and acknowledges nothing: only a new session helps. */
static bool is_ignored(const struct tg_link *l, uint64_t now)
{
	return l->report.state == TG_LINK_ONLINE && l->session_packs > l->session_acks &&
	       now >= l->moved_us + ACK_KEEP_ALIVES * l->setup.cfg->mqtt.keep_alive_us;
}

static void on_time(struct tg_link *l, uint64_t now)
{
	switch (l->report.state) {
	case TG_LINK_OFFLINE:
		if (ready(l) && now >= l->due_us)
			step(l, TG_LINK_EV_DUE);
		return;
	case TG_LINK_CONNECTING:
	case TG_LINK_GREETING:
	case TG_LINK_ONLINE:
		if (now < l->deadline_us && !is_ignored(l, now))
			return;
		note_failure(l, TG_MQTT_CAUSE_TCP, "the broker does not answer");
		step(l, TG_LINK_EV_FAILED);
		return;
	case TG_LINK_CLOSING:
	case TG_LINK_STOPPING:
		if (now < l->deadline_us)
			return;
		if (l->leaving)
			step(l, TG_LINK_EV_CLOSED);
		else
			leave(l);
		return;
	case TG_LINK_ENDED:
		return;
	}
}

static uint64_t next_deadline(const struct tg_link *l)
{
	uint64_t d = tg_us_add(l->reported_us, REPORT_US);
	uint64_t t = l->report.state == TG_LINK_OFFLINE ? l->due_us : l->deadline_us;

	return t < d && (l->report.state != TG_LINK_OFFLINE || ready(l)) ? t : d;
}

static void turn(struct tg_link *l)
{
	struct tg_mqtt_event event;
	struct order order;

	while (l->report.state != TG_LINK_ENDED && tg_mailbox_take(l->orders, &order)) {
		on_order(l, &order);
		drop_order(&order);
	}
	while (tg_mailbox_take(l->events, &event)) {
		on_event(l, &event);
		tg_mqtt_event_done(&event);
	}
	if (l->report.state == TG_LINK_GREETING || l->report.state == TG_LINK_ONLINE)
		publish_status(l);
	publish_packs(l);
	on_time(l, tg_clock_boot_us());
	if (tg_clock_boot_us() >= l->reported_us + REPORT_US)
		tell(l);
}

static void *run(void *arg)
{
	struct tg_link *l = arg;

	while (l->report.state != TG_LINK_ENDED) {
		/* A held pack waits for a PUBACK, so the out box is not looked at meanwhile. */
		struct pollfd p[] = {
			{ .fd = tg_mailbox_fd(l->orders), .events = POLLIN },
			{ .fd = tg_mailbox_fd(l->events), .events = POLLIN },
			{ .fd = l->held.parcel ? -1 : tg_mailbox_fd(l->out), .events = POLLIN },
		};

		turn(l);
		if (l->report.state == TG_LINK_ENDED)
			break;
		p[2].fd = l->held.parcel ? -1 : tg_mailbox_fd(l->out);
		(void) poll(p, TG_ARRAY_SIZE(p), tg_us_to_poll_ms(tg_clock_boot_us(), next_deadline(l)));
	}
	atomic_store(&l->ended, true);
	return NULL;
}

/* --- from outside ------------------------------------------------------------------------------------------------ */

static int order(struct tg_link *l, const struct order *o)
{
	return tg_mailbox_post(l->orders, o);
}

int tg_link_configure(struct tg_link *l, const struct tg_link_setup *setup)
{
	tg_autofree struct tg_link_setup *copy = malloc(sizeof(*copy));
	struct order o = { .type = ORDER_SETUP, .setup = copy };
	int r;

	if (!copy)
		return -ENOMEM;
	*copy = *setup;
	r = order(l, &o);
	if (r == 0)
		copy = NULL;
	return r;
}

int tg_link_identity_changed(struct tg_link *l)
{
	return order(l, &(struct order) { .type = ORDER_IDENTITY });
}

int tg_link_status(struct tg_link *l, char *json)
{
	return order(l, &(struct order) { .type = ORDER_STATUS, .json = json });
}

int tg_link_floor(struct tg_link *l, int64_t floor_s)
{
	return order(l, &(struct order) { .type = ORDER_FLOOR, .floor_s = floor_s });
}

uint64_t tg_link_patience_us(void)
{
	/* One call of the library: a name to resolve, or a signature of the TPM. */
	return 2 * CONNECT_TIMEOUT_US + TG_MQTT_FREE_MAX_US;
}

static int make_boxes(struct tg_link *l)
{
	int r = tg_mailbox_new(ORDERS_SLOTS, sizeof(struct order), drop_order, &l->orders);

	if (r == 0)
		r = tg_mailbox_new(EVENTS_SLOTS, sizeof(struct tg_mqtt_event), tg_mqtt_event_drop, &l->events);
	if (r == 0)
		r = tg_mailbox_new(OUT_SLOTS, sizeof(struct tg_spool_out), drop_out, &l->out);
	return r;
}

static void release(struct tg_link *l)
{
	l->orders = tg_mailbox_free(l->orders);
	l->events = tg_mailbox_free(l->events);
	l->out = tg_mailbox_free(l->out);
	tg_config_unref(l->setup.cfg);
	tg_message_done(&l->message);
	free(l->status);
	free(l);
}
TG_DEFINE_CLEANUP(struct tg_link *, release)

int tg_link_new(const struct tg_link_options *o, struct tg_link **ret, struct tg_fault *reterr)
{
	tg_cleanup(releasep) struct tg_link *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	l->o = *o;
	l->backoff = (struct tg_backoff) TG_BACKOFF_INIT(BACKOFF_BASE_US, BACKOFF_CAP_US);
	l->deadline_us = TG_US_FOREVER;
	/* Without it no pack's clock is repaired, as none is of this boot. */
	if (tg_clock_boot_id(l->boot_id) < 0)
		tg_log(LOG_WARNING, "link", "this boot has no id");
	r = make_boxes(l);
	if (r == 0)
		r = -pthread_create(&l->thread, NULL, run, l);
	if (r < 0)
		return tg_fault_set(reterr, r, "cannot start the link: %s", strerror(-r));
	(void) pthread_setname_np(l->thread, "link");
	*ret = tg_take(l);
	return 0;
}

int tg_link_stop(struct tg_link *l, uint64_t timeout_us)
{
	uint64_t until = tg_clock_boot_us() + timeout_us;

	while (order(l, &(struct order) { .type = ORDER_STOP }) == -EAGAIN && tg_clock_boot_us() < until)
		(void) poll(NULL, 0, 10);
	while (!atomic_load(&l->ended) && tg_clock_boot_us() < until)
		(void) poll(NULL, 0, 10);
	return atomic_load(&l->ended) ? 0 : -ETIMEDOUT;
}

struct tg_link *tg_link_free(struct tg_link *l)
{
	if (!l)
		return NULL;
	/* A thread that hangs in a library keeps what it uses; the process is about to end. */
	if (!atomic_load(&l->ended))
		return NULL;
	(void) pthread_join(l->thread, NULL);
	release(l);
	return NULL;
}
