/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/est.h"

#include "provisioning/enrol/claim.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/*
 * Enrolment over Secure Transport, RFC 7030: simpleenroll with a bootstrap credential, and
 * simplereenroll with the current certificate. cacerts and csrattrs come first in every session.
 *
 * serverkeygen is left out: the server would make the key, and hold it.
 */

static void endpoint(const struct tg_config *c, char *out, size_t size)
{
	char base[TG_EST_URL_MAX];

	/* What is too long is said when it is asked for. */
	if (tg_est_base(c, base, sizeof(base)) < 0)
		base[0] = '\0';
	(void) snprintf(out, size, "%s", base);
}

static int check_tpm(struct tg_enrolment *e, struct tg_fault *reterr)
{
	const struct tg_claim_files files = {
		.certificate_name = "certificate",
		.certificate = e->config->enrolment.est.certificate,
		.key_name = "key",
		.key = e->config->enrolment.est.key,
	};

	return *files.key ? tg_claim_check_tpm(e, &files, reterr) : 0;
}

static void session_free(struct tg_est *s)
{
	if (!s)
		return;
	s->http = tg_http_free(s->http);
	free(s->chain_pem);
	EVP_PKEY_free(s->key);
	if (s->password)
		explicit_bzero(s->password, strlen(s->password));
	free(s->password);
	free(s->base_pem);
	s->pool = tg_certs_free(s->pool);
	free(s);
}

static int est_open(struct tg_enrolment *e, const struct tg_credential *c, struct tg_fault *reterr)
{
	struct tg_est *s = calloc(1, sizeof(*s));
	int r = s ? tg_est_credential_load(e, c, s, reterr)
		  : tg_fault_set(reterr, -ENOMEM, "out of memory");

	if (r == 0)
		r = tg_est_trust_find(e, s, reterr);
	if (r < 0) {
		session_free(s);
		return r;
	}
	e->session = s;
	return 0;
}

static void est_close(struct tg_enrolment *e)
{
	session_free(tg_take(e->session));
}

static bool own_subject(const struct tg_config *c)
{
	return c->enrolment.est.any_subject;
}

const struct tg_method tg_method_est = {
	.name = "est",
	.id = TG_ENROL_EST,
	.endpoint = endpoint,
	.check = check_tpm,
	.open = est_open,
	.prepare = tg_est_prepare,
	.issue = tg_est_issue,
	.close = est_close,
	.trust = tg_est_trust_mark,
	.own_subject = own_subject,
	.same_names = true,
};
