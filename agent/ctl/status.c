/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/identity.h>

#include <string.h>

/* The left column of the screen. */
static void head(const struct tg_ctl *ctl, const char *name)
{
	tg_ctl_say(ctl, TG_DIM, "%-10s", name);
}

static void tail(const struct tg_ctl *ctl, json_t *o)
{
	const char *error = tg_ctl_text(o, "error", NULL);

	(void) putchar('\n');
	if (error)
		tg_ctl_say(ctl, TG_WARN, "          %s\n", error);
}

static enum tg_ctl_tone tone_of(const char *state)
{
	static const char *const fine[] = { "online", "current", "ok", "settled", "off" };
	static const char *const fail[] = { "dead", "damaged", "missing", "stuck", "no answer", "locked out",
					    "cleared or replaced", "replaced", "failed", "hung", "none" };

	for (size_t i = 0; i < TG_ARRAY_SIZE(fine); i++) {
		if (strcmp(state, fine[i]) == 0)
			return TG_FINE;
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(fail); i++) {
		if (strcmp(state, fail[i]) == 0)
			return TG_FAIL;
	}
	return TG_WARN;
}

static void state_of(const struct tg_ctl *ctl, json_t *o)
{
	const char *state = tg_ctl_text(o, "state", "?");

	tg_ctl_say(ctl, tone_of(state), "%s", state);
}

static void gateway(const struct tg_ctl *ctl, json_t *s)
{
	const char *clock = tg_ctl_text(s, "clock", "?");
	char up[24];

	head(ctl, "gateway");
	(void) printf("%s  tidegate %s, up %s, clock ", tg_ctl_text(s, "id", "(id not known yet)"),
		      tg_ctl_text(s, "version", "?"), tg_ctl_age(tg_ctl_number(s, "uptime_s", 0), up));
	tg_ctl_say(ctl, strcmp(clock, "suspect") == 0 ? TG_FAIL : TG_PLAIN, "%s\n", clock);
	if (tg_ctl_text(s, "stuck", NULL))
		tg_ctl_say(ctl, TG_FAIL, "          thread %s shows no progress\n", tg_ctl_text(s, "stuck", ""));
}

static void identity(const struct tg_ctl *ctl, json_t *s)
{
	json_t *o = json_object_get(s, "identity");
	long long days = tg_ctl_number(o, "days_left", -1);

	head(ctl, "identity");
	state_of(ctl, o);
	if (tg_ctl_text(o, "subject", NULL)) {
		(void) printf(", %s, generation %lld, by %s", tg_ctl_text(o, "subject", "?"),
			      tg_ctl_number(o, "generation", 0), tg_ctl_text(o, "method", "?"));
		tg_ctl_say(ctl, days < 14 ? TG_WARN : TG_PLAIN, "\n          valid until %s (%lld days)",
			   tg_ctl_text(o, "not_after", "?"), days);
	}
	(void) putchar('\n');
}

static void enrolment(const struct tg_ctl *ctl, json_t *s)
{
	json_t *o = json_object_get(s, "enrolment"), *e = json_object_get(o, "error");
	const char *state = tg_ctl_text(o, "state", "?");
	char when[24];

	if (strcmp(state, "settled") == 0 || strcmp(state, "off") == 0)
		return;
	head(ctl, "enrolment");
	state_of(ctl, o);
	(void) printf(", %lld attempts, last step done: %s", tg_ctl_number(o, "attempts", 0),
		      tg_ctl_text(o, "step", "none"));
	if (tg_ctl_number(o, "next_s", -1) >= 0)
		(void) printf(", next in %s", tg_ctl_age(tg_ctl_number(o, "next_s", 0), when));
	(void) putchar('\n');
	if (json_is_object(e))
		tg_ctl_say(ctl, TG_WARN, "          step %s %s: %s\n", tg_ctl_text(e, "step", "?"),
			   tg_ctl_text(e, "class", "failed"), tg_ctl_text(e, "text", ""));
}

static void tpm(const struct tg_ctl *ctl, json_t *s)
{
	json_t *o = json_object_get(s, "tpm");

	head(ctl, "TPM");
	state_of(ctl, o);
	if (tg_ctl_text(o, "manufacturer", NULL))
		(void) printf(", %s firmware %s, lockout counter %lld, key %s", tg_ctl_text(o, "manufacturer", ""),
			      tg_ctl_text(o, "firmware", "?"), tg_ctl_number(o, "lockout_counter", 0),
			      tg_ctl_text(o, "key", "?"));
	tail(ctl, o);
}

static void link_part(const struct tg_ctl *ctl, json_t *s)
{
	json_t *o = json_object_get(s, "link");
	char age[24], next[24];

	head(ctl, "link");
	state_of(ctl, o);
	if (tg_ctl_text(o, "endpoint", NULL))
		(void) printf(", %s as %s, for %s", tg_ctl_text(o, "endpoint", ""), tg_ctl_text(o, "client_id", "?"),
			      tg_ctl_age(tg_ctl_number(o, "since_s", 0), age));
	if (tg_ctl_number(o, "next_s", -1) >= 0)
		(void) printf(", next try in %s", tg_ctl_age(tg_ctl_number(o, "next_s", 0), next));
	(void) printf("; %lld packs acknowledged", tg_ctl_number(o, "acknowledged", 0));
	tail(ctl, o);
}

static void spool(const struct tg_ctl *ctl, json_t *s)
{
	json_t *o = json_object_get(s, "spool");
	long long lost = tg_ctl_number(o, "dropped", 0) + tg_ctl_number(o, "set_aside", 0);
	char bytes[24];

	head(ctl, "spool");
	(void) printf("%lld packs in memory, %lld on disk (%s)", tg_ctl_number(o, "memory_packs", 0),
		      tg_ctl_number(o, "disk_packs", 0), tg_ctl_bytes(tg_ctl_number(o, "disk_bytes", 0), bytes));
	if (tg_ctl_text(o, "oldest", NULL))
		(void) printf(", oldest of %s", tg_ctl_text(o, "oldest", ""));
	if (lost)
		tg_ctl_say(ctl, TG_WARN, ", %lld dropped or set aside", lost);
	tail(ctl, o);
}

static void devices(const struct tg_ctl *ctl, json_t *s)
{
	json_t *d;
	size_t i;

	head(ctl, "devices");
	(void) printf("%lld of %lld ok\n", tg_ctl_number(s, "devices_ok", 0), tg_ctl_number(s, "devices_total", 0));
	json_array_foreach(json_object_get(s, "devices"), i, d) {
		const char *health = tg_ctl_text(d, "health", "?");
		char age[24];

		(void) printf("          %-16s ", tg_ctl_text(d, "name", "?"));
		tg_ctl_say(ctl, tone_of(health), "%-8s", health);
		(void) printf(" on %s, %lld points", tg_ctl_text(d, "bus", "?"), tg_ctl_number(d, "points", 0));
		if (tg_ctl_number(d, "bad", 0))
			tg_ctl_say(ctl, TG_WARN, ", %lld bad", tg_ctl_number(d, "bad", 0));
		(void) printf(", read %s ago", tg_ctl_age(tg_ctl_number(d, "last_ok_s", -1), age));
		if (tg_ctl_number(d, "skipped", 0))
			(void) printf(", %lld polls skipped", tg_ctl_number(d, "skipped", 0));
		if (tg_ctl_text(d, "error", NULL))
			tg_ctl_say(ctl, TG_WARN, ": %s", tg_ctl_text(d, "error", ""));
		(void) putchar('\n');
	}
}

static int run(struct tg_ctl *ctl)
{
	int code = TG_EXIT_FAILED;
	json_t *s = tg_ctl_ask(ctl, json_pack("{s:s}", "cmd", "status"), &code, NULL);

	if (!s)
		return code;
	if (ctl->json) {
		tg_ctl_print_json(s);
	} else {
		gateway(ctl, s);
		identity(ctl, s);
		enrolment(ctl, s);
		tpm(ctl, s);
		link_part(ctl, s);
		spool(ctl, s);
		devices(ctl, s);
	}
	json_decref(s);
	return TG_EXIT_OK;
}

const struct tg_ctl_verb tg_verb_status = { "status", "", "the whole story on one screen", run };
