/* SPDX-License-Identifier: Apache-2.0 */
#include "config/check.h"
#include "config/source.h"
#include "config/specifier.h"

#include <string.h>

#define CLAIM_DIR    "/var/lib/tidegate/claim/"
#define PEM_MARK     "-----BEGIN "
#define KEY_MARK     "PRIVATE KEY-----"
#define TSS2_MARK    PEM_MARK "TSS2 " KEY_MARK
#define KEY_FILE_MAX 65536

#define YOUNGEST_PERCENT 10 /* of its life, before which no certificate is renewed */
#define LATE_PERCENT     90 /* after which little of it is left for second tries */

static void check_aws(const struct tg_loaded *l)
{
	static const char *const needed[] = { "endpoint", "ca", "claim-certificate", "claim-key",
					      "template" };
	const struct tg_section *section = tg_check_only(l, TG_KIND_AWS_FLEET);
	struct tg_place place =
		section ? section->place : tg_check_place(l, TG_KIND_ENROLMENT, "method");

	for (size_t i = 0; i < TG_ARRAY_SIZE(needed); i++)
		if (tg_check_missing(l, TG_KIND_AWS_FLEET, needed[i]))
			tg_complain(l->doc.complain, place,
				    "[enrolment.aws-fleet]: %s is missing, method = aws-fleet "
				    "needs it",
				    needed[i]);
}

/* A key in the TPM and no other beside it: a plain one in the same file would be the one that leaks. */
static bool is_tss2_key(const char *path)
{
	tg_autofree char *data = NULL;
	bool found = false;
	size_t len;
	mode_t mode;

	if (tg_source_read(path, KEY_FILE_MAX, &data, &len, &mode, NULL) < 0)
		return false;
	for (const char *mark = strstr(data, PEM_MARK); mark; mark = strstr(mark + 1, PEM_MARK)) {
		if (strncmp(mark, TSS2_MARK, strlen(TSS2_MARK)) == 0)
			found = true;
		else if (memmem(mark, strcspn(mark, "\n"), KEY_MARK, strlen(KEY_MARK)))
			return false;
	}
	return found;
}

static bool is_in_claim_dir(const char *path)
{
	return strncmp(path, CLAIM_DIR, strlen(CLAIM_DIR)) == 0 && !strstr(path, "/../");
}

/* The first key of [rotation] that goes back to the claim, or NULL. */
static const char *claim_is_wanted(const struct tg_config *c)
{
	if (c->rotation.on_expiry == TG_ON_FAILURE_CLAIM)
		return "on-expiry";
	if (c->rotation.on_refused == TG_ON_FAILURE_CLAIM)
		return "on-refused";
	return c->rotation.on_key_lost == TG_ON_FAILURE_CLAIM ? "on-key-lost" : NULL;
}

/* A claim that is removed cannot be gone back to; one that is kept on purpose should be removable.
 */
static void check_forget_claim(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	const char *files[] = { c->enrolment.aws.claim_certificate, c->enrolment.aws.claim_key };
	const char *keys[] = { "claim-certificate", "claim-key" };
	const char *wanted = claim_is_wanted(c);

	if (!c->enrolment.aws.forget_claim)
		return;
	if (wanted && *files[1] && !is_tss2_key(files[1]))
		tg_complain(l->doc.complain, tg_check_place(l, TG_KIND_AWS_FLEET, "forget-claim"),
			    "forget-claim = yes with %s = claim: the claim would be gone when it "
			    "is needed "
			    "(only a claim key in the TPM, a TSS2 PEM file, may be named here)",
			    wanted);
	for (size_t i = 0; i < TG_ARRAY_SIZE(files); i++)
		if (*files[i] && !is_in_claim_dir(files[i]))
			tg_warn(l->doc.complain, tg_check_place(l, TG_KIND_AWS_FLEET, keys[i]),
				"%s = %s: outside " CLAIM_DIR " the service's sandbox keeps the "
				"agent from removing it; 'tidegate forget-claim' as root does it",
				keys[i], files[i]);
}

/*
 * Whether @a and @b are one text once the id is put in. The other specifiers stand for themselves: what this machine would make of
 * them is not asked, as the file may be judged on another.
 */
static bool is_same_id(const struct tg_config *c, const char *a, const char *b)
{
	struct tg_specifiers spec = { .tpm = "%t", .machine = "%m", .host = "%H", .board = "%s" };
	char left[1024], right[1024];

	(void) snprintf(spec.id, sizeof(spec.id), "%s", c->gateway.id);
	return tg_specifiers_expand(&spec, a, left, sizeof(left), NULL) == 0 &&
	       tg_specifiers_expand(&spec, b, right, sizeof(right), NULL) == 0 &&
	       strcmp(left, right) == 0;
}

static void check_renewal_id(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	const char *id = c->enrolment.aws.rotation_client_id;
	struct tg_place place = tg_check_place(l, TG_KIND_AWS_FLEET, "rotation-client-id");

	/* The one that was not left at its default is the one to look at. */
	if (tg_check_missing(l, TG_KIND_AWS_FLEET, "rotation-client-id"))
		place = tg_check_place(l, TG_KIND_MQTT, "client-id");
	if (is_same_id(c, id, c->mqtt.client_id))
		tg_complain(l->doc.complain, place,
			    "rotation-client-id = %s is the client-id of [mqtt]: each renewal "
			    "would "
			    "break the gateway's own connection, as a broker allows one session a "
			    "client id",
			    id);
}

static void check_rotation(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	const char *at = tg_check_missing(l, TG_KIND_ROTATION, "renew-at") ? "jitter" : "renew-at";

	if (c->rotation.renew_at - c->rotation.jitter < YOUNGEST_PERCENT)
		tg_warn(l->doc.complain, tg_check_place(l, TG_KIND_ROTATION, at),
			"renew-at = %g%% less jitter = %g%%: no certificate is renewed before %d%% "
			"of its life, so gateways that are due earlier all renew then",
			c->rotation.renew_at, c->rotation.jitter, YOUNGEST_PERCENT);
	if (c->rotation.renew_at > LATE_PERCENT)
		tg_warn(l->doc.complain, tg_check_place(l, TG_KIND_ROTATION, "renew-at"),
			"renew-at = %g%% leaves little time to try again", c->rotation.renew_at);
}

/* --- est ------------------------------------------------------------------------------------ */

static const char *const est_operations[] = { "cacerts",        "csrattrs", "simpleenroll",
					      "simplereenroll", "fullcmc",  "serverkeygen" };

/* The operation that @text, of @len bytes, is the name of, or NULL. */
static const char *find_operation(const char *text, size_t len)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(est_operations); i++)
		if (strlen(est_operations[i]) == len && memcmp(est_operations[i], text, len) == 0)
			return est_operations[i];
	return NULL;
}

static void check_est_paths(const struct tg_loaded *l)
{
	const char *url = l->config.enrolment.est.url, *label = l->config.enrolment.est.label;
	size_t end = strlen(url), start;
	const char *operation;

	while (end && url[end - 1] == '/')
		end--;
	for (start = end; start && url[start - 1] != '/';)
		start--;
	operation = find_operation(url + start, end - start);
	if (operation)
		tg_complain(l->doc.complain, tg_check_place(l, TG_KIND_EST, "url"),
			    "url = %s: it ends before the operation, which is added: leave out "
			    "/%s",
			    url, operation);
	if (find_operation(label, strlen(label)))
		tg_complain(l->doc.complain, tg_check_place(l, TG_KIND_EST, "label"),
			    "label = %s is the name of an operation, which a label must not be "
			    "(RFC 7030, 3.2.2)",
			    label);
}

/* Whether @key is given and @other, which it needs, is not. */
static void check_partner(const struct tg_loaded *l, const char *key, const char *other)
{
	if (!tg_check_missing(l, TG_KIND_EST, key) && tg_check_missing(l, TG_KIND_EST, other))
		tg_complain(l->doc.complain, tg_check_place(l, TG_KIND_EST, key),
			    "%s is given without %s, which belongs to it", key, other);
}

static void check_est(const struct tg_loaded *l)
{
	const struct tg_config *c = &l->config;
	struct tg_place place = tg_check_place(l, TG_KIND_ENROLMENT, "method");

	if (tg_check_only(l, TG_KIND_EST))
		place = tg_check_only(l, TG_KIND_EST)->place;
	if (tg_check_missing(l, TG_KIND_EST, "url"))
		tg_complain(l->doc.complain, place,
			    "[enrolment.est]: url is missing, method = est needs it");
	if (tg_check_missing(l, TG_KIND_EST, "ca") && c->enrolment.est.ca_fingerprints.n == 0 &&
	    tg_check_missing(l, TG_KIND_EST, "ca-fingerprint"))
		tg_complain(l->doc.complain, place,
			    "[enrolment.est]: ca or ca-fingerprint is missing: without one of them "
			    "any server could claim to be the authority");
	check_partner(l, "certificate", "key");
	check_partner(l, "key", "certificate");
	/* The other way round is legal: a user name may be empty (RFC 7030, 3.2.3). */
	check_partner(l, "username", "password-file");
	if (tg_check_missing(l, TG_KIND_EST, "certificate") &&
	    tg_check_missing(l, TG_KIND_EST, "password-file"))
		tg_warn(l->doc.complain, place,
			"[enrolment.est] has neither certificate nor password-file: only a server "
			"that enrols whoever asks will answer");
}

/* --- all of them ---------------------------------------------------------------------------- */

static void check_manual(const struct tg_loaded *l)
{
	const struct tg_section *section = tg_check_only(l, TG_KIND_MANUAL);

	if (tg_check_missing(l, TG_KIND_MANUAL, "ca"))
		tg_complain(l->doc.complain,
			    section ? section->place
				    : tg_check_place(l, TG_KIND_ENROLMENT, "method"),
			    "[enrolment.manual]: ca is missing, method = manual needs it");
}

/* A section with settings that another method than @method would heed. */
static void check_idle(const struct tg_loaded *l, enum tg_config_kind kind,
		       enum tg_enrol_method method, const char *word)
{
	const struct tg_section *section = tg_check_only(l, kind);

	if (section && section->settings && l->config.enrolment.method != method)
		tg_warn(l->doc.complain, section->place, "[%s] has no effect without method = %s",
			section->name, word);
}

/* What [rotation] says of going back to a bootstrap credential where there is none. */
static void check_claim_use(const struct tg_loaded *l)
{
	enum tg_enrol_method method = l->config.enrolment.method;
	const char *wanted = claim_is_wanted(&l->config);

	if (wanted && method != TG_ENROL_AWS_FLEET && method != TG_ENROL_EST)
		tg_warn(l->doc.complain, tg_check_place(l, TG_KIND_ROTATION, wanted),
			"%s = claim has no effect without method = aws-fleet or est", wanted);
}

void tg_config_check_enrolment(const struct tg_loaded *l)
{
	switch (l->config.enrolment.method) {
	case TG_ENROL_AWS_FLEET:
		check_aws(l);
		check_forget_claim(l);
		check_renewal_id(l);
		break;
	case TG_ENROL_EST:
		check_est(l);
		break;
	case TG_ENROL_MANUAL:
		check_manual(l);
		break;
	case TG_ENROL_NONE:
		break;
	}
	if (l->config.enrolment.method != TG_ENROL_NONE)
		check_rotation(l);
	check_est_paths(l);
	check_idle(l, TG_KIND_AWS_FLEET, TG_ENROL_AWS_FLEET, "aws-fleet");
	check_idle(l, TG_KIND_EST, TG_ENROL_EST, "est");
	check_idle(l, TG_KIND_MANUAL, TG_ENROL_MANUAL, "manual");
	check_claim_use(l);
}
