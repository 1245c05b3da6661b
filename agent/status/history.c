/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/history.h"

#include "base/clock.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static json_t *text_or_null(const char *s)
{
	return *s ? json_string(s) : json_null();
}

static json_t *date(int64_t wall_s)
{
	char iso[32];

	return wall_s ? json_string(tg_clock_iso(wall_s * (int64_t) TG_US_PER_S, iso))
		      : json_null();
}

/* A link says more than an outcome: what was retired may have been called back. */
static const char *state_of(const struct tg_generation_entry *e)
{
	if (e->current)
		return "current";
	if (e->candidate)
		return "candidate";
	switch (e->outcome.state) {
	case TG_OUTCOME_RETIRED:
		return "retired";
	case TG_OUTCOME_REJECTED:
		return "rejected";
	case TG_OUTCOME_NONE:
		break;
	}
	return e->previous ? "previous" : "ended";
}

static json_t *entry(const struct tg_generation_entry *e)
{
	const struct tg_manifest *m = &e->manifest;
	json_t *o = json_object();
	struct {
		const char *key;
		json_t *value;
	} members[] = {
		{ "number", json_integer((json_int_t) m->number) },
		{ "state", json_string(state_of(e)) },
		{ "method", text_or_null(m->method) },
		{ "subject", text_or_null(m->subject) },
		{ "serial", text_or_null(m->serial) },
		{ "fingerprint", text_or_null(m->fingerprint) },
		{ "certificate_id", text_or_null(m->certificate_id) },
		{ "thing", text_or_null(m->thing) },
		{ "not_before", date(m->not_before) },
		{ "not_after", date(m->not_after) },
		{ "made", date(m->made) },
		{ "ended", date(e->outcome.time) },
		{ "reason", text_or_null(e->outcome.reason) },
		{ "key", json_boolean(e->whole) },
	};

	for (size_t i = 0; i < TG_ARRAY_SIZE(members); i++)
		(void) json_object_set_new(o, members[i].key, members[i].value);
	return o;
}

int tg_history_json(const char *state_dir, json_t **ret, struct tg_fault *reterr)
{
	tg_autofree struct tg_generation_entry *entries =
		calloc(TG_GENERATION_HISTORY_MAX, sizeof(*entries));
	size_t n = 0;
	json_t *list;
	int r;

	if (!entries)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	r = tg_generation_history(state_dir, entries, TG_GENERATION_HISTORY_MAX, &n, reterr);
	if (r < 0)
		return r;
	list = json_array();
	for (size_t i = 0; i < n; i++)
		(void) json_array_append_new(list, entry(&entries[i]));
	if (json_array_size(list) != n) {
		json_decref(list);
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	}
	*ret = list;
	return 0;
}
