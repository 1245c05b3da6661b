/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include <tidegate/identity.h>

#include <stdarg.h>
#include <string.h>

#define COLUMNS   100
#define INDENT    10  /* of what belongs to the head in the left column */
#define ERROR_MAX 260 /* three lines; --json has all of it */
#define TRUST_MAX 512

/* The screen, which is written word by word, so that no line is longer than COLUMNS. */
struct screen {
	const struct tg_ctl *ctl;
	size_t column;
};

static void line_end(struct screen *s)
{
	(void) putchar('\n');
	s->column = 0;
}

/* Words that are longer than a line, such as paths, are broken. */
static void word(struct screen *s, enum tg_ctl_tone tone, const char *text, size_t len, bool space)
{
	if (s->column > INDENT && s->column + space + len > COLUMNS)
		line_end(s);
	else if (space && s->column > INDENT)
		s->column += (size_t) printf(" ");
	while (len) {
		size_t part;

		if (s->column < INDENT)
			s->column += (size_t) printf("%*s", (int) (INDENT - s->column), "");
		part = len < COLUMNS - s->column ? len : COLUMNS - s->column;
		tg_ctl_say(s->ctl, tone, "%.*s", (int) part, text);
		s->column += part;
		text += part;
		len -= part;
		if (len)
			line_end(s);
	}
}

/* A space at the beginning or between words is where a line may end. */
static void put(struct screen *s, enum tg_ctl_tone tone, const char *fmt, ...) TG_PRINTF(3, 4);
static void put(struct screen *s, enum tg_ctl_tone tone, const char *fmt, ...)
{
	tg_autofree char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return;
	}
	for (const char *p = text; *p;) {
		bool space = *p == ' ';
		size_t len;

		p += strspn(p, " ");
		len = strcspn(p, " ");
		if (len)
			word(s, tone, p, len, space);
		p += len;
	}
}

/* The left column. */
static void head(struct screen *s, const char *name)
{
	tg_ctl_say(s->ctl, TG_DIM, "%-*s", INDENT, name);
	s->column = INDENT;
}

static void error_line(struct screen *s, const char *before, const char *text)
{
	size_t len = strlen(text);

	put(s, TG_WARN, "%s%.*s%s", before, ERROR_MAX, text, len > ERROR_MAX ? "..." : "");
	line_end(s);
}

static void tail(struct screen *s, json_t *o)
{
	const char *error = tg_ctl_text(o, "error", NULL);

	line_end(s);
	if (error)
		error_line(s, "", error);
}

static enum tg_ctl_tone tone_of(const char *state)
{
	static const char *const fine[] = { "online", "current", "ok", "up", "settled", "off" };
	static const char *const fail[] = { "dead",   "down",   "damaged", "away",    "stuck", "locked",
					    "hung",   "cleared", "replaced", "failed", "none" };

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

static void state_of(struct screen *s, json_t *o)
{
	const char *state = tg_ctl_text(o, "state", "?");

	put(s, tone_of(state), "%s", state);
}

static void gateway(struct screen *s, json_t *all)
{
	json_t *o = json_object_get(all, "clock");
	const char *clock = tg_ctl_text(o, "state", "?"),
		   *stuck = tg_ctl_text(all, "stuck", NULL);
	bool suspect = strcmp(clock, "suspect") == 0;
	char up[24];

	head(s, "gateway");
	put(s, TG_PLAIN, "%s, tidegate %s, up %s, clock",
	    tg_ctl_text(all, "id", "(id not known yet)"), tg_ctl_text(all, "version", "?"),
	    tg_ctl_age(tg_ctl_number(all, "uptime_s", 0), up));
	put(s, suspect ? TG_FAIL : TG_PLAIN, " %s", clock);
	line_end(s);
	if (suspect) {
		put(s, TG_WARN, "the clock says %s, but it is at least %s (by the %s)",
		    tg_ctl_text(all, "time", "?"), tg_ctl_text(o, "floor", "?"),
		    tg_ctl_text(o, "floor_source", "?"));
		line_end(s);
	}
	if (stuck) {
		put(s, TG_FAIL, "thread %s shows no progress", stuck);
		line_end(s);
	}
}

static void claim(struct screen *s, json_t *o)
{
	if (strcmp(tg_ctl_text(o, "state", ""), "still present") == 0)
		error_line(s, "the claim is still present: ", tg_ctl_text(o, "error", ""));
}

/* "2027-02-17 08:11 UTC" of an ISO date is what people plan by. */
static void minute(struct screen *s, const char *iso)
{
	if (strlen(iso) >= 16)
		put(s, TG_PLAIN, " %.10s %.5s UTC", iso, iso + 11);
	else
		put(s, TG_PLAIN, " %s", iso);
}

static void validity(struct screen *s, json_t *o, json_t *enrolment)
{
	long long left = tg_ctl_number(o, "seconds_left", -1);
	bool by_hand = json_is_true(json_object_get(enrolment, "by_hand"));
	bool renews = tg_ctl_text(enrolment, "next", NULL) &&
		      !tg_ctl_number(enrolment, "failures", 0) &&
		      !json_is_object(json_object_get(enrolment, "pending"));
	char age[24];

	if (json_is_true(json_object_get(o, "expired"))) {
		put(s, TG_FAIL, "expired:");
		put(s, TG_PLAIN, " it was valid until %s", tg_ctl_text(o, "not_after", "?"));
	} else {
		put(s, left < 3 * 86400 && !renews ? TG_WARN : TG_PLAIN, "valid until %s (%s)",
		    tg_ctl_text(o, "not_after", "?"), tg_ctl_age(left, age));
	}
	if (!renews)
		return;
	put(s, TG_PLAIN, by_hand ? ", to be renewed by hand from" : ", next renewal");
	minute(s, tg_ctl_text(enrolment, "next", ""));
	if (by_hand)
		put(s, TG_PLAIN, " on");
	put(s, TG_PLAIN, " (%s)", tg_ctl_text(enrolment, "reason", "?"));
}

/* What the broker thinks of it, where that is worth a line. */
static void standing(struct screen *s, json_t *o, json_t *rotation)
{
	const char *is = tg_ctl_text(o, "standing", "");

	if (strcmp(is, "refused") == 0) {
		put(s, TG_FAIL, "refused by the broker");
		put(s, TG_PLAIN, ", tried once an hour: is it active and attached, has it its "
				 "policy?");
		line_end(s);
	} else if (strcmp(is, "pending activation") == 0) {
		put(s, TG_WARN, "pending activation: the broker has never accepted it yet; tried "
				"again by itself");
		line_end(s);
	}
	if (tg_ctl_number(rotation, "candidate", 0) && tg_ctl_number(rotation, "current", 0)) {
		put(s, TG_PLAIN, "generation %lld is on trial with the broker, generation %lld is kept",
		    tg_ctl_number(rotation, "candidate", 0), tg_ctl_number(rotation, "current", 0));
		line_end(s);
	}
	if (!json_is_true(json_object_get(rotation, "probation")))
		return;
	put(s, TG_PLAIN, "on probation: the generation before it is kept for the moment");
	line_end(s);
}

static void identity(struct screen *s, json_t *all)
{
	json_t *o = json_object_get(all, "identity");

	head(s, "identity");
	state_of(s, o);
	if (tg_ctl_text(o, "subject", NULL)) {
		put(s, TG_PLAIN, ", %s, generation %lld, by %s", tg_ctl_text(o, "subject", "?"),
		    tg_ctl_number(o, "generation", 0), tg_ctl_text(o, "method", "?"));
		line_end(s);
		validity(s, o, json_object_get(all, "enrolment"));
	}
	tail(s, o);
	standing(s, o, json_object_get(all, "rotation"));
	claim(s, json_object_get(all, "claim"));
}

static void plan(struct screen *s, json_t *o)
{
	long long failures = tg_ctl_number(o, "failures", 0),
		  asked = tg_ctl_number(json_object_get(o, "pending"), "asked", 0);
	char when[24];

	if (failures)
		put(s, TG_WARN, ", %lld failure%s in a row", failures, failures == 1 ? "" : "s");
	if (tg_ctl_text(o, "step", NULL))
		put(s, TG_PLAIN, ", last step done: %s", tg_ctl_text(o, "step", ""));
	if (asked > 1)
		put(s, TG_PLAIN, ", asked %lld times", asked);
	if (tg_ctl_number(o, "next_s", -1) >= 0 && !json_is_true(json_object_get(o, "by_hand")))
		put(s, TG_PLAIN, ", next %s in %s", asked ? "question" : "attempt",
		    tg_ctl_age(tg_ctl_number(o, "next_s", 0), when));
	if (tg_ctl_text(o, "reason", NULL))
		put(s, TG_PLAIN, " (%s)", tg_ctl_text(o, "reason", ""));
}

/* Nothing to say while all goes as planned. */
static void enrolment(struct screen *s, json_t *all)
{
	json_t *o = json_object_get(all, "enrolment"), *e = json_object_get(o, "error");
	const char *state = tg_ctl_text(o, "state", "?"),
		   *approval = tg_ctl_text(json_object_get(o, "pending"), "text", NULL);
	bool quiet = strcmp(state, "settled") == 0 || strcmp(state, "off") == 0,
	     renews = strcmp(tg_ctl_text(o, "kind", ""), "renew") == 0 ||
		      (json_is_true(json_object_get(o, "by_hand")) &&
		       tg_ctl_number(json_object_get(all, "rotation"), "current", 0));
	char step[80];

	if (quiet && !json_is_object(e))
		return;
	head(s, renews ? "renewal" : "enrolment");
	state_of(s, o);
	plan(s, o);
	line_end(s);
	if (approval)
		error_line(s, "the service says: ", approval);
	if (!json_is_object(e))
		return;
	(void) snprintf(step, sizeof(step), "step %s %s: ", tg_ctl_text(e, "step", "?"),
			tg_ctl_text(e, "class", "failed"));
	error_line(s, step, tg_ctl_text(e, "text", ""));
}

static void tpm(struct screen *s, json_t *all)
{
	json_t *o = json_object_get(all, "tpm");

	head(s, "TPM");
	state_of(s, o);
	if (tg_ctl_text(o, "manufacturer", NULL))
		put(s, TG_PLAIN, ", %s firmware %s, lockout counter %lld, key %s",
		    tg_ctl_text(o, "manufacturer", ""), tg_ctl_text(o, "firmware", "?"),
		    tg_ctl_number(o, "lockout_counter", 0), tg_ctl_text(o, "key", "?"));
	tail(s, o);
	if (tg_ctl_text(o, "advice", NULL)) {
		put(s, TG_PLAIN, "%s", tg_ctl_text(o, "advice", ""));
		line_end(s);
	}
}

/* Where it is more than a file of the configuration. */
static void trust(struct screen *s, json_t *o)
{
	char text[TRUST_MAX];

	if (!json_is_true(json_object_get(o, "from_enrolment")))
		return;
	if (tg_ctl_text(o, "error", NULL))
		error_line(s, "trust: ", tg_ctl_text(o, "error", ""));
	if (!*tg_ctl_trust(o, text, sizeof(text)))
		return;
	put(s, TG_DIM, "trusts %s", text);
	line_end(s);
}

static void link_part(struct screen *s, json_t *all)
{
	json_t *o = json_object_get(all, "link");
	char age[24], next[24];

	head(s, "link");
	state_of(s, o);
	if (tg_ctl_text(o, "endpoint", NULL))
		put(s, TG_PLAIN, ", %s as %s, for %s", tg_ctl_text(o, "endpoint", ""),
		    tg_ctl_text(o, "client_id", "?"),
		    tg_ctl_age(tg_ctl_number(o, "since_s", 0), age));
	if (strcmp(tg_ctl_text(o, "state", ""), "off") == 0)
		put(s, TG_PLAIN, ", as [mqtt] has no endpoint");
	else if (tg_ctl_number(o, "next_s", -1) >= 0)
		put(s, TG_PLAIN, ", next try in %s",
		    tg_ctl_age(tg_ctl_number(o, "next_s", 0), next));
	put(s, TG_PLAIN, "; %lld acknowledged", tg_ctl_number(o, "acknowledged", 0));
	tail(s, o);
	if (tg_ctl_text(o, "problem", NULL))
		error_line(s, "", tg_ctl_text(o, "problem", ""));
	trust(s, json_object_get(o, "trust"));
}

static void spool(struct screen *s, json_t *all)
{
	json_t *o = json_object_get(all, "spool");
	long long lost = tg_ctl_number(o, "dropped", 0) + tg_ctl_number(o, "set_aside", 0);
	char bytes[24], age[24];

	head(s, "spool");
	put(s, TG_PLAIN, "%lld packs in memory, %lld on disk (%s)",
	    tg_ctl_number(o, "memory_packs", 0), tg_ctl_number(o, "disk_packs", 0),
	    tg_ctl_bytes(tg_ctl_number(o, "disk_bytes", 0), bytes));
	if (tg_ctl_text(o, "oldest", NULL))
		put(s, TG_PLAIN, ", oldest of %s", tg_ctl_text(o, "oldest", ""));
	if (lost)
		put(s, TG_WARN, ", %lld dropped or set aside", lost);
	if (tg_ctl_number(o, "events", 0))
		put(s, TG_PLAIN, ", %lld events wait", tg_ctl_number(o, "events", 0));
	if (strcmp(tg_ctl_text(o, "durability", "full"), "full") != 0)
		put(s, TG_PLAIN, ", durability %s", tg_ctl_text(o, "durability", ""));
	if (tg_ctl_number(o, "error_s", -1) >= 0)
		put(s, TG_WARN, ", failing for %s", tg_ctl_age(tg_ctl_number(o, "error_s", 0), age));
	tail(s, o);
}

/* One line a bus; what it has to say follows. */
static void bus(struct screen *s, json_t *b)
{
	const char *state = tg_ctl_text(b, "state", "?"), *error = tg_ctl_text(b, "error", NULL);
	char age[24];

	put(s, TG_PLAIN, "%s", tg_ctl_text(b, "name", "?"));
	while (s->column < INDENT + 16)
		s->column += (size_t) printf(" ");
	put(s, tone_of(state), " %s", state);
	put(s, TG_PLAIN, ", %s", tg_ctl_text(b, "type", "?"));
	if (tg_ctl_number(b, "since_s", -1) >= 0)
		put(s, TG_PLAIN, ", for %s", tg_ctl_age(tg_ctl_number(b, "since_s", 0), age));
	if (tg_ctl_number(b, "requests", 0))
		put(s, TG_PLAIN, ", %lld requests", tg_ctl_number(b, "requests", 0));
	if (tg_ctl_number(b, "errors", 0))
		put(s, TG_PLAIN, ", %lld failed", tg_ctl_number(b, "errors", 0));
	if (tg_ctl_number(b, "dropped", 0))
		put(s, TG_WARN, ", %lld dropped", tg_ctl_number(b, "dropped", 0));
	if (tg_ctl_text(b, "note", NULL))
		put(s, TG_PLAIN, ", %s", tg_ctl_text(b, "note", ""));
	if (error)
		put(s, TG_WARN, ": %s", error);
	line_end(s);
}

static void buses(struct screen *s, json_t *all)
{
	json_t *list = json_object_get(all, "buses"), *b;
	size_t i;

	if (!json_array_size(list))
		return;
	head(s, "buses");
	json_array_foreach (list, i, b)
		bus(s, b);
}

/* Where there have been any, or an output has fallen. */
static void commands(struct screen *s, json_t *all)
{
	json_t *o = json_object_get(all, "commands");
	long long done = tg_ctl_number(o, "done", 0), refused = tg_ctl_number(o, "refused", 0),
		  failed = tg_ctl_number(o, "failed", 0) + tg_ctl_number(o, "unknown", 0),
		  safe = tg_ctl_number(o, "safe", 0), unsafe = tg_ctl_number(o, "unsafe", 0),
		  lost = tg_ctl_number(o, "dropped", 0);

	if (!(done + refused + failed + safe + unsafe + lost))
		return;
	head(s, "commands");
	put(s, TG_PLAIN, "%lld done, %lld refused", done, refused);
	if (failed)
		put(s, TG_WARN, ", %lld failed or unknown", failed);
	if (lost)
		put(s, TG_WARN, ", %lld dropped", lost);
	if (safe)
		put(s, TG_WARN, ", %lld outputs in their safe state", safe);
	if (unsafe)
		put(s, TG_FAIL, ", %lld that cannot be brought there", unsafe);
	line_end(s);
}

static void device(struct screen *s, json_t *d)
{
	const char *health = tg_ctl_text(d, "health", "?"), *error = tg_ctl_text(d, "error", NULL);
	char age[24];
	json_t *point;
	size_t i;

	put(s, TG_PLAIN, "%s", tg_ctl_text(d, "name", "?"));
	/* The names' column is as wide as most of them are. */
	while (s->column < INDENT + 16)
		s->column += (size_t) printf(" ");
	put(s, tone_of(health), " %s", health);
	put(s, TG_PLAIN, " on %s, %lld points", tg_ctl_text(d, "bus", "?"),
	    tg_ctl_number(d, "points", 0));
	if (tg_ctl_number(d, "bad", 0))
		put(s, TG_WARN, ", %lld bad", tg_ctl_number(d, "bad", 0));
	if (tg_ctl_number(d, "last_ok_s", -1) >= 0)
		put(s, TG_PLAIN,
		    json_is_false(json_object_get(d, "asked")) ? ", heard %s ago" : ", read %s ago",
		    tg_ctl_age(tg_ctl_number(d, "last_ok_s", 0), age));
	else
		put(s, TG_PLAIN, ", never read");
	if (json_is_true(json_object_get(d, "babbles")))
		put(s, TG_WARN, ", babbles");
	if (tg_ctl_number(d, "skipped", 0))
		put(s, TG_PLAIN, ", %lld polls skipped", tg_ctl_number(d, "skipped", 0));
	json_array_foreach (json_object_get(d, "safe"), i, point)
		put(s, TG_WARN, ", %s in its safe state", json_string_value(point));
	if (error)
		put(s, TG_WARN, ": %s", error);
	line_end(s);
}

static void devices(struct screen *s, json_t *all)
{
	json_t *d;
	size_t i;

	head(s, "devices");
	put(s, TG_PLAIN, "%lld of %lld ok", tg_ctl_number(all, "devices_ok", 0),
	    tg_ctl_number(all, "devices_total", 0));
	line_end(s);
	json_array_foreach (json_object_get(all, "devices"), i, d)
		device(s, d);
}

static void print(const struct tg_ctl *ctl, json_t *all)
{
	static void (*const blocks[])(struct screen *, json_t *) = { gateway, identity,  enrolment,
								     tpm,     link_part, spool,
								     commands, buses, devices };
	struct screen s = { .ctl = ctl };

	for (size_t i = 0; i < TG_ARRAY_SIZE(blocks); i++)
		blocks[i](&s, all);
}

static int run(struct tg_ctl *ctl)
{
	int code = TG_EXIT_FAILED;
	json_t *s = tg_ctl_ask(ctl, json_pack("{s:s}", "cmd", "status"), &code, NULL);

	if (!s)
		return code;
	if (ctl->json)
		tg_ctl_print_json(s);
	else
		print(ctl, s);
	json_decref(s);
	return TG_EXIT_OK;
}

const struct tg_ctl_verb tg_verb_status = { "status", "", "the whole story on one screen", run };
