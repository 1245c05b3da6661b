/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_internal.h"

#include <tidegate/log.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define ORDERS_SLOTS 64
#define EVENTS_SLOTS (TG_LINK_WINDOW_MAX + TG_LINK_OWN_PUBLISHES + TG_MQTT_MAILBOX_EXTRA)
/* So many without one PUBACK while packs wait for theirs, or without that of one that was passed over: the session is of no use. */
#define ACK_KEEP_ALIVES 3
/* A broker that lives answers a ping once a keep-alive: half of one more, but at least so much, is for the way. */
#define ANSWER_MIN_US   (5 * TG_US_PER_S)
#define REPORT_US       TG_US_PER_S
#define BACKOFF_BASE_US TG_US_PER_S

enum order_type {
	ORDER_SETUP,
	ORDER_IDENTITY,
	ORDER_STATUS,
	ORDER_AWAY,
	ORDER_EVENT,
	ORDER_STOP
};

struct order {
	enum order_type type;
	struct tg_link_setup *setup; /* owned */
	char *json;                  /* owned */
	uint64_t number;             /* the event's; 0: it is not in the spool */
	bool away;
};

static void drop_order(void *msg)
{
	struct order *o = msg;

	if (o->setup)
		tg_config_unref(o->setup->cfg);
	free(o->setup);
	free(o->json);
}

/* Whether a session made with one setup is just as right under the other. */
static bool same_session(const struct tg_link_setup *a, const struct tg_link_setup *b)
{
	const struct tg_config *x = a->cfg, *y = b->cfg;

	return strcmp(a->spec.id, b->spec.id) == 0 && strcmp(a->spec.tpm, b->spec.tpm) == 0 &&
	       strcmp(x->mqtt.endpoint, y->mqtt.endpoint) == 0 && x->mqtt.port == y->mqtt.port &&
	       strcmp(x->mqtt.alpn, y->mqtt.alpn) == 0 && strcmp(x->mqtt.ca, y->mqtt.ca) == 0 &&
	       x->mqtt.ca_from_enrolment == y->mqtt.ca_from_enrolment &&
	       strcmp(x->mqtt.client_id, y->mqtt.client_id) == 0 &&
	       x->mqtt.version == y->mqtt.version &&
	       x->mqtt.keep_alive_us == y->mqtt.keep_alive_us &&
	       x->mqtt.in_flight == y->mqtt.in_flight && x->mqtt.echo == y->mqtt.echo &&
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
		(void) snprintf(l->report.endpoint, sizeof(l->report.endpoint), "%s:%u",
				cfg->mqtt.endpoint, cfg->mqtt.port);
	else
		l->report.endpoint[0] = '\0';
	/* A reload that only touches devices leaves the session alone; one that waits for its next try tries now. */
	tg_trial_hurry(&l->trial);
	if (!same || !stands)
		tg_link_advance(l, TG_LINK_EV_CHANGED);
}

/* A session under what is still the best identity goes on. */
static void take_identity(struct tg_link *l)
{
	bool stands = l->report.state == TG_LINK_GREETING || l->report.state == TG_LINK_ONLINE;

	tg_link_look(l);
	if (!stands || tg_link_is_outdated(l, tg_clock_boot_us()))
		tg_link_advance(l, TG_LINK_EV_CHANGED);
}

static void on_order(struct tg_link *l, struct order *o)
{
	switch (o->type) {
	case ORDER_SETUP:
		take_setup(l, tg_take(o->setup));
		return;
	case ORDER_IDENTITY:
		take_identity(l);
		return;
	case ORDER_STATUS:
		free(l->status);
		l->status = tg_take(o->json);
		l->status_fresh = true;
		return;
	case ORDER_AWAY:
		if (l->away == o->away)
			return;
		l->away = o->away;
		tg_link_advance(l, TG_LINK_EV_CHANGED);
		return;
	case ORDER_EVENT:
		tg_link_add_note(l, &(struct tg_link_note){ .json = tg_take(o->json), .number = o->number, .kept = true });
		return;
	case ORDER_STOP:
		tg_link_advance(l, TG_LINK_EV_STOP);
		return;
	}
}

/* --- the thread -------------------------------------------------------------------------------------------------- */

static bool ready(const struct tg_link *l)
{
	return l->setup.cfg && l->setup.cfg->mqtt.endpoint[0] && !l->away;
}

/* A broker, or something on the way, that answers pings and acknowledges nothing: only a new session helps. */
static bool is_ignored(const struct tg_link *l, uint64_t now)
{
	return l->report.state == TG_LINK_ONLINE &&
	       tg_flight_is_overdue(&l->flight, now, ACK_KEEP_ALIVES * l->setup.cfg->mqtt.keep_alive_us);
}

static const char *why_given_up(const struct tg_link *l)
{
	if (l->echo && l->status_acked && !l->subscriptions && !l->echoed)
		return "the broker acknowledges our status, but does not return it: look at its access list or policy";
	if (l->overdue && l->flight.passed)
		return "the broker does not answer to a message, but to later ones";
	return "the broker does not answer";
}

static uint64_t silence_max_us(const struct tg_link *l)
{
	uint64_t keep_alive_us = l->setup.cfg->mqtt.keep_alive_us;

	return keep_alive_us + (keep_alive_us / 2 > ANSWER_MIN_US ? keep_alive_us / 2 : ANSWER_MIN_US);
}

/*
 * Not a byte for so long: the connection is half open, whatever TCP thinks of it. Paho notices only a keep-alive and a half
 * after its ping, and never while something trickles in or while it cannot write.
 */
static bool is_silent(const struct tg_link *l, uint64_t now)
{
	bool stands = l->report.state == TG_LINK_GREETING || l->report.state == TG_LINK_ONLINE;
	uint64_t heard_us = stands ? tg_mqtt_heard_us(l->mqtt) : 0;

	return heard_us && now >= heard_us + silence_max_us(l);
}

static void give_up(struct tg_link *l, bool silent)
{
	char text[96];

	l->facts.silent = true;
	(void) snprintf(text, sizeof(text), "nothing came from the broker for %" PRIu64 " s: the connection is dead",
			silence_max_us(l) / TG_US_PER_S);
	tg_link_note_failure(l, TG_MQTT_CAUSE_TCP, silent ? text : why_given_up(l));
	tg_link_advance(l, TG_LINK_EV_FAILED);
}

static void on_time(struct tg_link *l, uint64_t now)
{
	bool silent = is_silent(l, now);

	switch (l->report.state) {
	case TG_LINK_OFFLINE:
		if (ready(l) && now >= l->due_us && !tg_link_paused(l, now))
			tg_link_advance(l, TG_LINK_EV_DUE);
		return;
	case TG_LINK_CONNECTING:
	case TG_LINK_GREETING:
	case TG_LINK_ONLINE:
		/* Silence is the line's; packs are to blame only where all else is answered. */
		l->overdue = !silent && is_ignored(l, now);
		if (now >= l->deadline_us || l->overdue || silent)
			give_up(l, silent);
		else if (l->report.state == TG_LINK_ONLINE && tg_link_is_outdated(l, now))
			tg_link_advance(l, TG_LINK_EV_CHANGED);
		return;
	case TG_LINK_CLOSING:
	case TG_LINK_STOPPING:
		if (now < l->deadline_us)
			return;
		if (l->leaving)
			tg_link_advance(l, TG_LINK_EV_CLOSED);
		else
			tg_link_leave(l);
		return;
	case TG_LINK_ENDED:
		return;
	}
}

static uint64_t next_deadline(const struct tg_link *l)
{
	uint64_t d = tg_us_add(l->reported_us, REPORT_US);
	uint64_t t = l->report.state == TG_LINK_OFFLINE ? tg_link_paused_until(l) : l->deadline_us;

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
	tg_link_take_notes(l);
	while (tg_mailbox_take(l->events, &event)) {
		tg_link_on_event(l, &event);
		tg_mqtt_event_done(&event);
	}
	if (l->report.state == TG_LINK_GREETING || l->report.state == TG_LINK_ONLINE)
		tg_link_publish_status(l);
	tg_link_watch_probation(l, tg_clock_boot_us());
	tg_link_watch_kicks(l, tg_clock_boot_us());
	tg_link_take_results(l);
	tg_link_publish_results(l);
	tg_link_publish_notes(l);
	tg_link_publish_packs(l);
	tg_link_pay(l, tg_clock_boot_us());
	on_time(l, tg_clock_boot_us());
	if (tg_clock_boot_us() >= l->reported_us + REPORT_US)
		tg_link_tell(l);
}

static void *run(void *arg)
{
	struct tg_link *l = arg;

	tg_link_ask_for_notes(l);
	while (l->report.state != TG_LINK_ENDED) {
		/* A held pack waits for a PUBACK, so the out box is not looked at meanwhile. */
		struct pollfd p[] = {
			{ .fd = tg_mailbox_fd(l->orders), .events = POLLIN },
			{ .fd = tg_mailbox_fd(l->events), .events = POLLIN },
			{ .fd = l->held.parcel ? -1 : tg_mailbox_fd(l->out), .events = POLLIN },
			{ .fd = tg_mailbox_fd(l->results_in), .events = POLLIN },
			{ .fd = tg_mailbox_fd(l->notes_in), .events = POLLIN },
		};

		turn(l);
		if (l->report.state == TG_LINK_ENDED)
			break;
		p[2].fd = l->held.parcel ? -1 : tg_mailbox_fd(l->out);
		(void) poll(p, TG_ARRAY_SIZE(p),
			    tg_us_to_poll_ms(tg_clock_boot_us(), next_deadline(l)));
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
	return order(l, &(struct order){ .type = ORDER_IDENTITY });
}

int tg_link_status(struct tg_link *l, char *json)
{
	return order(l, &(struct order){ .type = ORDER_STATUS, .json = json });
}

int tg_link_suspend(struct tg_link *l, bool away)
{
	return order(l, &(struct order){ .type = ORDER_AWAY, .away = away });
}

int tg_link_event(struct tg_link *l, char *json)
{
	struct order o = { .type = ORDER_EVENT, .json = json, .number = tg_link_note_number(l) };
	int r;

	/* To the spool first: the link's thread may be held up by a library while the power goes. */
	if (tg_spool_event_put(l->o.spool, o.number, json) < 0)
		o.number = 0;
	r = order(l, &o);
	if (r < 0 && o.number)
		(void) !tg_spool_event_done(l->o.spool, o.number, true);
	return r;
}

uint64_t tg_link_patience_us(void)
{
	/* One call of the library: a name to resolve, or a signature of the TPM. */
	return 2 * TG_LINK_CONNECT_TIMEOUT_US + TG_MQTT_FREE_MAX_US;
}

static int make_boxes(struct tg_link *l)
{
	int r = tg_mailbox_new(ORDERS_SLOTS, sizeof(struct order), drop_order, &l->orders);

	if (r == 0)
		r = tg_mailbox_new(EVENTS_SLOTS, sizeof(struct tg_mqtt_event), tg_mqtt_event_drop,
				   &l->events);
	if (r == 0)
		r = tg_mailbox_new(TG_LINK_WINDOW_MAX, sizeof(struct tg_spool_out),
				   tg_link_drop_out, &l->out);
	if (r == 0)
		r = tg_mailbox_new(TG_LINK_RESULTS, sizeof(struct tg_link_result),
				   tg_link_drop_result, &l->results_in);
	if (r == 0)
		r = tg_mailbox_new(TG_LINK_EVENTS, sizeof(struct tg_spool_event), tg_spool_drop_event,
				   &l->notes_in);
	return r;
}

static void release(struct tg_link *l)
{
	l->orders = tg_mailbox_free(l->orders);
	l->events = tg_mailbox_free(l->events);
	l->out = tg_mailbox_free(l->out);
	l->results_in = tg_mailbox_free(l->results_in);
	l->notes_in = tg_mailbox_free(l->notes_in);
	tg_config_unref(l->setup.cfg);
	tg_message_done(&l->message);
	tg_link_notes_done(l);
	tg_link_results_done(l);
	free(l->status);
	free(l->echo);
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
	l->backoff = (struct tg_backoff) TG_BACKOFF_INIT(BACKOFF_BASE_US, TG_KICKS_CAP_US);
	l->kicks = (struct tg_kicks) TG_KICKS_INIT;
	l->report.instance = tg_random_u64();
	l->deadline_us = TG_US_FOREVER;
	l->trial = (struct tg_trial) TG_TRIAL_INIT;
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

	while (order(l, &(struct order){ .type = ORDER_STOP }) == -EAGAIN &&
	       tg_clock_boot_us() < until)
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
