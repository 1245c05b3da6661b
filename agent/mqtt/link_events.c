/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/link_internal.h"

#include <tidegate/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Events for the cloud: one at a time, in order, each kept until its PUBACK. A broker that does not
 * allow the topic drops the connection for it: what was in flight then is tried again a few times,
 * and given up, so that it cannot keep the gateway from its readings.
 */
#define EVENTS_SUFFIX "/events"
#define TRIES_MAX     2 /* sessions that ended while the event was in flight; one where it has been denied before */

static struct tg_link_note *head(struct tg_link *l)
{
	return l->n_notes ? &l->notes[0] : NULL;
}

static void drop_head(struct tg_link *l)
{
	free(l->notes[0].json);
	l->n_notes--;
	memmove(&l->notes[0], &l->notes[1], l->n_notes * sizeof(l->notes[0]));
}

/* What waits for an event's delivery goes on, delivered or not. */
static void finish_head(struct tg_link *l)
{
	bool retires = l->notes[0].retires;

	drop_head(l);
	if (retires)
		tg_link_retire(l);
}

void tg_link_note(struct tg_link *l, char *json, bool retires)
{
	if (!json)
		return;
	if (l->n_notes == TG_LINK_EVENTS) {
		/* Not the one in flight, whose PUBACK is to be told apart. */
		unsigned at = l->note_in_flight ? 1 : 0;

		tg_log(LOG_WARNING, "link",
		       "too many events wait for the broker; the oldest is dropped");
		free(l->notes[at].json);
		l->n_notes--;
		memmove(&l->notes[at], &l->notes[at + 1], (l->n_notes - at) * sizeof(l->notes[0]));
	}
	l->notes[l->n_notes++] = (struct tg_link_note){ .json = json, .retires = retires };
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
		if (n->retires)
			tg_link_commit(l);
		return;
	}
	if (r != -EINVAL && r != -EMSGSIZE)
		return; /* too many in flight, or a session that is about to end */
	tg_log(LOG_ERR, "link", "an event cannot be published, dropping it: %s", why.text);
	finish_head(l);
}

void tg_link_note_acked(struct tg_link *l)
{
	if (!l->note_in_flight)
		return;
	l->note_in_flight = l->notes_denied = false;
	finish_head(l);
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
	finish_head(l);
	return true;
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
		drop_head(l);
}
