/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/method.h"
#include "provisioning/operator_file.h"
#include "x509/chain_build.h"
#include "x509/issued_file.h"

#include <errno.h>
#include <string.h>

/*
 * The method of a plain authority without a service: the request is carried there, and what was
 * made of it is carried back (by_hand.c). The same steps, and the same judgement.
 */

static void endpoint(const struct tg_config *c, char *out, size_t size)
{
	(void) c;
	(void) snprintf(out, size, "by hand");
}

/* What the certificate must lead to. Written anew, so that what else is in the operator's file stays there. */
static int manual_open(struct tg_enrolment *e, const struct tg_credential *c,
		       struct tg_fault *reterr)
{
	const char *path = e->config->enrolment.manual.ca;
	tg_cleanup(tg_certs_freep) struct tg_certs *anchors = NULL;
	tg_autofree char *text = NULL;
	size_t len = 0;
	int r;

	(void) c;
	if (e->anchors_pem)
		return 0;
	r = tg_operator_file_read("ca", path, TG_GENERATION_ANCHORS_MAX, &text, &len, reterr);
	if (r < 0)
		return r;
	r = tg_issued_file_parse(text, len, &anchors, reterr);
	explicit_bzero(text, len);
	if (r < 0)
		(void) tg_fault_prefix(reterr, "ca %s", path);
	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	e->anchors_pem = tg_certs_to_pem(anchors);
	return e->anchors_pem ? 0 : tg_fault_set(reterr, -ENOMEM, "out of memory");
}

/* Words for what a path that cannot be found usually lacks. */
static int no_chain(struct tg_enrolment *e, int r, size_t n, struct tg_fault *reterr)
{
	struct tg_fault why = *reterr;

	switch (-r) {
	case ENOENT:
		return tg_fault_set(reterr, -EPROTO,
				    "none of the %zu certificates in it is for the key of the "
				    "request that "
				    "waits: it was made of another request; --csr writes the one "
				    "that "
				    "counts",
				    n);
	case EEXIST:
		return tg_fault_set(reterr, -EPROTO,
				    "two different certificates in it are for the key of the "
				    "request "
				    "that waits: leave the one that is meant");
	case EKEYREJECTED:
		return tg_fault_set(reterr, -EPROTO,
				    "%s; the file has to bring what is between the gateway's "
				    "certificate and a root of ca = "
				    "%s, or that has to name another root",
				    why.text, e->config->enrolment.manual.ca);
	default:
		return r;
	}
}

static int manual_issue(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_certs_freep) struct tg_certs *brought = NULL;
	tg_cleanup(tg_chain_freep) struct tg_chain *chain = NULL;
	int r = tg_issued_file_parse(e->answer, e->answer_len, &brought, reterr);

	/* A file with a key in it is a bad answer too. */
	if (r == -EKEYREJECTED)
		return -EPROTO;
	if (r < 0)
		return r;
	r = tg_chain_build(brought, NULL, e->anchors_pem, strlen(e->anchors_pem), e->key,
			   tg_enrolment_now_s(e), &chain, reterr);
	if (r < 0)
		return no_chain(e, r, tg_certs_n(brought), reterr);
	free(e->chain_pem);
	e->chain_pem = tg_chain_to_pem(chain);
	return e->chain_pem ? 0 : tg_fault_set(reterr, -ENOMEM, "out of memory");
}

static void manual_close(struct tg_enrolment *e)
{
	(void) e;
}

static bool own_subject(const struct tg_config *c)
{
	(void) c;
	return false;
}

const struct tg_method tg_method_manual = {
	.name = "manual",
	.id = TG_ENROL_MANUAL,
	.endpoint = endpoint,
	.open = manual_open,
	.issue = manual_issue,
	.close = manual_close,
	.own_subject = own_subject,
};
