/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include "agent/status/history.h"
#include "base/clock.h"
#include "identity/generation.h"
#include "x509/anchors.h"

#include <tidegate/identity.h>

#include <errno.h>
#include <string.h>

#define ANCHORS_SHOWN 4
#define TRUST_MAX     512

static void row(const char *name, const char *value)
{
	if (value)
		(void) printf("%-14s %s\n", name, value);
}

static void print(json_t *data)
{
	static const char *const members[] = { "state",       "subject",        "issuer", "serial",
					       "fingerprint", "certificate_id", "thing",  "method",
					       "not_before",  "not_after",      "made" };
	json_t *o = json_object_get(data, "identity"), *trust = json_object_get(data, "trust");
	char text[TRUST_MAX];

	row("gateway", tg_ctl_text(data, "id", NULL));
	row("TPM", tg_ctl_text(data, "tpm", NULL));
	for (size_t i = 0; i < TG_ARRAY_SIZE(members); i++)
		row(members[i], tg_ctl_text(o, members[i], NULL));
	if (json_object_get(o, "generation"))
		(void) printf("%-14s %lld\n", "generation", tg_ctl_number(o, "generation", 0));
	if (*tg_ctl_trust(trust, text, sizeof(text)))
		row("broker's root", text);
	row("", tg_ctl_text(trust, "error", NULL));
}

/* What the current generation brought; whether the broker is judged by it, the configuration says. */
static json_t *trust_from_disk(const struct tg_ctl *ctl)
{
	struct tg_anchor_info info[ANCHORS_SHOWN];
	tg_autofree char *pem = NULL;
	json_t *list = json_array();
	char end[32];
	size_t n = 0;

	if (tg_generation_text(ctl->state_dir, TG_SLOT_CURRENT, TG_FILE_ANCHORS, &pem, NULL) < 0 ||
	    tg_anchors_list(pem, strlen(pem), info, ANCHORS_SHOWN, &n, NULL) < 0)
		n = 0;
	for (size_t i = 0; i < n && i < ANCHORS_SHOWN; i++)
		(void) json_array_append_new(
			list, json_pack("{s:s, s:s}", "subject", info[i].subject, "not_after",
					tg_clock_iso(info[i].not_after * (int64_t) TG_US_PER_S, end)));
	return json_pack("{s:I, s:o}", "anchors_total", (json_int_t) n, "anchors", list);
}

/* Without the agent: what the manifest says, for those who may read the state directory. */
static json_t *from_disk(const struct tg_ctl *ctl)
{
	struct tg_manifest m;
	struct tg_fault why = { .text = "" };
	char from[32], to[32];

	if (tg_generation_read(ctl->state_dir, TG_SLOT_CURRENT, &m, &why) < 0) {
		(void) fprintf(stderr,
			       "tidegate: the agent does not run, and %s holds no current "
			       "identity: %s\n",
			       ctl->state_dir, why.text);
		return NULL;
	}
	return json_pack("{s:o, s:s, s:{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "trust", trust_from_disk(ctl), "tpm", m.tpm,
			 "identity", "state", "current (the agent does not run)", "generation",
			 (int) m.number, "method", m.method, "subject", m.subject, "issuer",
			 m.issuer, "serial", m.serial, "fingerprint", m.fingerprint, "not_before",
			 tg_clock_iso(m.not_before * (int64_t) TG_US_PER_S, from), "not_after",
			 tg_clock_iso(m.not_after * (int64_t) TG_US_PER_S, to));
}

/* --- history ------------------------------------------------------------------------------------------------------ */

static enum tg_ctl_tone tone_of(const char *state)
{
	if (strcmp(state, "current") == 0)
		return TG_FINE;
	return strcmp(state, "rejected") == 0 ? TG_FAIL : TG_PLAIN;
}

/* The day is enough for a table; --json has the second. */
static void print_generation(const struct tg_ctl *ctl, json_t *g)
{
	const char *state = tg_ctl_text(g, "state", "?"), *reason = tg_ctl_text(g, "reason", NULL);

	(void) printf("%6lld  ", tg_ctl_number(g, "number", 0));
	tg_ctl_say(ctl, tone_of(state), "%-9s", state);
	(void) printf("  %-20s  %.10s .. %.10s  %s\n", tg_ctl_text(g, "made", "?"),
		      tg_ctl_text(g, "not_before", "?"), tg_ctl_text(g, "not_after", "?"),
		      tg_ctl_text(g, "serial", "?"));
	if (tg_ctl_text(g, "ended", NULL))
		tg_ctl_say(ctl, TG_DIM, "        %s %s%s%s\n", state,
			   tg_ctl_text(g, "ended", "?"), reason ? ": " : "", reason ? reason : "");
	else if (strcmp(state, "previous") == 0)
		tg_ctl_say(ctl, TG_DIM, "        kept until the one after it has passed its "
					"probation\n");
}

static json_t *history_from_disk(const struct tg_ctl *ctl)
{
	struct tg_fault why = { .text = "" };
	json_t *list = NULL;
	int r = tg_history_json(ctl->state_dir, &list, &why);

	if (r < 0)
		(void) fprintf(stderr, "tidegate: the agent does not run, and %s: %s\n",
			       ctl->state_dir,
			       r == -ENOENT ? "there has been no identity yet" : why.text);
	return list;
}

static int history(struct tg_ctl *ctl)
{
	int code = TG_EXIT_FAILED;
	json_t *list, *g;
	size_t i;

	if (tg_ctl_agent_runs(ctl))
		list = tg_ctl_ask(ctl, json_pack("{s:s}", "cmd", "history"), &code, NULL);
	else
		list = history_from_disk(ctl);
	if (!list)
		return code;
	if (ctl->json) {
		tg_ctl_print_json(list);
	} else {
		tg_ctl_say(ctl, TG_DIM, "number  %-9s  %-20s  %-24s  %s\n", "state", "made",
			   "valid", "serial");
		json_array_foreach (list, i, g)
			print_generation(ctl, g);
	}
	json_decref(list);
	return TG_EXIT_OK;
}

static int run(struct tg_ctl *ctl)
{
	int code = TG_EXIT_FAILED;
	json_t *data;

	if (ctl->history)
		return history(ctl);
	if (tg_ctl_agent_runs(ctl))
		data = tg_ctl_ask(ctl, json_pack("{s:s}", "cmd", "identity"), &code, NULL);
	else
		data = from_disk(ctl);
	if (!data)
		return code;
	if (ctl->json)
		tg_ctl_print_json(data);
	else
		print(data);
	json_decref(data);
	return TG_EXIT_OK;
}

const struct tg_ctl_verb tg_verb_identity = {
	"identity", "[--history]", "the certificate in use, or all so far; works without the agent",
	run
};
