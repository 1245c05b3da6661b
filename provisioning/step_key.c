/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/step_key.h"

#include "provisioning/enrol/method.h"
#include "provisioning/pending.h"
#include "provisioning/steps.h"
#include "tpm/provider.h"
#include "x509/key.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

int tg_step_key_check(struct tg_enrolment *e, const char *pem, struct tg_fault *reterr)
{
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	int r = tg_tpm_key_from_pem(pem, strlen(pem), &key, reterr);

	if (r == -ENOENT || r == -EFBIG || r == -EOPNOTSUPP)
		r = -EBADMSG;
	if (r < 0)
		return r;
	if (tg_tpm_key_parent(key) != e->config->tpm.parent)
		return tg_fault_set(reterr, -ESTALE, "the key is under another parent");
	r = tg_tpm_check_key(e->tpm, key, reterr);
	if (r != -ESTALE)
		return r;
	/* It may be the parent that is not at its handle, and that can be put back. */
	r = tg_tpm_ensure_srk(e->tpm, e->config->tpm.parent, reterr);
	return r < 0 ? r : tg_tpm_check_key(e->tpm, key, reterr);
}

int tg_step_key_make_room(struct tg_enrolment *e)
{
	static const enum tg_slot slots[] = { TG_SLOT_CANDIDATE, TG_SLOT_CURRENT };
	tg_autofree char *pending = NULL;
	int done = -ENOENT;

	if (tg_pending_read(e->state_dir, TG_FILE_KEY, &pending, NULL) == 0)
		done = tg_step_key_check(e, pending, NULL);
	for (size_t i = 0; i < TG_ARRAY_SIZE(slots) && done < 0; i++) {
		tg_autofree char *pem = NULL;

		if (tg_generation_text(e->state_dir, slots[i], TG_FILE_KEY, &pem, NULL) == 0)
			done = tg_step_key_check(e, pem, NULL);
	}
	return done;
}

/*
 * The TPM's own work is done; from here on the key is OpenSSL's. The packaged provider opens the
 * TPM for itself, and where there is no resource manager only one may have it: what the credential
 * has in the TPM is looked at before. Its fault is the request's, which may not be needed any more.
 */
int tg_step_key_provider(struct tg_enrolment *e, struct tg_fault *reterr)
{
	e->credential.error = tg_credential_check(e, &e->credential.fault);
	if (e->config->tpm.provider == TG_PROVIDER_TPM2) {
		e->tpm = tg_tpm_free(e->tpm);
		return tg_provider_tpm2(e->config->tpm.tcti, reterr);
	}
	return tg_provider_builtin(e->tpm, reterr);
}

int tg_step_key_signer(const struct tg_enrolment *e, EVP_PKEY **ret, struct tg_fault *reterr)
{
	int r = tg_key_from_pem(e->key_pem, strlen(e->key_pem), ret, reterr);

	/* Our own file, which the TPM has just taken: not a bad answer. */
	return r == -EBADMSG ? -EIO : r;
}

static int use_provider(struct tg_enrolment *e, struct tg_fault *reterr)
{
	EVP_PKEY *signer = NULL;
	int r;

	if (e->key)
		return 0;
	r = tg_step_key_provider(e, reterr);
	if (r == 0)
		r = tg_step_key_signer(e, &signer, reterr);
	if (r == 0)
		r = tg_key_public(signer, &e->key, reterr);
	EVP_PKEY_free(signer);
	return r;
}

static bool wants_same_key(const struct tg_enrolment *e)
{
	return e->order.kind == TG_ORDER_RENEW && !e->config->rotation.rekey;
}

/* Whether @slot has this very key. */
static bool is_key_of(const struct tg_enrolment *e, enum tg_slot slot, const char *pem)
{
	tg_autofree char *theirs = NULL;

	return tg_generation_text(e->state_dir, slot, TG_FILE_KEY, &theirs, NULL) == 0 &&
	       strcmp(theirs, pem) == 0;
}

/* The key of the current generation: 0, TG_STEP_GONE when it is of no use, or -errno. */
static int same_key(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r = tg_generation_text(e->state_dir, TG_SLOT_CURRENT, TG_FILE_KEY, &e->key_pem, reterr);

	if (r == 0)
		r = tg_step_key_check(e, e->key_pem, reterr);
	if (r != -ENOENT && r != -ESTALE && r != -EBADMSG)
		return r;
	tg_progress_note(e->progress, "the key of the current generation: %s; making another",
			 reterr->text);
	free(tg_take(e->key_pem));
	return TG_STEP_GONE;
}

int tg_step_key_take(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r = tg_tpm_ensure_srk(e->tpm, e->config->tpm.parent, reterr);

	if (r == 0)
		r = wants_same_key(e) ? same_key(e, reterr) : TG_STEP_GONE;
	if (r == TG_STEP_GONE)
		r = tg_tpm_create_key(e->tpm, e->config->tpm.parent, &e->key_pem, reterr);
	if (r == 0)
		r = tg_pending_write(e->state_dir, TG_FILE_KEY, e->key_pem, reterr);
	return r < 0 ? r : use_provider(e, reterr);
}

static bool is_current_usable(struct tg_enrolment *e)
{
	tg_autofree char *pem = NULL;

	return tg_generation_text(e->state_dir, TG_SLOT_CURRENT, TG_FILE_KEY, &pem, NULL) == 0 &&
	       tg_step_key_check(e, pem, NULL) == 0;
}

/*
 * Whether the pending key is one that this order may have. A key that has come into use is no new
 * one; what another order left may be such a key, if it was cut after its end.
 */
static bool is_fit(struct tg_enrolment *e)
{
	bool current = is_key_of(e, TG_SLOT_CURRENT, e->key_pem);

	if (wants_same_key(e))
		return current || !is_current_usable(e);
	if (e->order.kind == TG_ORDER_RENEW)
		return !current;
	return !e->anew || (!current && !is_key_of(e, TG_SLOT_CANDIDATE, e->key_pem));
}

int tg_step_key_keep(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r = tg_pending_read(e->state_dir, TG_FILE_KEY, &e->key_pem, reterr);

	if (r == 0 && !is_fit(e))
		r = -ENOENT;
	/* Last, as a TPM that has just failed is blamed for what fails next. */
	if (r == 0)
		r = tg_step_key_check(e, e->key_pem, reterr);
	if (r == -ESTALE || r == -EBADMSG)
		tg_progress_note(e->progress, "the key of the last attempt: %s; making another",
				 reterr->text);
	if (r == -ENOENT || r == -EFBIG || r == -EINVAL || r == -ESTALE || r == -EBADMSG) {
		free(tg_take(e->key_pem));
		return TG_STEP_GONE;
	}
	return r < 0 ? r : use_provider(e, reterr);
}
