/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/journal.h"

#include <limits.h>
#include <stdbool.h>

/*
 * What a run shows to the service: the method's bootstrap credential, whose files are the method's
 * own business, or key and certificate of the current generation.
 */
struct tg_credential {
	enum tg_enrol_credential which;
	/* With CURRENT, for the method: */
	char bundle_file[PATH_MAX]; /* chain, then key */
	char client_id[129];        /* for methods that speak MQTT */
	bool own_client_id;         /* it is the gateway's, not one for renewals */

	int error; /* of tg_credential_check() */
	struct tg_fault fault;
};

struct tg_enrolment;

/*
 * Looks at what the credential has in the TPM, and makes CURRENT's part of e->credential. Called
 * while the TPM is ours. 0, or -errno with words that name the file.
 */
int tg_credential_check(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;

/* Opens the method's session with it, unless it was found to be of no use; 0 also when there is a
 * session. */
int tg_credential_open(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;
