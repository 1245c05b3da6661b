/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/history.h"

#include "agent/status/member.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

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
		{ "method", tg_member_text(m->method) },
		{ "subject", tg_member_text(m->subject) },
		{ "serial", tg_member_text(m->serial) },
		{ "fingerprint", tg_member_text(m->fingerprint) },
		{ "certificate_id", tg_member_text(m->certificate_id) },
		{ "thing", tg_member_text(m->thing) },
		{ "not_before", tg_member_date(m->not_before) },
		{ "not_after", tg_member_date(m->not_after) },
		{ "made", tg_member_date(m->made) },
		{ "ended", tg_member_date(e->outcome.time) },
		{ "reason", tg_member_text(e->outcome.reason) },
		{ "key", json_boolean(e->whole) },
	};

	for (size_t i = 0; i < TG_ARRAY_SIZE(members); i++)
		tg_member_put(o, members[i].key, members[i].value);
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
