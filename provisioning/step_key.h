/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"

/*
 * The key of the new generation: made in the TPM, or with rekey = no the one that the current
 * generation has; kept from an earlier attempt as long as the TPM knows it.
 */

/* 0 when the TPM can use @pem under the configured parent, which is put back if it was evicted;
 * -ESTALE when it is another one's, -EBADMSG when it is damaged. */
int tg_step_key_check(struct tg_enrolment *e, const char *pem, struct tg_fault *reterr) TG_CHECKED;

/* For a TPM that is full: takes out of it what a killed run may have left of keys of ours. 0, or
 * -errno. */
int tg_step_key_make_room(struct tg_enrolment *e) TG_CHECKED;

/*
 * Makes keys in the TPM usable by OpenSSL, once in a process, after a look at what e->credential has in
 * it: the packaged provider takes the TPM over (e->tpm is NULL then). 0, or -errno of tg_provider_...().
 */
int tg_step_key_provider(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;

/*
 * The private half of e->key, to sign with and to be freed at once (EVP_PKEY_free): with the packaged
 * provider it takes a place in the TPM as long as it is there, and to load it takes one more. A TPM has
 * three, and where there is no resource manager one of them is the agent's. 0 or -errno.
 */
int tg_step_key_signer(const struct tg_enrolment *e, EVP_PKEY **ret,
		       struct tg_fault *reterr) TG_CHECKED;

/* As `take` and `keep` of struct tg_step. key_pem and key are set. */
int tg_step_key_take(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;
int tg_step_key_keep(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;
