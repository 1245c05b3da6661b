/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/status.h"

#include "agent/status/clock.h"
#include "base/clock.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define DAY_S 86400

static json_t *text_or_null(const char *s)
{
	return s && s[0] ? json_string(s) : json_null();
}

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t) v);
}

/* Seconds since @then_us, or null when it never was. */
static json_t *age(const struct tg_picture *p, uint64_t then_us)
{
	if (!then_us)
		return json_null();
	return number(p->now_us > then_us ? (p->now_us - then_us) / TG_US_PER_S : 0);
}

/* Seconds until @then_us, or null when nothing is planned. */
static json_t *until(const struct tg_picture *p, uint64_t then_us)
{
	if (!then_us || then_us == TG_US_FOREVER)
		return json_null();
	return number(then_us > p->now_us ? (then_us - p->now_us) / TG_US_PER_S : 0);
}

static json_t *date(int64_t wall_s)
{
	char iso[32];

	return wall_s ? json_string(tg_clock_iso(wall_s * (int64_t) TG_US_PER_S, iso))
		      : json_null();
}

/* Steals @value. A failure shows as a missing object at the end: json_dumps() of NULL is NULL. */
static void put(json_t *o, const char *key, json_t *value)
{
	(void) json_object_set_new(o, key, value);
}

static const char *identity_state(const struct tg_picture *p)
{
	if (p->keeper.has_current)
		return p->keeper.has_candidate ? "current, with a candidate on trial" : "current";
	if (p->keeper.has_candidate)
		return "candidate on trial";
	return p->keeper.damaged ? "damaged" : "none";
}

static json_t *identity(const struct tg_picture *p)
{
	const struct tg_manifest *m =
		p->keeper.has_current ? &p->keeper.current : &p->keeper.candidate;
	json_t *o = json_object();

	put(o, "state", json_string(identity_state(p)));
	if (!p->keeper.has_current && !p->keeper.has_candidate) {
		put(o, "error", text_or_null(p->identity_lost));
		return o;
	}
	put(o, "generation", number(m->number));
	put(o, "method", text_or_null(m->method));
	put(o, "subject", text_or_null(m->subject));
	put(o, "issuer", text_or_null(m->issuer));
	put(o, "serial", text_or_null(m->serial));
	put(o, "fingerprint", text_or_null(m->fingerprint));
	put(o, "certificate_id", text_or_null(m->certificate_id));
	put(o, "thing", text_or_null(m->thing));
	put(o, "not_before", date(m->not_before));
	put(o, "not_after", date(m->not_after));
	put(o, "days_left",
	    json_integer((m->not_after - p->time.believed_s) / DAY_S));
	put(o, "made", date(m->made));
	return o;
}

static json_t *claim(const struct tg_picture *p)
{
	json_t *o = json_object();

	put(o, "state", json_string(tg_claim_state_name(p->claim->state)));
	put(o, "error", text_or_null(p->claim->error));
	return o;
}

/* Where the change from one generation to the next stands. */
static json_t *rotation(const struct tg_picture *p)
{
	const struct tg_keeper_status *k = &p->keeper;
	json_t *o = json_object();

	put(o, "current", k->has_current ? number(k->current.number) : json_null());
	put(o, "candidate", k->has_candidate ? number(k->candidate.number) : json_null());
	return o;
}

static json_t *enrolment_error(const struct tg_journal *j)
{
	json_t *o;

	if (j->error_class == TG_ENROL_OK)
		return json_null();
	o = json_object();
	put(o, "class", json_string(tg_enrol_class_name(j->error_class)));
	put(o, "step", json_string(tg_enrol_step_name(j->error_step)));
	put(o, "status", j->error_status ? json_integer(j->error_status) : json_null());
	put(o, "code", text_or_null(j->error_code));
	put(o, "text", text_or_null(j->error_text));
	return o;
}

static json_t *enrolment(const struct tg_picture *p)
{
	const struct tg_keeper_status *k = &p->keeper;
	json_t *o = json_object();

	put(o, "state", json_string(tg_keeper_state_name(k->state)));
	put(o, "attempts", number(k->attempts));
	put(o, "next_s", until(p, k->next_us));
	put(o, "step",
	    k->has_journal ? json_string(tg_enrol_step_name(k->journal.step)) : json_null());
	put(o, "error", k->has_journal ? enrolment_error(&k->journal) : json_null());
	return o;
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
	put(o, "state", json_string(tg_tpm_condition_name(t->condition)));
	put(o, "id", text_or_null(t->id));
	put(o, "manufacturer", text_or_null(t->info.manufacturer));
	put(o, "firmware", t->info.manufacturer[0] ? json_string(firmware) : json_null());
	put(o, "lockout_counter",
	    t->info.manufacturer[0] ? number(t->info.lockout_counter) : json_null());
	put(o, "key", json_string(key_state(t)));
	put(o, "provider",
	    json_string(p->cfg->tpm.provider == TG_PROVIDER_TPM2 ? "tpm2" : "builtin"));
	put(o, "error", text_or_null(t->text));
	put(o, "advice", text_or_null(tg_tpm_advice(t->condition)));
	return o;
}

static const char *link_state(const struct tg_picture *p)
{
	return p->cfg->mqtt.endpoint[0] ? tg_link_state_name(p->link.state) : "off";
}

static json_t *link_part(const struct tg_picture *p)
{
	static const char *const identities[] = { "none", "current", "candidate", "previous" };
	const struct tg_link_report *l = &p->link;
	json_t *o = json_object();

	put(o, "state", json_string(link_state(p)));
	put(o, "endpoint", text_or_null(l->endpoint));
	put(o, "client_id", text_or_null(l->client_id));
	put(o, "identity", json_string(identities[l->identity]));
	put(o, "since_s", age(p, l->since_us));
	put(o, "next_s", until(p, l->next_us));
	put(o, "connects", number(l->connects));
	put(o, "failures", number(l->failures));
	put(o, "published", number(l->published));
	put(o, "acknowledged", number(l->acknowledged));
	put(o, "commands_ignored", number(l->commands_ignored));
	put(o, "error", text_or_null(l->error));
	return o;
}

static json_t *spool(const struct tg_picture *p)
{
	const struct tg_spool_state *s = &p->spool;
	json_t *o = json_object();

	put(o, "memory_packs", number(s->memory_packs));
	put(o, "memory_bytes", number(s->memory_bytes));
	put(o, "disk_packs", number(s->disk_packs));
	put(o, "disk_bytes", number(s->disk_bytes));
	put(o, "in_flight", number(s->in_flight));
	put(o, "oldest", date(s->oldest_wall_us / (int64_t) TG_US_PER_S));
	put(o, "dropped", number(s->dropped));
	put(o, "set_aside", number(s->set_aside));
	put(o, "acknowledged", number(s->acknowledged));
	put(o, "error", text_or_null(s->error_text));
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

static json_t *device(const struct tg_picture *p, size_t i)
{
	const struct tg_config_device *d = &p->fleet->devices[i];
	const struct tg_device_state *s = &p->devices[i];
	json_t *o = json_object();

	put(o, "name", json_string(d->name));
	put(o, "bus", json_string(p->fleet->buses[d->bus].name));
	put(o, "health", json_string(tg_device_health_name(s->health)));
	put(o, "points", number(d->n_points));
	put(o, "bad", number(s->bad_points));
	put(o, "polls", number(s->polls));
	put(o, "failures", number(s->failures));
	put(o, "skipped", number(s->skipped));
	put(o, "last_ok_s", age(p, s->last_ok_us));
	put(o, "next_s", until(p, s->next_poll_us));
	put(o, "took_ms", number(s->took_us / TG_US_PER_MS));
	put(o, "error", text_or_null(s->error));
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

static json_t *labels(const struct tg_config *cfg)
{
	json_t *o = json_object();

	for (size_t i = 0; i < cfg->gateway.labels.n; i++)
		put(o, cfg->gateway.labels.items[i].name,
		    json_string(cfg->gateway.labels.items[i].value));
	return o;
}

static size_t count_health(const struct tg_picture *p, enum tg_device_health h)
{
	size_t n = 0;

	for (size_t i = 0; i < p->fleet->n_devices; i++)
		n += p->devices[i].health == h;
	return n;
}

static char *dump(json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));

	json_decref(o);
	return text;
}

char *tg_status_json(const struct tg_picture *p, bool brief)
{
	json_t *o = json_object();

	put(o, "state", json_string(p->link.state == TG_LINK_GREETING ? "online" : link_state(p)));
	put(o, "id", text_or_null(p->spec->id));
	put(o, "version", json_string(TIDEGATE_VERSION));
	put(o, "uptime_s", age(p, p->started_us));
	put(o, "time", date(p->wall_us / (int64_t) TG_US_PER_S));
	put(o, "clock", tg_status_clock(&p->time, p->boot_id));
	put(o, "labels", labels(p->cfg));
	put(o, "identity", identity(p));
	put(o, "enrolment", enrolment(p));
	put(o, "rotation", rotation(p));
	put(o, "claim", claim(p));
	put(o, "tpm", tpm(p));
	put(o, "link", link_part(p));
	put(o, "spool", spool(p));
	put(o, "devices_total", number(p->fleet->n_devices));
	put(o, "devices_ok", number(count_health(p, TG_DEVICE_OK)));
	put(o, "devices", devices(p, brief));
	put(o, "stuck", text_or_null(p->stuck));
	if (!brief)
		put(o, "configuration", json_string(p->config_path));
	return dump(o);
}

char *tg_status_identity_json(const struct tg_picture *p)
{
	json_t *o = json_object();

	put(o, "id", text_or_null(p->spec->id));
	put(o, "tpm", text_or_null(p->tpm.id));
	put(o, "identity", identity(p));
	put(o, "enrolment", enrolment(p));
	return dump(o);
}

char *tg_status_progress_json(const struct tg_picture *p)
{
	json_t *o = json_object();

	put(o, "enrolment", enrolment(p));
	put(o, "rotation", rotation(p));
	put(o, "link", link_part(p));
	return dump(o);
}

void tg_status_line(const struct tg_picture *p, char *out, size_t size)
{
	(void) snprintf(out, size, "%s; link %s; %zu of %zu devices ok; %llu packs wait%s%s",
			p->keeper.has_current || p->keeper.has_candidate ? "enrolled"
									 : "no identity yet",
			link_state(p), count_health(p, TG_DEVICE_OK), p->fleet->n_devices,
			(unsigned long long) (p->spool.memory_packs + p->spool.disk_packs),
			p->stuck ? "; stuck: " : "", p->stuck ? p->stuck : "");
}
