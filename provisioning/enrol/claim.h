/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"

/*
 * The bootstrap credential: a certificate and a key in files that an operator has put on the
 * gateway. Looked at before it is used, so that what is wrong with it is said with the file's name
 * and not as a TLS alert.
 */
struct tg_claim_files {
	const char *certificate_name, *key_name; /* of their keys in the configuration */
	const char *certificate, *key;           /* paths */
};

/* What is in them. */
struct tg_claim_pair {
	char *chain_pem;    /* owned; the leaf first */
	EVP_PKEY *key;      /* owned; may be one in the TPM */
	int64_t not_before; /* seconds since 1970 */
};
void tg_claim_pair_done(struct tg_claim_pair *p); /* works on a zeroed one too */

/* Whether there are certificates in it. */
int tg_claim_check_ca(const char *path, struct tg_fault *reterr) TG_CHECKED;

/* Has e->tpm sign with a claim key that is in a TPM; 0 also for any other key. */
int tg_claim_check_tpm(struct tg_enrolment *e, const struct tg_claim_files *files,
		       struct tg_fault *reterr) TG_CHECKED;

/*
 * Reads both, and checks that they belong together and that the certificate has not expired. 0, or
 * -errno. Asks nothing of the TPM but what reading a key in it asks.
 */
int tg_claim_load(const struct tg_enrolment *e, const struct tg_claim_files *files,
		  struct tg_claim_pair *ret, struct tg_fault *reterr) TG_CHECKED;
