/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tpm/conn.h"
#include "tpm/tpm.h"

#include <openssl/evp.h>

/*
 * What a key is inside lib/tpm: the wrapped blob, and the public half as
 * OpenSSL wants it. Immutable once made, so that threads share it by reference.
 */

/* fixedTPM fixedParent sensitiveDataOrigin userWithAuth noDA sign, and nothing else. */
#define TG_TPM_KEY_ATTRIBUTES                                                                      \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |        \
	 TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT)

/*
 * Checks that the blob is of a kind that we use, computes point, name and public key.
 * Returns 0 and an owned key, -EOPNOTSUPP, -EBADMSG (the point is not on the curve) or -ENOMEM.
 */
int tg_tpm_key_new(TPM2_HANDLE parent, const TPM2B_PUBLIC *pub, const TPM2B_PRIVATE *priv,
		   struct tg_tpm_key **ret, struct tg_fault *reterr) TG_CHECKED;
const struct tg_tpm_blob *tg_tpm_key_blob(const struct tg_tpm_key *key);
/* The public key in OpenSSL's own provider. Valid as long as @key; any thread. */
EVP_PKEY *tg_tpm_key_public(const struct tg_tpm_key *key);
/* Whether the DER signature @sig over @digest is @key's; in software. 0, -EBADMSG when it is not, -ENOMEM. */
int tg_tpm_key_verify(const struct tg_tpm_key *key, const uint8_t *digest, size_t digest_len, const uint8_t *sig,
		      size_t sig_len) TG_CHECKED;
