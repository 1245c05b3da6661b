/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"

/*
 * The bootstrap credential: a certificate and a key in files that an operator has put on the
 * gateway. Looked at before it is used, so that what is wrong with it is said with the file's name
 * and not as a TLS alert.
 */

/*
 * Checks that ca, claim-certificate and claim-key can be read, that key and certificate belong
 * together, that a key in the TPM is this TPM's, and that the certificate has not expired. 0 with
 * the beginning of its validity, or -errno.
 */
int tg_claim_check(struct tg_enrolment *e, int64_t *ret_not_before,
		   struct tg_fault *reterr) TG_CHECKED;
