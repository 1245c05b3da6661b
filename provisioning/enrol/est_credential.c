/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/claim.h"
#include "provisioning/enrol/est.h"
#include "provisioning/operator_file.h"
#include "x509/key.h"

#include "base/clock.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/*
 * For a first enrolment an existing certificate, or a user name and a password, or both, or nothing
 * where the server lets anybody in. For a renewal the current certificate (RFC 7030 section 4.2.2),
 * and the password beside it, which some servers want to see all the same.
 */

static int load_claim(struct tg_enrolment *e, struct tg_est *s, struct tg_fault *reterr)
{
	const struct tg_claim_files files = {
		.certificate_name = "certificate",
		.certificate = e->config->enrolment.est.certificate,
		.key_name = "key",
		.key = e->config->enrolment.est.key,
	};
	struct tg_claim_pair claim = { 0 };
	int r;

	if (!*files.certificate)
		return 0;
	r = tg_claim_load(e, &files, &claim, reterr);
	if (r < 0)
		return r;
	/* The operator has made it before sending the gateway out. */
	(void) tg_wallclock_raise(&e->clock, TG_FLOOR_CERTIFICATE, claim.not_before,
				  tg_clock_boot_us());
	s->chain_pem = claim.chain_pem;
	s->key = claim.key;
	return 0;
}

static int load_current(struct tg_enrolment *e, struct tg_est *s, struct tg_fault *reterr)
{
	tg_autofree char *key = NULL;
	int r = tg_generation_text(e->state_dir, TG_SLOT_CURRENT, TG_FILE_CHAIN, &s->chain_pem,
				   reterr);

	if (r == 0)
		r = tg_generation_text(e->state_dir, TG_SLOT_CURRENT, TG_FILE_KEY, &key, reterr);
	if (r == 0)
		r = tg_key_from_pem(key, strlen(key), &s->key, reterr);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "the identity of generation %u", e->base);
	/* Our own files: no bad answer. */
	return r == -EBADMSG ? -EIO : r;
}

int tg_est_credential_load(struct tg_enrolment *e, const struct tg_credential *c, struct tg_est *s,
			   struct tg_fault *reterr)
{
	const char *file = e->config->enrolment.est.password_file;
	bool current = c->which == TG_CREDENTIAL_CURRENT;
	struct tg_fault fault = { 0 };
	int r = current ? load_current(e, s, reterr) : load_claim(e, s, reterr);

	if (r < 0 || !*file)
		return r;
	r = tg_specifiers_expand(&e->names, e->config->enrolment.est.username, s->username,
				 sizeof(s->username), reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "[enrolment.est] username");
		return r;
	}
	r = tg_operator_secret_read("password-file", file, &s->password, &fault);
	/* One for the first time only may be gone by now, and is not needed. */
	if (r < 0 && current) {
		tg_progress_note(e->progress, "%s; renewing without it", fault.text);
		return 0;
	}
	if (r < 0 && reterr)
		*reterr = fault;
	return r;
}

void tg_est_credential_rest(const struct tg_enrolment *e, struct tg_est *s)
{
	/* Our own provider has a key in the TPM only while it signs. */
	if (e->config->tpm.provider != TG_PROVIDER_TPM2 || !s->key)
		return;
	s->http = tg_http_free(s->http);
	EVP_PKEY_free(s->key);
	s->key = NULL;
}

int tg_est_credential_wake(struct tg_enrolment *e, struct tg_est *s, struct tg_fault *reterr)
{
	if (!s->chain_pem || s->key)
		return 0;
	free(tg_take(s->chain_pem));
	return e->credential.which == TG_CREDENTIAL_CURRENT ? load_current(e, s, reterr)
							    : load_claim(e, s, reterr);
}
