/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/check/check.h"
#include "provisioning/enrol/claim.h"
#include "provisioning/enrol/est.h"
#include "provisioning/operator_file.h"
#include "x509/anchors.h"
#include "x509/issued_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN       4 /* anchors in a line */
#define ENDS_SOON_S (INT64_C(30) * 86400)

/* --- trust anchors --------------------------------------------------------------------- */

/* Those that are shown, and how the first of them ends. */
static void tell_anchors(struct tg_check *c, const char *path, const char *pem)
{
	struct tg_anchor_info list[SHOWN];
	int64_t now = tg_enrolment_now_s(c->e);
	struct tg_fault fault;
	size_t n = 0;
	int r = tg_anchors_list(pem, strlen(pem), list, SHOWN, &n, &fault);

	if (r < 0) {
		tg_report(c->report, TG_FINDING_FAIL, "ca", "", "%s: %s", path, fault.text);
		return;
	}
	for (size_t i = 0; i < n && i < SHOWN; i++) {
		const struct tg_anchor_info *a = &list[i];
		char day[TG_CHECK_DAY];
		bool over = a->not_after <= now, soon = a->not_after - now <= ENDS_SOON_S;

		tg_check_day(a->not_after, day);
		tg_report(c->report,
			  over   ? TG_FINDING_FAIL
			  : soon ? TG_FINDING_WARN
				 : TG_FINDING_OK,
			  "ca", over || soon ? "add the root that follows on it" : "",
			  "%s: %s%s, %s %s, sha256:%s", path, a->root ? "" : "(no root) ",
			  a->subject, over ? "ended" : "until", day, a->fingerprint);
	}
	if (n > SHOWN)
		tg_report(c->report, TG_FINDING_OK, "ca", "", "%s: and %zu more", path, n - SHOWN);
}

/* As method = manual reads it, in any form. */
static int read_any(const char *path, struct tg_certs **ret, struct tg_fault *reterr)
{
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r = tg_operator_file_read("ca", path, TG_ANCHORS_BYTES, &text, &len, reterr);

	if (r < 0)
		return r;
	r = tg_issued_file_parse(text, len, ret, reterr);
	return r < 0 ? tg_fault_prefix(reterr, "ca %s", path) : 0;
}

/* The line has the key's name in front already. */
static const char *without_name(const char *text)
{
	return strncmp(text, "ca ", 3) == 0 ? text + 3 : text;
}

/* @read is what an enrolment reads it with, so that both say the same. */
static void check_ca(struct tg_check *c, const char *path,
		     int (*read)(const char *, struct tg_certs **, struct tg_fault *))
{
	tg_cleanup(tg_certs_freep) struct tg_certs *certs = NULL;
	tg_autofree char *pem = NULL;
	struct tg_fault fault;
	int r = read(path, &certs, &fault);

	if (r == 0) {
		pem = tg_certs_to_pem(certs);
		r = pem ? 0 : tg_fault_set(&fault, -ENOMEM, "out of memory");
	}
	if (r < 0)
		tg_report(c->report, TG_FINDING_FAIL, "ca",
			  r == -EACCES || r == -ENOENT || r == -EPERM
				  ? "the user tidegate must be able to read it"
				  : "",
			  "%s", without_name(fault.text));
	else
		tell_anchors(c, path, pem);
	c->cannot_open |= r < 0;
}

/* --- bootstrap credential -------------------------------------------------------------- */

/*
 * The enrolment of a gateway that has a certificate needs none; it may have
 * been taken away on purpose.
 */
static enum tg_finding severity(const struct tg_check *c)
{
	return c->has_current ? TG_FINDING_WARN : TG_FINDING_FAIL;
}

static void check_claim(struct tg_check *c, const struct tg_claim_files *files)
{
	struct tg_claim_pair pair = { 0 };
	struct tg_fault fault;
	int r;

	if (!c->can_sign)
		return;
	/* What of it is in the TPM has been looked at by whoever had the TPM. */
	r = c->e->credential.which == TG_CREDENTIAL_CLAIM ? c->e->credential.error : 0;
	if (r < 0)
		fault = c->e->credential.fault;
	else
		r = tg_claim_load(c->e, files, &pair, &fault);
	if (r < 0)
		tg_report(c->report, severity(c), files->certificate_name,
			  c->has_current ? "it is for the first enrolment, and for [rotation] "
					   "on-... = claim"
					 : "",
			  "%s", fault.text);
	else
		tg_report(c->report, TG_FINDING_OK, files->certificate_name, "",
			  "%s and %s belong together, and the certificate is valid",
			  files->certificate, files->key);
	tg_claim_pair_done(&pair);
	c->cannot_open |= r < 0 && !c->has_current;
}

static bool is_credential(const char *file)
{
	return !strchr(file, '/');
}

static void check_password(struct tg_check *c, const char *file)
{
	struct tg_fault fault;
	struct stat st;
	char *secret = NULL;
	int r;

	if (is_credential(file) && !getenv("CREDENTIALS_DIRECTORY")) {
		tg_report(c->report, TG_FINDING_WARN, "password-file",
			  "see 'by hand' in enrolment-est.md for a run that has it",
			  "%s is a credential of the service, which is not there in a run "
			  "by hand",
			  file);
		return;
	}
	r = tg_operator_secret_read("password-file", file, &secret, &fault);
	secret = tg_operator_secret_free(secret);
	c->cannot_open |= r < 0 && !c->has_current;
	if (r < 0)
		tg_report(c->report, severity(c), "password-file",
			  "the user tidegate must be able to read it", "%s", fault.text);
	else if (!is_credential(file) && stat(file, &st) == 0 && (st.st_mode & S_IRWXO))
		tg_report(c->report, TG_FINDING_WARN, "password-file",
			  "chown root:tidegate and chmod 0640",
			  "%s can be read by everybody (mode %04o)", file,
			  (unsigned) (st.st_mode & 07777));
	else
		tg_report(c->report, TG_FINDING_OK, "password-file", "", "%s can be read", file);
}

/* --- by method ------------------------------------------------------------------------- */

static void check_fleet(struct tg_check *c)
{
	const struct tg_claim_files files = {
		.certificate_name = "claim-certificate",
		.certificate = c->e->config->enrolment.aws.claim_certificate,
		.key_name = "claim-key",
		.key = c->e->config->enrolment.aws.claim_key,
	};

	check_ca(c, c->e->config->enrolment.aws.ca, read_any);
	check_claim(c, &files);
}

static void check_est(struct tg_check *c)
{
	const struct tg_config *config = c->e->config;
	const struct tg_claim_files files = {
		.certificate_name = "certificate",
		.certificate = config->enrolment.est.certificate,
		.key_name = "key",
		.key = config->enrolment.est.key,
	};

	if (*config->enrolment.est.ca)
		check_ca(c, config->enrolment.est.ca, tg_est_ca_read);
	else
		tg_report(c->report, TG_FINDING_OK, "ca", "",
			  "none as a file: the server is asked for the one with the "
			  "ca-fingerprint");
	if (*files.certificate)
		check_claim(c, &files);
	if (*config->enrolment.est.password_file)
		check_password(c, config->enrolment.est.password_file);
}

void tg_check_files(struct tg_check *c)
{
	switch (c->e->config->enrolment.method) {
	case TG_ENROL_AWS_FLEET:
		check_fleet(c);
		break;
	case TG_ENROL_EST:
		check_est(c);
		break;
	case TG_ENROL_MANUAL:
		check_ca(c, c->e->config->enrolment.manual.ca, read_any);
		break;
	case TG_ENROL_NONE:
		break;
	}
}
