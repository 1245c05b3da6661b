/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/check/advice.h"

#include <tidegate/cleanup.h>

#include <stddef.h>

/* Any method, step or status. */
#define ANY (-1)

#define AGAIN  "the agent tries again by itself"
#define NO_EST "what answered does not speak EST: look at url and label, and at the server"

struct row {
	int method, step;
	enum tg_enrol_class class;
	int status;
	const char *advice;
};

/*
 * The first that fits counts. A refusal by status is worded with what to do where it is found; so are verdicts on certificates and
 * servers.
 */
static const struct row rows[] = {
	{ ANY, ANY, TG_ENROL_PENDING, ANY,
	  "nothing is wrong: somebody at the authority has to approve it, and the agent asks again "
	  "by itself" },
	{ ANY, ANY, TG_ENROL_ID_REFUSED, ANY,
	  "have the service's policy allow rotation-client-id, or leave it: the agent makes room "
	  "for its own" },

	{ TG_ENROL_AWS_FLEET, TG_STEP_ISSUED, TG_ENROL_REFUSED, ANY,
	  "the claim's policy has to allow the topics of CreateCertificateFromCsr, and the claim "
	  "to be active" },
	{ TG_ENROL_AWS_FLEET, TG_STEP_REGISTERED, TG_ENROL_REFUSED, ANY,
	  "look at the template, its parameters and the hook in front of it" },

	{ TG_ENROL_EST, ANY, TG_ENROL_RETRY, 429, "the server asks to be left alone; " AGAIN },
	{ TG_ENROL_EST, ANY, TG_ENROL_RETRY, 503, "the server is overloaded or closed; " AGAIN },
	/* The fingerprint of no root there, a certificate that the handshake ends on, a key that it wants. */
	{ TG_ENROL_EST, ANY, TG_ENROL_REFUSED, 0,
	  "compare [enrolment.est] with what the authority says of its root, its users and its "
	  "keys" },
	{ TG_ENROL_EST, TG_STEP_CSR, TG_ENROL_BAD_ANSWER, ANY, NO_EST },
	{ TG_ENROL_EST, TG_STEP_REQUEST, TG_ENROL_BAD_ANSWER, ANY, NO_EST },
	{ TG_ENROL_EST, TG_STEP_ISSUED, TG_ENROL_BAD_ANSWER, ANY,
	  "what comes has to be a certificate that fits a gateway: look at url and label, and at "
	  "the authority's profile" },

	{ TG_ENROL_MANUAL, ANY, TG_ENROL_BAD_ANSWER, ANY,
	  "the request still waits: bring the right file with --install" },

	{ ANY, TG_STEP_KEY, TG_ENROL_LOCAL, ANY, "look at what is said of the TPM" },
	{ ANY, TG_STEP_CSR, TG_ENROL_LOCAL, ANY,
	  "look at subject and dns-name of [enrolment], and at the files that the method's section "
	  "names" },
	{ ANY, TG_STEP_REQUEST, TG_ENROL_LOCAL, ANY,
	  "look at the files that the method's section names; the user tidegate must be able to "
	  "read them" },
	{ ANY, TG_STEP_WRITTEN, TG_ENROL_LOCAL, ANY,
	  "look at the room on the disk, and at whom the state directory belongs to" },
	/* A network that fails, or a server that is not trusted: the words tell which. */
	{ ANY, ANY, TG_ENROL_RETRY, 0, "look at what is named; " AGAIN },
	{ ANY, ANY, TG_ENROL_RETRY, ANY, "the trouble is the service's; " AGAIN },
	{ ANY, ANY, TG_ENROL_BAD_ANSWER, ANY,
	  "what the authority issues must fit a gateway: its profile is the place to look at" },
};

static bool fits(const struct row *row, enum tg_enrol_method method, const struct tg_journal *j)
{
	return (row->method == ANY || row->method == (int) method) &&
	       (row->step == ANY || row->step == (int) j->error_step) &&
	       row->class == j->error_class &&
	       (row->status == ANY || row->status == j->error_status);
}

const char *tg_advice(enum tg_enrol_method method, const struct tg_journal *j)
{
	if (j->error_class == TG_ENROL_OK)
		return "";
	for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
		if (fits(&rows[i], method, j))
			return rows[i].advice;
	return "";
}
