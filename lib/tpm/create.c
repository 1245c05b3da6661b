/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/job.h"
#include "tpm/key.h"
#include "tpm/primary.h"

#include <errno.h>

static const TPM2B_PUBLIC key_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TG_TPM_KEY_ATTRIBUTES,
		.parameters.eccDetail = {
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
	},
};

struct create_job {
	struct tg_tpm_job base;
	TPM2_HANDLE parent;
	struct tg_tpm_key *key;
};

static int make_key(struct tg_tpm_conn *c, TPM2_HANDLE parent, struct tg_tpm_key **ret,
		    struct tg_fault *reterr)
{
	TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	TPM2B_DATA outside = { 0 };
	TPML_PCR_SELECTION pcrs = { 0 };
	tg_autoesys TPM2B_PRIVATE *priv = NULL;
	tg_autoesys TPM2B_PUBLIC *pub = NULL;
	ESYS_TR parent_tr;
	TSS2_RC rc;
	int r;

	r = tg_tpm_conn_parent(c, parent, &parent_tr, reterr);
	if (r < 0)
		return r;
	rc = TG_TPM_TRY(c, Esys_Create(c->esys, parent_tr, ESYS_TR_PASSWORD, TG_TPM_NONE,
				       TG_TPM_NONE, &sensitive, &key_template, &outside, &pcrs,
				       &priv, &pub, NULL, NULL, NULL));
	if (rc)
		return tg_tpm_rc_fault(rc, "making the key", reterr);
	return tg_tpm_key_new(parent, pub, priv, ret, reterr);
}

/* What the TPM holds is what counts, not what it said when it made the key. */
static int read_back(struct tg_tpm_conn *c, const struct tg_tpm_blob *b, struct tg_fault *reterr)
{
	tg_autoesys TPM2B_PUBLIC *pub = NULL;
	ESYS_TR tr = ESYS_TR_NONE;
	TSS2_RC rc;
	int r;

	r = tg_tpm_conn_load(c, b, &tr, reterr);
	if (r < 0)
		return r;
	rc = TG_TPM_TRY(c, Esys_ReadPublic(c->esys, tr, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE, &pub,
					   NULL, NULL));
	tg_tpm_conn_flush(c, tr);
	if (rc)
		return tg_tpm_rc_fault(rc, "reading the key back", reterr);
	if (pub->publicArea.objectAttributes != TG_TPM_KEY_ATTRIBUTES)
		return tg_fault_set(reterr, -EIO,
				    "the TPM made a key with attributes 0x%08x instead of 0x%08x; "
				    "it is thrown away",
				    (unsigned) pub->publicArea.objectAttributes,
				    (unsigned) TG_TPM_KEY_ATTRIBUTES);
	return 0;
}

static int run_create(struct tg_tpm_conn *c, struct tg_tpm_job *base, struct tg_fault *reterr)
{
	struct create_job *job = (struct create_job *) base;
	int r;

	job->key = tg_tpm_key_unref(job->key);
	r = tg_tpm_srk_check(c, job->parent, reterr);
	if (r < 0)
		return r;
	r = make_key(c, job->parent, &job->key, reterr);
	if (r < 0)
		return r;
	return read_back(c, tg_tpm_key_blob(job->key), reterr);
}

static void free_job(struct tg_tpm_job *base)
{
	struct create_job *job = (struct create_job *) base;

	tg_tpm_key_unref(job->key);
	free(job);
}

int tg_tpm_create_key(struct tg_tpm *t, uint32_t parent, char **ret_pem, struct tg_fault *reterr)
{
	struct create_job *job = tg_tpm_job_new(sizeof(*job), run_create, free_job);
	int r;

	if (!job)
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	job->parent = parent;
	r = tg_tpm_job_run(t, &job->base, reterr);
	if (r == 0) {
		r = tg_tpm_key_to_pem(job->key, ret_pem);
		if (r < 0)
			(void) tg_fault_set(reterr, r, "TSS2 key: out of memory");
	}
	tg_tpm_job_unref(t, &job->base);
	return r;
}
