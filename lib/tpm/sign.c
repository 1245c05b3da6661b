/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/job.h"
#include "tpm/key.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

TG_DEFINE_CLEANUP(ECDSA_SIG *, ECDSA_SIG_free)

struct sign_job {
	struct tg_tpm_job base;
	struct tg_tpm_key *key;
	TPMI_ALG_HASH hash;
	TPM2B_DIGEST digest;
	TPMS_SIGNATURE_ECC sig;
};

static TPMI_ALG_HASH hash_of(size_t digest_len)
{
	switch (digest_len) {
	case TPM2_SHA256_DIGEST_SIZE:
		return TPM2_ALG_SHA256;
	case TPM2_SHA384_DIGEST_SIZE:
		return TPM2_ALG_SHA384;
	case TPM2_SHA512_DIGEST_SIZE:
		return TPM2_ALG_SHA512;
	default:
		return TPM2_ALG_NULL;
	}
}

static TSS2_RC sign_loaded(struct tg_tpm_conn *c, struct sign_job *job, ESYS_TR key,
			   TPMT_SIGNATURE **ret)
{
	const TPMT_SIG_SCHEME scheme = { .scheme = TPM2_ALG_ECDSA,
					 .details.ecdsa.hashAlg = job->hash };
	/* A ticket that says nothing: the key is not restricted to what the TPM hashed itself. */
	const TPMT_TK_HASHCHECK ticket = { .tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL };

	return TG_TPM_TRY(c, Esys_Sign(c->esys, key, ESYS_TR_PASSWORD, TG_TPM_NONE, TG_TPM_NONE,
				       &job->digest, &scheme, &ticket, ret));
}

static int run_sign(struct tg_tpm_conn *c, struct tg_tpm_job *base, struct tg_fault *reterr)
{
	struct sign_job *job = (struct sign_job *) base;
	tg_autoesys TPMT_SIGNATURE *sig = NULL;
	ESYS_TR key = ESYS_TR_NONE;
	TSS2_RC rc;
	int r;

	r = tg_tpm_conn_load(c, tg_tpm_key_blob(job->key), &key, reterr);
	if (r < 0)
		return r;
	rc = sign_loaded(c, job, key, &sig);
	tg_tpm_conn_flush(c, key);
	if (rc)
		return tg_tpm_rc_fault(rc, "signing", reterr);
	if (sig->sigAlg != TPM2_ALG_ECDSA || sig->signature.ecdsa.hash != job->hash)
		return tg_fault_set(reterr, -EIO,
				    "signing: the TPM answered with another kind of signature");
	job->sig = sig->signature.ecdsa;
	return 0;
}

static void free_sign(struct tg_tpm_job *base)
{
	struct sign_job *job = (struct sign_job *) base;

	tg_tpm_key_unref(job->key);
	free(job);
}

static BIGNUM *to_bn(const TPM2B_ECC_PARAMETER *v)
{
	return v->size <= 32 ? BN_bin2bn(v->buffer, v->size, NULL) : NULL;
}

static int to_der(const TPMS_SIGNATURE_ECC *raw, uint8_t *out, size_t *ret_len)
{
	tg_cleanup(ECDSA_SIG_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = to_bn(&raw->signatureR), *s = to_bn(&raw->signatureS);
	int n;

	if (!sig || !r || !s || !ECDSA_SIG_set0(sig, r, s)) {
		BN_free(r);
		BN_free(s);
		return -EIO;
	}
	n = i2d_ECDSA_SIG(sig, NULL);
	if (n <= 0 || n > TG_TPM_SIGNATURE_MAX)
		return -EIO;
	*ret_len = (size_t) i2d_ECDSA_SIG(sig, &out);
	return 0;
}

/*
 * The bus between TPM and processor can be tampered with, and a faulty
 * signature of ECDSA can give its key away: none leaves unchecked.
 */
static int take_signature(const struct sign_job *job, uint8_t *out, size_t *ret_len,
			  struct tg_fault *reterr)
{
	uint8_t der[TG_TPM_SIGNATURE_MAX];
	size_t len = 0;
	int r;

	r = to_der(&job->sig, der, &len);
	if (r == 0)
		r = tg_tpm_key_verify(job->key, job->digest.buffer, job->digest.size, der, len);
	if (r < 0)
		return tg_fault_set(reterr, r == -ENOMEM ? r : -EIO,
				    "signing: the TPM's signature does not verify; TPM or its bus "
				    "is faulty");
	memcpy(out, der, len);
	*ret_len = len;
	return 0;
}

int tg_tpm_sign(struct tg_tpm *t, const struct tg_tpm_key *key, const uint8_t *digest,
		size_t digest_len, uint8_t ret_sig[static TG_TPM_SIGNATURE_MAX], size_t *ret_len,
		struct tg_fault *reterr)
{
	struct sign_job *job;
	int r;

	if (hash_of(digest_len) == TPM2_ALG_NULL)
		return tg_fault_set(reterr, -EINVAL,
				    "signing: a digest of %zu bytes is not SHA-256, SHA-384 or "
				    "SHA-512",
				    digest_len);
	job = tg_tpm_job_new(sizeof(*job), run_sign, free_sign);
	if (!job)
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	job->key = tg_tpm_key_ref((struct tg_tpm_key *) key);
	job->hash = hash_of(digest_len);
	job->digest.size = (UINT16) digest_len;
	memcpy(job->digest.buffer, digest, digest_len);

	r = tg_tpm_job_run(t, &job->base, reterr);
	if (r == 0)
		r = take_signature(job, ret_sig, ret_len, reterr);
	tg_tpm_job_unref(t, &job->base);
	return r;
}

static int run_check(struct tg_tpm_conn *c, struct tg_tpm_job *base, struct tg_fault *reterr)
{
	struct sign_job *job = (struct sign_job *) base;
	ESYS_TR key = ESYS_TR_NONE;
	int r;

	r = tg_tpm_conn_load(c, tg_tpm_key_blob(job->key), &key, reterr);
	if (r == 0)
		tg_tpm_conn_flush(c, key);
	return r;
}

int tg_tpm_check_key(struct tg_tpm *t, const struct tg_tpm_key *key, struct tg_fault *reterr)
{
	struct sign_job *job = tg_tpm_job_new(sizeof(*job), run_check, free_sign);
	int r;

	if (!job)
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	job->key = tg_tpm_key_ref((struct tg_tpm_key *) key);
	r = tg_tpm_job_run(t, &job->base, reterr);
	tg_tpm_job_unref(t, &job->base);
	return r;
}
