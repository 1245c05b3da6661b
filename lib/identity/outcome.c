/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/outcome.h"

#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define VERSION 1

/* The calendar of four-digit years. */
#define TIME_MIN (-INT64_C(62167219200))
#define TIME_MAX INT64_C(253402300799)

static const char *const names[] = {
	[TG_OUTCOME_NONE] = "none",
	[TG_OUTCOME_RETIRED] = "retired",
	[TG_OUTCOME_REJECTED] = "rejected",
};

const char *tg_outcome_name(enum tg_outcome_state s)
{
	return names[s];
}

void tg_outcome_print(const struct tg_outcome *o, struct tg_buffer *out)
{
	char reason[TG_OUTCOME_REASON];

	/* Peers' words may be in it. */
	tg_printable(reason, sizeof(reason), o->reason, strlen(o->reason));
	tg_buffer_addf(out,
		       "{\"version\":%d,\"state\":\"%s\",\"time\":%" PRId64 ",\"reason\":", VERSION,
		       names[o->state], o->time);
	tg_buffer_add_json(out, reason);
	tg_buffer_adds(out, "}\n");
}

static int parse_members(const struct json_t *doc, struct tg_outcome *o, struct tg_fault *reterr)
{
	char state[16], reason[TG_OUTCOME_REASON];
	int64_t v = 0;
	int r = tg_json_int(doc, "version", VERSION, VERSION, &v, reterr);

	if (r == 0)
		r = tg_json_text(doc, "state", state, sizeof(state), reterr);
	if (r == 0)
		r = tg_json_int(doc, "time", TIME_MIN, TIME_MAX, &o->time, reterr);
	if (r == 0)
		r = tg_json_text(doc, "reason", reason, sizeof(reason), reterr);
	if (r < 0)
		return r;
	tg_printable(o->reason, sizeof(o->reason), reason, strlen(reason));
	for (size_t i = TG_OUTCOME_RETIRED; i < TG_ARRAY_SIZE(names); i++)
		if (strcmp(state, names[i]) == 0)
			o->state = (enum tg_outcome_state) i;
	return o->state ? 0 : tg_fault_set(reterr, -EBADMSG, "state is not known");
}

int tg_outcome_parse(const char *text, size_t len, struct tg_outcome *ret, struct tg_fault *reterr)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	struct tg_outcome o = { .state = TG_OUTCOME_NONE };
	int r = tg_json_object(text, len, TG_OUTCOME_MAX, &doc, reterr);

	if (r == 0)
		r = parse_members(doc, &o, reterr);
	if (r == -ENOENT) /* of a member; the file is there */
		r = -EBADMSG;
	if (r < 0)
		return r;
	*ret = o;
	return 0;
}
