/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/status.h"

#include "agent/status/clock.h"
#include "agent/status/identity.h"
#include "agent/status/member.h"
#include "agent/status/spool.h"
#include "agent/status/trust.h"
#include "base/clock.h"
#include "config/table.h"
#include "json/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>


/* Seconds since @then_us, or null when it never was. */
static json_t *age(const struct tg_picture *p, uint64_t then_us)
{
	if (!then_us)
		return json_null();
	return tg_member_number(p->now_us > then_us ? (p->now_us - then_us) / TG_US_PER_S : 0);
}

/* Seconds until @then_us, or null when nothing is planned. */
static json_t *until(const struct tg_picture *p, uint64_t then_us)
{
	if (!then_us || then_us == TG_US_FOREVER)
		return json_null();
	return tg_member_number(then_us > p->now_us ? (then_us - p->now_us) / TG_US_PER_S : 0);
}

static const char *key_state(const struct tg_tpm_report *t)
{
	if (!t->has_key)
		return "none";
	if (t->key_lost)
		return "lost";
	return t->key_ok ? "usable" : "not usable";
}

static json_t *tpm(const struct tg_picture *p)
{
	const struct tg_tpm_report *t = &p->tpm;
	char firmware[32];
	json_t *o = json_object();

	(void) snprintf(firmware, sizeof(firmware), "%u.%u.%u.%u", t->info.firmware[0] >> 16,
			t->info.firmware[0] & 0xffff, t->info.firmware[1] >> 16,
			t->info.firmware[1] & 0xffff);
	tg_member_put(o, "state", json_string(tg_tpm_condition_name(t->condition)));
	tg_member_put(o, "id", tg_member_text(t->id));
	tg_member_put(o, "manufacturer", tg_member_text(t->info.manufacturer));
	tg_member_put(o, "firmware", t->info.manufacturer[0] ? json_string(firmware) : json_null());
	tg_member_put(o, "lockout_counter",
	    t->info.manufacturer[0] ? tg_member_number(t->info.lockout_counter) : json_null());
	tg_member_put(o, "key", json_string(key_state(t)));
	tg_member_put(o, "provider",
	    json_string(p->cfg->tpm.provider == TG_PROVIDER_TPM2 ? "tpm2" : "builtin"));
	tg_member_put(o, "error", tg_member_text(t->text));
	tg_member_put(o, "advice", tg_member_text(tg_tpm_advice(t->condition)));
	return o;
}

const char *tg_status_link_state(const struct tg_picture *p)
{
	return p->cfg->mqtt.endpoint[0] ? tg_link_state_name(p->link.state) : "off";
}

static json_t *link_part(const struct tg_picture *p, bool brief)
{
	static const char *const identities[] = { "none", "current", "candidate", "previous" };
	const struct tg_link_report *l = &p->link;
	json_t *o = json_object();

	tg_member_put(o, "state", json_string(tg_status_link_state(p)));
	tg_member_put(o, "endpoint", tg_member_text(l->endpoint));
	tg_member_put(o, "client_id", tg_member_text(l->client_id));
	tg_member_put(o, "identity", json_string(identities[l->identity]));
	tg_member_put(o, "suspended", json_boolean(l->suspended));
	tg_member_put(o, "since_s", age(p, l->since_us));
	tg_member_put(o, "next_s", until(p, l->next_us));
	tg_member_put(o, "connects", tg_member_number(l->connects));
	tg_member_put(o, "failures", tg_member_number(l->failures));
	tg_member_put(o, "published", tg_member_number(l->published));
	tg_member_put(o, "acknowledged", tg_member_number(l->acknowledged));
	tg_member_put(o, "commands_ignored", tg_member_number(l->commands_ignored));
	tg_member_put(o, "trust", tg_status_trust(p, brief));
	tg_member_put(o, "problem", tg_member_text(l->problem));
	tg_member_put(o, "error", tg_member_text(l->error));
	return o;
}

const char *tg_device_health_name(enum tg_device_health h)
{
	switch (h) {
	case TG_DEVICE_UNKNOWN:
		return "unknown";
	case TG_DEVICE_OK:
		return "ok";
	case TG_DEVICE_DEGRADED:
		return "degraded";
	case TG_DEVICE_DEAD:
		return "dead";
	}
	return "?";
}

/* The device's outputs that have fallen to their safe state, by name. */
static json_t *safe_points(const struct tg_picture *p, size_t device)
{
	json_t *a = json_array();

	for (size_t i = 0; p->safe && i < p->safe->n; i++) {
		const struct tg_safe_point *s = &p->safe->points[i];

		/* Between two configurations they are those of the other. */
		if (p->safe->cfg == p->fleet && s->device == device && s->since_us)
			(void) json_array_append_new(
			    a, json_string(p->fleet->devices[device].points[s->point].name));
	}
	return a;
}

static json_t *commands(const struct tg_picture *p)
{
	const struct tg_desk_state *c = &p->commands;
	json_t *o = json_object();

	tg_member_put(o, "done", tg_member_number(c->done));
	tg_member_put(o, "refused", tg_member_number(c->refused));
	tg_member_put(o, "failed", tg_member_number(c->failed));
	tg_member_put(o, "unknown", tg_member_number(c->unknown));
	tg_member_put(o, "waiting", tg_member_number(c->waiting));
	tg_member_put(o, "ignored", tg_member_number(p->link.commands_ignored));
	tg_member_put(o, "dropped", tg_member_number(c->dropped));
	tg_member_put(o, "results_waiting", tg_member_number(p->link.results_waiting));
	tg_member_put(o, "results_dropped", tg_member_number(p->link.results_dropped));
	tg_member_put(o, "safe", tg_member_number(c->safe));
	tg_member_put(o, "unsafe", tg_member_number(c->unsafe));
	return o;
}

static json_t *device(const struct tg_picture *p, size_t i)
{
	const struct tg_config_device *d = &p->fleet->devices[i];
	const struct tg_device_state *s = &p->devices[i];
	json_t *o = json_object();

	tg_member_put(o, "name", json_string(d->name));
	tg_member_put(o, "bus", json_string(p->fleet->buses[d->bus].name));
	tg_member_put(o, "health", json_string(tg_device_health_name(s->health)));
	tg_member_put(o, "points", tg_member_number(d->n_points));
	tg_member_put(o, "bad", tg_member_number(s->bad_points));
	tg_member_put(o, "polls", tg_member_number(s->polls));
	tg_member_put(o, "failures", tg_member_number(s->failures));
	tg_member_put(o, "skipped", tg_member_number(s->skipped));
	tg_member_put(o, "last_ok_s", age(p, s->last_ok_us));
	tg_member_put(o, "next_s", until(p, s->next_poll_us));
	tg_member_put(o, "asked", json_boolean(s->asked));
	tg_member_put(o, "heard", tg_member_number(s->heard));
	tg_member_put(o, "over", tg_member_number(s->over));
	tg_member_put(o, "babbles", json_boolean(s->babbles));
	tg_member_put(o, "took_ms", tg_member_number(s->took_us / TG_US_PER_MS));
	tg_member_put(o, "safe", safe_points(p, i));
	tg_member_put(o, "error", tg_member_text(s->error));
	return o;
}

static json_t *devices(const struct tg_picture *p, bool brief)
{
	bool only_ill = brief && p->fleet->n_devices > TG_STATUS_DEVICES;
	json_t *a = json_array();

	for (size_t i = 0; i < p->fleet->n_devices; i++) {
		if (only_ill && p->devices[i].health == TG_DEVICE_OK)
			continue;
		if (brief && json_array_size(a) >= TG_STATUS_DEVICES)
			break;
		(void) json_array_append_new(a, device(p, i));
	}
	return a;
}

static json_t *bus(const struct tg_picture *p, size_t i)
{
	const struct tg_config_bus *b = &p->fleet->buses[i];
	const struct tg_bus_state *s = &p->buses[i];
	json_t *o = json_object();

	tg_member_put(o, "name", json_string(b->name));
	tg_member_put(o, "type", json_string(tg_config_bus_type_name(b->type)));
	tg_member_put(o, "state", json_string(tg_bus_condition_name(s->condition)));
	tg_member_put(o, "since_s", age(p, s->since_us));
	tg_member_put(o, "requests", tg_member_number(s->note.requests));
	tg_member_put(o, "errors", tg_member_number(s->note.errors));
	tg_member_put(o, "late", tg_member_number(s->late));
	tg_member_put(o, "dropped", tg_member_number(s->dropped));
	tg_member_put(o, "note", tg_member_text(s->note.text));
	tg_member_put(o, "error", tg_member_text(s->error));
	return o;
}

static json_t *buses(const struct tg_picture *p, bool brief)
{
	bool only_ill = brief && p->fleet->n_buses > TG_STATUS_BUSES;
	json_t *a = json_array();

	for (size_t i = 0; i < p->fleet->n_buses; i++) {
		if (only_ill && p->buses[i].condition == TG_BUS_UP)
			continue;
		if (brief && json_array_size(a) >= TG_STATUS_BUSES)
			break;
		(void) json_array_append_new(a, bus(p, i));
	}
	return a;
}

static json_t *labels(const struct tg_config *cfg)
{
	json_t *o = json_object();

	for (size_t i = 0; i < cfg->gateway.labels.n; i++)
		tg_member_put(o, cfg->gateway.labels.items[i].name,
		    json_string(cfg->gateway.labels.items[i].value));
	return o;
}

size_t tg_status_count(const struct tg_picture *p, enum tg_device_health h)
{
	size_t n = 0;

	for (size_t i = 0; i < p->fleet->n_devices; i++)
		n += p->devices[i].health == h;
	return n;
}

char *tg_status_json(const struct tg_picture *p, bool brief)
{
	unsigned long refused = tg_json_refused();
	char instance[TG_LINK_INSTANCE_MAX];
	json_t *o = json_object();

	tg_member_put(o, "state",
	    json_string(p->link.state == TG_LINK_GREETING ? "online" : tg_status_link_state(p)));
	tg_member_put(o, "instance", p->link.instance ? json_string(tg_link_instance(p->link.instance, instance)) : json_null());
	tg_member_put(o, "id", tg_member_text(p->spec->id));
	tg_member_put(o, "version", json_string(TIDEGATE_VERSION));
	tg_member_put(o, "uptime_s", age(p, p->started_us));
	tg_member_put(o, "time", tg_member_date(p->wall_us / (int64_t) TG_US_PER_S));
	tg_member_put(o, "clock", tg_status_clock(&p->time, p->boot_id));
	tg_member_put(o, "labels", labels(p->cfg));
	tg_member_put(o, "identity", tg_status_identity(p));
	tg_member_put(o, "enrolment", tg_status_enrolment(p));
	tg_member_put(o, "rotation", tg_status_rotation(p));
	tg_member_put(o, "claim", tg_status_claim(p));
	tg_member_put(o, "tpm", tpm(p));
	tg_member_put(o, "link", link_part(p, brief));
	tg_member_put(o, "spool", tg_status_spool(p));
	tg_member_put(o, "buses", buses(p, brief));
	tg_member_put(o, "commands", commands(p));
	tg_member_put(o, "devices_total", tg_member_number(p->fleet->n_devices));
	tg_member_put(o, "devices_ok", tg_member_number(tg_status_count(p, TG_DEVICE_OK)));
	tg_member_put(o, "devices", devices(p, brief));
	tg_member_put(o, "stuck", tg_member_text(p->stuck));
	if (!brief)
		tg_member_put(o, "configuration", json_string(p->config_path));
	return tg_json_print(o, refused);
}

char *tg_status_identity_json(const struct tg_picture *p)
{
	unsigned long refused = tg_json_refused();
	json_t *o = json_object();

	tg_member_put(o, "id", tg_member_text(p->spec->id));
	tg_member_put(o, "tpm", tg_member_text(p->tpm.id));
	tg_member_put(o, "identity", tg_status_identity(p));
	tg_member_put(o, "enrolment", tg_status_enrolment(p));
	tg_member_put(o, "trust", tg_status_trust(p, false));
	return tg_json_print(o, refused);
}

char *tg_status_progress_json(const struct tg_picture *p)
{
	unsigned long refused = tg_json_refused();
	json_t *o = json_object();

	tg_member_put(o, "enrolment", tg_status_enrolment(p));
	tg_member_put(o, "rotation", tg_status_rotation(p));
	tg_member_put(o, "link", link_part(p, true));
	return tg_json_print(o, refused);
}
