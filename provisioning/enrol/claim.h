/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"

/*
 * The bootstrap credential: a certificate and a key in files that an operator has put on the
 * gateway. Looked at before it is used, so that what is wrong with it is said with the file's name
 * and not as a TLS alert.
 */

/* Whether there are certificates in it. */
int tg_claim_check_ca(const char *path, struct tg_fault *reterr) TG_CHECKED;

/* Has e->tpm sign with a claim key that is in a TPM; 0 also for any other key. */
int tg_claim_check_tpm(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;

/*
 * Checks that ca, claim-certificate and claim-key can be read, that key and certificate belong
 * together, and that the certificate has not expired. 0 with the beginning of its validity, or
 * -errno.
 */
int tg_claim_check(struct tg_enrolment *e, int64_t *ret_not_before,
		   struct tg_fault *reterr) TG_CHECKED;
