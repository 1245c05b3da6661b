/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/job.h"
#include "tpm/primary.h"

#include <openssl/sha.h>
#include <tss2/tss2_mu.h>

#include <errno.h>
#include <string.h>

/*
 * TCG EK Credential Profile, template L-2. The policy is PolicySecret of the
 * endorsement hierarchy; it guards use of the key, and making it needs only
 * the hierarchy's own authorisation.
 */
static const TPM2B_PUBLIC ek_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
				    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
		.authPolicy = {
			.size = 32,
			.buffer = { 0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8,
				    0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
				    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64,
				    0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa },
		},
		.parameters.eccDetail = {
			.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc = { .x.size = 32, .y.size = 32 },
	},
};

int tg_tpm_ek_create(struct tg_tpm_conn *c, ESYS_TR *ret, TPM2B_PUBLIC **ret_pub,
		     struct tg_fault *reterr)
{
	TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	TPM2B_DATA outside = { 0 };
	TPML_PCR_SELECTION pcrs = { 0 };
	TSS2_RC rc;

	rc = TG_TPM_TRY(c, Esys_CreatePrimary(c->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
					      TG_TPM_NONE, TG_TPM_NONE, &sensitive, &ek_template,
					      &outside, &pcrs, ret, ret_pub, NULL, NULL, NULL));
	if (c->lost)
		tg_tpm_leftover_primary(&c->leftovers, &ek_template);
	return rc ? tg_tpm_rc_fault(rc, "endorsement key", reterr) : 0;
}

struct identity_job {
	struct tg_tpm_job base;
	char id[17];
};

static int hash_public(const TPM2B_PUBLIC *pub, char ret_id[static 17], struct tg_fault *reterr)
{
	uint8_t area[sizeof(TPMT_PUBLIC)], hash[SHA256_DIGEST_LENGTH];
	size_t len = 0;

	if (Tss2_MU_TPMT_PUBLIC_Marshal(&pub->publicArea, area, sizeof(area), &len) ||
	    !SHA256(area, len, hash))
		return tg_fault_set(reterr, -EIO,
				    "endorsement key: its public area cannot be hashed");
	for (size_t i = 0; i < 8; i++)
		(void) snprintf(ret_id + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

static int run_identity(struct tg_tpm_conn *c, struct tg_tpm_job *base, struct tg_fault *reterr)
{
	struct identity_job *job = (struct identity_job *) base;
	tg_autoesys TPM2B_PUBLIC *pub = NULL;
	ESYS_TR ek = ESYS_TR_NONE;
	int r;

	r = tg_tpm_ek_create(c, &ek, &pub, reterr);
	if (r < 0)
		return r;
	r = hash_public(pub, job->id, reterr);
	tg_tpm_conn_flush(c, ek);
	return r;
}

static void free_job(struct tg_tpm_job *base)
{
	free(base);
}

int tg_tpm_identity(struct tg_tpm *t, char ret_id[static 17], struct tg_fault *reterr)
{
	struct identity_job *job = tg_tpm_job_new(sizeof(*job), run_identity, free_job);
	int r;

	if (!job)
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	r = tg_tpm_job_run(t, &job->base, reterr);
	if (r == 0)
		memcpy(ret_id, job->id, sizeof(job->id));
	tg_tpm_job_unref(t, &job->base);
	return r;
}
