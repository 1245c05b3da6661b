/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_internal.h"

#include "agent/status/aside.h"
#include "base/clock.h"

#include <tidegate/identity.h>
#include <tidegate/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void post(struct tg_agent *a, const struct tg_news *n)
{
	/* Each is a whole state: the next one makes a lost one good. */
	(void) !tg_mailbox_post(a->news, n);
}

void tg_agent_on_device_state(void *user, const struct tg_device_state *state)
{
	post(user, &(struct tg_news){ .type = TG_NEWS_DEVICE, .device = *state });
}

void tg_agent_on_bus_state(void *user, const struct tg_bus_state *state)
{
	post(user, &(struct tg_news){ .type = TG_NEWS_BUS, .bus = *state });
}

void tg_agent_on_fleet(void *user)
{
	struct tg_agent *a = user;

	tg_verbs_reconfigured(a->verbs);
	tg_desk_reconfigured(a->desk);
	a->status_due = true;
}

void tg_agent_on_spool_state(void *user, const struct tg_spool_state *state)
{
	post(user, &(struct tg_news){ .type = TG_NEWS_SPOOL, .spool = *state });
}

void tg_agent_drop_news(void *news)
{
	struct tg_news *n = news;

	if (n->type == TG_NEWS_ASIDE)
		free(n->aside.list);
}

void tg_agent_on_aside(void *user, uint64_t client, struct tg_spool_aside *list)
{
	struct tg_agent *a = user;

	/* Where there is no room the client asks again. */
	if (tg_mailbox_post(a->news, &(struct tg_news){ .type = TG_NEWS_ASIDE, .aside = { client, list } }) < 0)
		free(list);
}

void tg_agent_on_link_report(void *user, const struct tg_link_report *report)
{
	post(user, &(struct tg_news){ .type = TG_NEWS_LINK, .link = *report });
}

void tg_agent_on_tpm_report(void *user, const struct tg_tpm_report *report)
{
	post(user, &(struct tg_news){ .type = TG_NEWS_TPM, .tpm = *report });
}

void tg_agent_publish_status(struct tg_agent *a)
{
	tg_autofree char *json = NULL;
	struct tg_picture p;

	tg_agent_picture(a, &p);
	json = tg_status_json(&p, true);
	a->status_due = true;
	if (!json || tg_link_status(a->link, json) < 0)
		return; /* due again at the next tick */
	json = NULL;
	a->status_due = false;
	a->status_us = p.now_us;
}

/* The setup goes out when the configuration or an id has changed. */
void tg_agent_configure_link(struct tg_agent *a)
{
	struct tg_link_setup setup = { .cfg = tg_config_ref(a->cfg), .spec = a->spec };

	/* Its mailbox is full while a call of a library holds it up: the tick tries again. */
	a->link_due = tg_link_configure(a->link, &setup) < 0;
	if (a->link_due)
		tg_config_unref(setup.cfg);
}

/* Returns whether %i has changed. */
bool tg_agent_expand_id(struct tg_agent *a)
{
	char id[sizeof(a->spec.id)] = "";
	bool changed;

	if (tg_specifiers_expand(&a->spec, a->cfg->gateway.id, id, sizeof(id), NULL) < 0)
		id[0] = '\0';
	changed = strcmp(id, a->spec.id) != 0;
	memcpy(a->spec.id, id, sizeof(id));
	return changed;
}

/*
 * A TPM that was replaced under a session that stands: the session has its key behind it and
 * goes on under the old name, until it ends by itself or an identity of the new TPM is there.
 */
static bool keeps_name(const struct tg_agent *a)
{
	struct tg_manifest m;

	return a->tpm_report.condition == TG_TPM_REPLACED &&
	       a->link_report.state == TG_LINK_ONLINE &&
	       tg_generation_read(a->o->state_dir, TG_SLOT_CANDIDATE, &m, NULL) < 0;
}

static void take_tpm_name(struct tg_agent *a)
{
	const char *id = a->tpm_report.id;

	if (!id[0] || strcmp(id, a->spec.tpm) == 0 || keeps_name(a))
		return;
	memcpy(a->spec.tpm, id, sizeof(a->spec.tpm));
	if (tg_agent_expand_id(a))
		tg_log(LOG_INFO, "agent", "this gateway is '%s'", a->spec.id);
	/* Topics can name the TPM where the id does not. */
	tg_agent_configure_link(a);
}

static void on_tpm(struct tg_agent *a, const struct tg_tpm_report *r)
{
	bool differs = r->condition != a->tpm_report.condition;

	a->tpm_report = *r;
	a->status_due |= differs;
	/* What the link has waited for need not wait for the end of its back-off. */
	if (differs && r->condition == TG_TPM_OK && a->link_report.cause == TG_MQTT_CAUSE_TPM)
		(void) !tg_link_identity_changed(a->link);
	take_tpm_name(a);
	tg_keeper_tpm(a->keeper, r->id, r->key_lost);
}

static void on_link(struct tg_agent *a, const struct tg_link_report *r)
{
	bool changed = r->promotions != a->link_report.promotions ||
		       r->roll_backs != a->link_report.roll_backs ||
		       r->retirements != a->link_report.retirements,
	     asked = r->wants_status;

	a->link_report = *r;
	if (r->state == TG_LINK_OFFLINE)
		take_tpm_name(a);
	tg_timekeeping_raise_floor(a->time, TG_FLOOR_PEER, r->peer_not_before);
	if (changed) {
		tg_tpm_watch_poke(a->watch);
		a->claim.next_us = 0;
	}
	tg_agent_tell_keeper(a);
	if (r->cause == TG_MQTT_CAUSE_TPM)
		tg_agent_look_at_tpm(a);
	if (asked)
		tg_agent_publish_status(a);
}

/* What an operator far away has to know of the spool. What finds no room is told with the next report. */
static void tell_cloud(struct tg_agent *a)
{
	const struct tg_spool_state *s = &a->spool_state;
	uint64_t now = tg_clock_boot_us();
	tg_autofree char *json = NULL;
	struct tg_cloud_event e;

	if (!tg_spool_news_next(&a->spool_news, s, a->link_report.state == TG_LINK_ONLINE, now, &e))
		return;
	e.gateway = a->spec.id;
	if (tg_timekeeping_now(a->time).trust != TG_CLOCK_SUSPECT)
		e.wall_us = tg_clock_wall_us();
	json = tg_cloud_event_json(&e);
	if (!json || tg_link_event(a->link, json) < 0)
		return;
	json = NULL;
	tg_spool_news_told(&a->spool_news, &e, s, now);
	/* Lost, it is told once more after a restart. */
	if (e.news == TG_CLOUD_READINGS_DROPPED)
		(void) !tg_spool_dropped_told(a->spool, e.total);
}

/* Takes over @list. */
static void answer_aside(struct tg_agent *a, uint64_t client, struct tg_spool_aside *list)
{
	tg_autofree char *json = list ? tg_status_aside_json(list) : NULL;

	if (json)
		tg_control_answer(a->control, client, json, 0);
	else
		tg_control_refuse(a->control, client, TG_EXIT_FAILED, "the spool's file cannot be read now");
	free(list);
}

static void on_news(struct tg_agent *a, const struct tg_news *n)
{
	switch (n->type) {
	case TG_NEWS_DEVICE:
		a->status_due |= tg_fleet_note(a->fleet, &n->device);
		return;
	case TG_NEWS_BUS:
		a->status_due |= tg_fleet_note_bus(a->fleet, &n->bus);
		return;
	case TG_NEWS_SPOOL:
		a->status_due |= (n->spool.error != 0) != (a->spool_state.error != 0);
		a->spool_state = n->spool;
		tell_cloud(a);
		return;
	case TG_NEWS_LINK:
		on_link(a, &n->link);
		return;
	case TG_NEWS_TPM:
		on_tpm(a, &n->tpm);
		return;
	case TG_NEWS_ASIDE:
		answer_aside(a, n->aside.client, n->aside.list);
		return;
	}
}

int tg_agent_on_news_io(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct tg_agent *a = user;
	struct tg_news n;

	(void) s;
	(void) fd;
	(void) events;
	while (tg_mailbox_take(a->news, &n))
		on_news(a, &n);
	return 0;
}

int tg_agent_on_tap_io(sd_event_source *s, int fd, uint32_t events, void *user)
{
	struct tg_agent *a = user;
	struct tg_parcel *p;

	(void) s;
	(void) fd;
	(void) events;
	while (tg_mailbox_take(a->tap, &p)) {
		size_t device;

		if (tg_fleet_device(a->fleet, tg_parcel_device(p), &device) == 0)
			tg_verbs_reading(a->verbs, device, p);
		tg_parcel_unref(p);
	}
	return 0;
}

void tg_agent_on_identity(void *user)
{
	struct tg_agent *a = user;

	/* Before the link tries it: it may be that of another TPM, and the client id with it. */
	take_tpm_name(a);
	tg_tpm_watch_poke(a->watch);
	tg_agent_keep_floor(a);
	if (tg_link_identity_changed(a->link) < 0)
		tg_log(LOG_WARNING, "agent",
		       "the link is busy; it finds the new identity by itself");
	a->status_due = true;
}
