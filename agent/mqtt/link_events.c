/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_internal.h"

#include <tidegate/log.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/*
 * Events for the cloud: one at a time, in order, each kept until its PUBACK, and before all packs that have not gone out
 * yet. A broker that does not allow the topic drops the connection for it: what was in flight then is tried again a few
 * times, and given up, so that it cannot keep the gateway from its readings.
 *
 * They are in memory here, and in the spool for the next start of the agent.
 */
#define EVENTS_SUFFIX "/events"
#define TRIES_MAX     2 /* sessions that ended while the event was in flight; one where it has been denied before */

static struct tg_link_note *head(struct tg_link *l)
{
	return l->n_notes ? &l->notes[0] : NULL;
}

static void remove_note(struct tg_link *l, size_t at)
{
	free(l->notes[at].json);
	l->n_notes--;
	memmove(&l->notes[at], &l->notes[at + 1], (l->n_notes - at) * sizeof(l->notes[0]));
}

/* Should the spool not hear of it, the event is sent once more after a restart. */
static void let_go(struct tg_link *l, const struct tg_link_note *n, bool delivered)
{
	if (n->number)
		(void) !tg_spool_event_done(l->o.spool, n->number, delivered);
}

/* What waits for an event's delivery goes on, delivered or not. */
static void finish_head(struct tg_link *l, bool delivered)
{
	bool retires = l->notes[0].retires;

	let_go(l, &l->notes[0], delivered);
	remove_note(l, 0);
	if (retires)
		tg_link_retire(l);
}

uint64_t tg_link_note_number(struct tg_link *l)
{
	return ((uint64_t) l->o.epoch << 32) + atomic_fetch_add(&l->note_number, 1) + 1;
}

static void keep(struct tg_link *l, struct tg_link_note *n)
{
	int r;

	if (!n->number || n->kept)
		return;
	r = tg_spool_event_put(l->o.spool, n->number, n->json);
	n->kept = r == 0;
	if (r == -EMSGSIZE)
		n->number = 0;
}

/* By number; those without one where they come. Never before the one in flight, whose PUBACK is to be told apart. */
static size_t place_of(const struct tg_link *l, const struct tg_link_note *n)
{
	size_t at = l->n_notes, first = l->note_in_flight ? 1 : 0;

	while (n->number && at > first && l->notes[at - 1].number > n->number)
		at--;
	return at;
}

void tg_link_add_note(struct tg_link *l, const struct tg_link_note *n)
{
	size_t oldest = l->note_in_flight ? 1 : 0, at = place_of(l, n);

	if (l->n_notes == TG_LINK_EVENTS) {
		tg_log(LOG_WARNING, "link",
		       "too many events wait for the broker; the oldest is dropped");
		if (at == oldest) {
			let_go(l, n, false);
			free(n->json);
			return;
		}
		let_go(l, &l->notes[oldest], false);
		remove_note(l, oldest);
		at--;
	}
	memmove(&l->notes[at + 1], &l->notes[at], (l->n_notes - at) * sizeof(l->notes[0]));
	l->notes[at] = *n;
	l->n_notes++;
	keep(l, &l->notes[at]);
}

void tg_link_note(struct tg_link *l, char *json, bool retires)
{
	if (json)
		tg_link_add_note(l, &(struct tg_link_note){
					    .json = json,
					    .number = retires ? 0 : tg_link_note_number(l),
					    .retires = retires });
}

void tg_link_ask_for_notes(struct tg_link *l)
{
	while (tg_spool_events_to(l->o.spool, l->notes_in) == -EAGAIN)
		(void) poll(NULL, 0, 10);
}

void tg_link_take_notes(struct tg_link *l)
{
	struct tg_spool_event e;

	while (tg_mailbox_take(l->notes_in, &e))
		tg_link_add_note(l, &(struct tg_link_note){ .json = e.json, .number = e.number, .kept = true });
	/* What the spool's mailbox had no room for. */
	for (size_t i = 0; i < l->n_notes; i++)
		keep(l, &l->notes[i]);
	l->report.events_waiting = (unsigned) l->n_notes;
}

void tg_link_publish_notes(struct tg_link *l)
{
	char topic[sizeof(l->status_topic) + sizeof(EVENTS_SUFFIX)];
	struct tg_link_note *n = head(l);
	struct tg_fault why = { .text = "" };
	int r;

	if (!n || l->note_in_flight || !l->proved || l->report.state != TG_LINK_ONLINE)
		return;
	(void) snprintf(topic, sizeof(topic), "%s" EVENTS_SUFFIX, l->status_topic);
	r = tg_mqtt_publish(l->mqtt, topic, n->json, strlen(n->json), false, TG_COOKIE_NOTE, &why);
	if (r == 0) {
		l->note_in_flight = true;
		tg_flight_sent(&l->flight, TG_COOKIE_NOTE, tg_clock_boot_us());
		if (n->retires)
			tg_link_commit(l);
		return;
	}
	if (r != -EINVAL && r != -EMSGSIZE)
		return; /* too many in flight, or a session that is about to end */
	tg_log(LOG_ERR, "link", "an event cannot be published, dropping it: %s", why.text);
	finish_head(l, false);
}

void tg_link_note_acked(struct tg_link *l)
{
	if (!l->note_in_flight)
		return;
	l->note_in_flight = l->notes_denied = false;
	finish_head(l, true);
}

bool tg_link_note_lost(struct tg_link *l)
{
	if (!l->note_in_flight)
		return false;
	l->note_in_flight = false;
	if (!l->notes_denied && ++l->notes[0].tries < TRIES_MAX)
		return true;
	l->notes_denied = true;
	tg_log(LOG_WARNING, "link",
	       "the broker ends the session whenever an event is published to %s" EVENTS_SUFFIX
	       " (policy?); giving this event up",
	       l->status_topic);
	finish_head(l, false);
	return true;
}

bool tg_link_note_on_trial(const struct tg_link *l)
{
	return l->note_in_flight && l->notes[0].tries > 0;
}

bool tg_link_notes_retire(const struct tg_link *l)
{
	for (size_t i = 0; i < l->n_notes; i++)
		if (l->notes[i].retires)
			return true;
	return false;
}

void tg_link_notes_stay(struct tg_link *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_notes; i++) {
		if (l->notes[i].retires && !(i == 0 && l->note_in_flight))
			free(l->notes[i].json);
		else
			l->notes[n++] = l->notes[i];
	}
	l->n_notes = n;
	/* One that is out cannot be taken back, only what follows from it. */
	if (n)
		l->notes[0].retires = false;
}

void tg_link_notes_done(struct tg_link *l)
{
	while (l->n_notes)
		remove_note(l, l->n_notes - 1);
}
