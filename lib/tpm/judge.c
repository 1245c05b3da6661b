/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm/job.h"
#include "tpm/key.h"
#include "tpm/primary.h"

#include <errno.h>

/*
 * Whether a key is lost for good. What the TPM says of a key under a parent at a
 * persistent handle is not enough: who has the owner authorisation can take the
 * parent out of its handle or put another one there, and the key is as good as
 * ever. The storage root key itself cannot be taken away but by a clear: the TPM
 * makes it again, the same, from the seed of the owner hierarchy. A key that this
 * one does not take either is wrapped for another seed, and no seed comes back.
 */
struct judge_job {
	struct tg_tpm_job base;
	struct tg_tpm_key *key;
};

/* Where the hierarchy asks for an authorisation that we do not have, the SRK at its handle is the
 * witness. */
static int ask_persistent(struct tg_tpm_conn *c, const struct tg_tpm_blob *b,
			  const struct tg_fault *first, struct tg_fault *reterr)
{
	struct tg_fault ignored;

	if (tg_tpm_srk_check(c, b->parent, &ignored) == 0)
		return TG_TPM_KEY_LOST;
	return tg_fault_set(reterr, -EACCES,
			    "%s (whether it is lost for good cannot be found out without the owner "
			    "authorisation)",
			    first->text);
}

static int judge(struct tg_tpm_conn *c, const struct tg_tpm_blob *b, struct tg_fault *reterr)
{
	struct tg_fault first = { .text = "" };
	ESYS_TR key = ESYS_TR_NONE, srk = ESYS_TR_NONE;
	TSS2_RC rc;
	int r;

	r = tg_tpm_conn_load(c, b, &key, &first);
	if (r != -ESTALE) {
		tg_tpm_conn_flush(c, key);
		return r < 0 ? tg_fault_set(reterr, r, "%s", first.text) : 0;
	}
	r = tg_tpm_srk_create(c, ESYS_TR_PASSWORD, &srk, reterr);
	if (r == -EACCES)
		return ask_persistent(c, b, &first, reterr);
	if (r < 0)
		return r;
	rc = TG_TPM_TRY(c, Esys_Load(c->esys, srk, ESYS_TR_PASSWORD, TG_TPM_NONE, TG_TPM_NONE,
				     &b->priv, &b->pub, &key));
	if (c->lost)
		tg_tpm_leftover_name(&c->leftovers, &b->name);
	tg_tpm_conn_flush(c, srk);
	if (rc == TSS2_RC_SUCCESS) {
		tg_tpm_conn_flush(c, key);
		return TG_TPM_KEY_PARENT_GONE;
	}
	r = tg_tpm_rc_fault(rc, "loading the key", reterr);
	return r == -ESTALE ? TG_TPM_KEY_LOST : r;
}

static int run_judge(struct tg_tpm_conn *c, struct tg_tpm_job *base, struct tg_fault *reterr)
{
	return judge(c, tg_tpm_key_blob(((struct judge_job *) base)->key), reterr);
}

static void free_judge(struct tg_tpm_job *base)
{
	tg_tpm_key_unref(((struct judge_job *) base)->key);
	free(base);
}

int tg_tpm_judge_key(struct tg_tpm *t, const struct tg_tpm_key *key, struct tg_fault *reterr)
{
	struct judge_job *job = tg_tpm_job_new(sizeof(*job), run_judge, free_judge);
	int r;

	if (!job)
		return tg_fault_set(reterr, -ENOMEM, "TPM: out of memory");
	job->key = tg_tpm_key_ref((struct tg_tpm_key *) key);
	r = tg_tpm_job_run(t, &job->base, reterr);
	tg_tpm_job_unref(t, &job->base);
	return r;
}
