/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/job.h"
#include "tpm/primary.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/*
 * TCG TPM v2.0 Provisioning Guidance, ECC P-256 storage root key. noDA matters: under
 * a parent without it, our keys could not be loaded while the TPM is locked out.
 */
static const TPM2B_PUBLIC srk_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
				    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
				    TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
		.parameters.eccDetail = {
			.symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc = { .x.size = 32, .y.size = 32 },
	},
};

int tg_tpm_srk_check(struct tg_tpm_conn *c, TPM2_HANDLE parent, struct tg_fault *reterr)
{
	tg_autoesys TPM2B_PUBLIC *pub = NULL;
	ESYS_TR tr = ESYS_TR_NONE;
	TSS2_RC rc;
	int r;

	r = tg_tpm_conn_parent(c, parent, &tr, reterr);
	if (r < 0)
		return r;
	rc = TG_TPM_TRY(c, Esys_ReadPublic(c->esys, tr, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE, &pub,
					   NULL, NULL));
	if (rc)
		return tg_tpm_rc_fault(rc, "storage root key", reterr);
	if (!tg_tpm_from_template(pub, &srk_template))
		return tg_fault_set(reterr, -EEXIST,
				    "handle 0x%x holds another key than the TCG storage root key "
				    "(ECC P-256, noDA); it is left alone: set [tpm] parent to a "
				    "free handle",
				    (unsigned) parent);
	return 0;
}

struct srk_job {
	struct tg_tpm_job base;
	TPM2_HANDLE parent;
	bool has_auth;
	TPM2B_AUTH auth;
};

/*
 * A session that proves the owner authorisation instead of sending it: whoever
 * listens on the TPM's bus must not learn it. Salted with the endorsement key, so
 * that a weak one cannot be guessed from the recording either.
 */
static int owner_session(struct tg_tpm_conn *c, const TPM2B_AUTH *auth, ESYS_TR *ret,
			 struct tg_fault *reterr)
{
	const TPMT_SYM_DEF sym = { .algorithm = TPM2_ALG_NULL };
	ESYS_TR ek = ESYS_TR_NONE;
	TSS2_RC rc;
	int r;

	r = tg_tpm_ek_create(c, &ek, NULL, reterr);
	if (r < 0)
		return r;
	rc = TG_TPM_TRY(c, Esys_StartAuthSession(c->esys, ek, TG_TPM_NONE, TG_TPM_NONE, TG_TPM_NONE,
						 TG_TPM_NONE, NULL, TPM2_SE_HMAC, &sym,
						 TPM2_ALG_SHA256, ret));
	tg_tpm_conn_flush(c, ek);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_TR_SetAuth(c->esys, ESYS_TR_RH_OWNER, auth);
	return rc ? tg_tpm_rc_fault(rc, "session for the owner authorisation", reterr) : 0;
}

int tg_tpm_srk_create(struct tg_tpm_conn *c, ESYS_TR session, ESYS_TR *ret, struct tg_fault *reterr)
{
	TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	TPM2B_DATA outside = { 0 };
	TPML_PCR_SELECTION pcrs = { 0 };
	TSS2_RC rc;

	rc = TG_TPM_TRY(c, Esys_CreatePrimary(c->esys, ESYS_TR_RH_OWNER, session, TG_TPM_NONE,
					      TG_TPM_NONE, &sensitive, &srk_template, &outside,
					      &pcrs, ret, NULL, NULL, NULL, NULL));
	if (c->lost)
		tg_tpm_leftover_primary(&c->leftovers, &srk_template);
	return rc ? tg_tpm_rc_fault(rc, "making the storage root key", reterr) : 0;
}

static int make_srk(struct tg_tpm_conn *c, TPM2_HANDLE parent, ESYS_TR session,
		    struct tg_fault *reterr)
{
	ESYS_TR made = ESYS_TR_NONE, kept = ESYS_TR_NONE;
	TSS2_RC rc;
	int r;

	r = tg_tpm_srk_create(c, session, &made, reterr);
	if (r < 0)
		return r;
	rc = TG_TPM_TRY(c, Esys_EvictControl(c->esys, ESYS_TR_RH_OWNER, made, session, TG_TPM_NONE,
					     TG_TPM_NONE, parent, &kept));
	tg_tpm_conn_flush(c, made);
	if (rc)
		return tg_tpm_rc_fault(rc, "keeping the storage root key", reterr);
	(void) Esys_TR_Close(c->esys, &kept);
	return 0;
}

static int run_srk(struct tg_tpm_conn *c, struct tg_tpm_job *base, struct tg_fault *reterr)
{
	struct srk_job *job = (struct srk_job *) base;
	ESYS_TR session = ESYS_TR_NONE;
	int r;

	r = tg_tpm_srk_check(c, job->parent, reterr);
	if (r != -ESTALE)
		return r;

	if (job->has_auth) {
		r = owner_session(c, &job->auth, &session, reterr);
		if (r < 0) {
			tg_tpm_conn_flush(c, session);
			return r;
		}
	}
	r = make_srk(c, job->parent, job->has_auth ? session : ESYS_TR_PASSWORD, reterr);
	/* ESYS keeps a session open after each use. */
	tg_tpm_conn_flush(c, session);
	if (job->has_auth && c->esys)
		(void) Esys_TR_SetAuth(c->esys, ESYS_TR_RH_OWNER, NULL);
	return r;
}

static void free_job(struct tg_tpm_job *base)
{
	struct srk_job *job = (struct srk_job *) base;

	explicit_bzero(&job->auth, sizeof(job->auth));
	free(job);
}

int tg_tpm_ensure_srk(struct tg_tpm *t, uint32_t parent, struct tg_fault *reterr)
{
	struct srk_job *job;
	int r;

	if (parent < TPM2_PERSISTENT_FIRST || parent >= TPM2_PLATFORM_PERSISTENT)
		return tg_fault_set(reterr, -EINVAL,
				    "parent 0x%x is no persistent handle of the owner "
				    "(0x81000000 to 0x817fffff)",
				    (unsigned) parent);
	job = tg_tpm_job_new(sizeof(*job), run_srk, free_job);
	if (!job)
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	job->parent = parent;
	job->has_auth = tg_tpm_owner_auth(t) != NULL;
	if (job->has_auth)
		job->auth = *tg_tpm_owner_auth(t);
	r = tg_tpm_job_run(t, &job->base, reterr);
	tg_tpm_job_unref(t, &job->base);
	return r;
}
