/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/check/check.h"

#include "base/clock.h"
#include "provisioning/begin.h"
#include "provisioning/enrol/method.h"
#include "provisioning/names.h"
#include "provisioning/pending.h"
#include "provisioning/step_key.h"
#include "wallclock/look.h"
#include "x509/subject.h"

#include <errno.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TG_DEFINE_CLEANUP(X509_NAME *, X509_NAME_free)

const char *tg_check_day(int64_t s, char out[static TG_CHECK_DAY])
{
	char iso[32];

	(void) snprintf(out, TG_CHECK_DAY, "%.10s", tg_clock_iso(s * (int64_t) TG_US_PER_S, iso));
	return out;
}

static void check_configuration(struct tg_check *c, const struct tg_options *o)
{
	if (c->e->method)
		tg_report(c->report, TG_FINDING_OK, "configuration", "", "%s, method = %s",
			  o->config, c->e->method->name);
	else
		tg_report(c->report, TG_FINDING_WARN, "configuration",
			  "set method under [enrolment], if the gateway is to have a certificate",
			  "%s, method = none", o->config);
}

/* --- what is on the gateway ------------------------------------------------------------ */

static void check_state(struct tg_check *c)
{
	const char *dir = c->e->state_dir;
	struct tg_fault fault;
	struct stat st;

	if (tg_begin_owner(dir, &fault) < 0)
		tg_report(c->report, TG_FINDING_FAIL, "state", "", "%s", fault.text);
	else if (stat(dir, &st) < 0)
		tg_report(c->report, errno == ENOENT ? TG_FINDING_WARN : TG_FINDING_FAIL, "state",
			  "the service makes it, and so does the first enrolment", "%s: %s", dir,
			  strerror(errno));
	else if (access(dir, R_OK | W_OK | X_OK) < 0)
		tg_report(c->report, TG_FINDING_FAIL, "state",
			  "run as its owner: runuser -u tidegate -- ...", "%s: %s", dir,
			  strerror(errno));
	else if (tg_pending_room(dir, &fault) < 0)
		tg_report(c->report, TG_FINDING_FAIL, "state", "make room on the disk", "%s",
			  fault.text);
	else
		tg_report(c->report, TG_FINDING_OK, "state", "", "%s can be written", dir);
}

static const char *tpm_advice(int r)
{
	switch (-r) {
	case ENODEV:
		return "is tcti of [tpm] the right one, is the TPM switched on (ls "
		       "/dev/tpmrm0), and is this "
		       "user in the group tss?";
	case EBUSY:
	case ETIMEDOUT:
		return "try again; one that stays silent needs its power taken away";
	case EKEYREJECTED:
		return "it is locked out after wrong passwords, and comes back by itself "
		       "after its recovery time";
	case EACCES:
		return "owner-auth-file of [tpm] names the file with the owner's "
		       "authorisation";
	default:
		return "";
	}
}

static void check_tpm(struct tg_check *c)
{
	struct tg_enrolment *e = c->e;
	struct tg_tpm_info info = { 0 };
	struct tg_fault fault;
	int r = tg_begin_tpm(e, &fault);

	if (r == 0)
		r = tg_begin_names(e, &fault);
	if (r == 0)
		r = tg_tpm_info(e->tpm, &info, &fault);
	if (r < 0) {
		tg_report(c->report, TG_FINDING_FAIL, "tpm", tpm_advice(r), "%s", fault.text);
		return;
	}
	c->has_tpm = true;
	if (info.in_lockout)
		tg_report(c->report, TG_FINDING_WARN, "tpm", tpm_advice(-EKEYREJECTED),
			  "%s is in lock-out", e->names.tpm);
	else
		tg_report(c->report, TG_FINDING_OK, "tpm", "", "%s (%s), so the gateway is %s",
			  e->names.tpm, info.manufacturer, e->names.id);
}

static void check_clock(struct tg_check *c)
{
	struct tg_instant now = tg_wallclock_instant();
	const struct tg_wallclock *w = &c->e->clock;
	char text[32], floor[32];

	tg_clock_iso(now.wall_us, text);
	tg_clock_iso(tg_wallclock_floor_s(w, now.boot_us) * (int64_t) TG_US_PER_S, floor);
	switch (tg_wallclock_judge(w, now)) {
	case TG_CLOCK_SYNCHRONISED:
		tg_report(c->report, TG_FINDING_OK, "clock", "", "%s, synchronised", text);
		break;
	case TG_CLOCK_UNCONFIRMED:
		tg_report(c->report, TG_FINDING_OK, "clock", "",
			  "%s, which is possible; no service vouches for it", text);
		break;
	case TG_CLOCK_SUSPECT:
		tg_report(c->report, TG_FINDING_WARN, "clock",
			  "let NTP through, or set it by hand; until then certificates are "
			  "judged at what is known",
			  "%s cannot be, as it was %s already (%s)", text, floor,
			  tg_floor_source_name(tg_wallclock_floor_source(w)));
		break;
	}
}

static void check_names(struct tg_check *c)
{
	tg_cleanup(tg_request_names_done) struct tg_request_names names = { 0 };
	tg_cleanup(X509_NAME_freep) X509_NAME *subject = NULL;
	struct tg_fault fault;
	int r;

	if (!c->has_tpm)
		return;
	r = tg_request_names_make(c->e->config, &c->e->names, &names, &fault);
	if (r == 0)
		r = tg_subject_parse(names.subject, &subject, &fault);
	if (r < 0)
		tg_report(c->report, TG_FINDING_FAIL, "request",
			  "look at subject and dns-name of [enrolment], and at id of [gateway]",
			  "%s", fault.text);
	else if (names.csr.n_dns_names == 0)
		tg_report(c->report, TG_FINDING_OK, "request", "", "it will be for %s",
			  names.subject);
	else
		tg_report(c->report, TG_FINDING_OK, "request", "",
			  "it will be for %s, with dns-name = %s%s", names.subject,
			  names.csr.dns_names[0],
			  names.csr.n_dns_names > 1 ? " and others" : "");
}

/* OpenSSL's way into the TPM, for keys that are there; what the credential has
 * in it comes before. */
static void check_provider(struct tg_check *c)
{
	struct tg_fault fault;

	if (!c->has_tpm || !c->e->method)
		return;
	if (tg_step_key_provider(c->e, &fault) < 0)
		tg_report(c->report, TG_FINDING_FAIL, "provider",
			  "look at openssl-provider of [tpm]", "%s", fault.text);
	else
		c->can_sign = true;
}

/* What a renewal would be based on decides what is shown to the server. */
static void choose_credential(struct tg_check *c)
{
	struct tg_manifest current;

	c->has_current =
		tg_generation_read(c->e->state_dir, TG_SLOT_CURRENT, &current, NULL) == 0 &&
		current.not_after > tg_enrolment_now_s(c->e);
	if (c->has_current && c->e->config->enrolment.method != TG_ENROL_MANUAL) {
		c->e->order.kind = TG_ORDER_RENEW;
		c->e->order.credential = TG_CREDENTIAL_CURRENT;
	}
}

void tg_check(struct tg_enrolment *e, const struct tg_options *o, struct tg_report *report)
{
	struct tg_check c = { .e = e, .report = report };
	struct tg_fault fault;

	tg_begin_time(e, o);
	check_configuration(&c, o);
	check_state(&c);
	check_tpm(&c);
	check_clock(&c);
	tg_check_identity(&c);
	choose_credential(&c);
	if (e->method) {
		if (tg_enrolment_base(e, &fault) < 0)
			tg_report(report, TG_FINDING_FAIL, "identity", "", "%s", fault.text);
		check_names(&c);
		check_provider(&c);
		tg_check_files(&c);
		tg_check_server(&c);
	}
	tg_check_last(&c);
}
