/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/steps.h"

#include "provisioning/enrol/method.h"
#include "provisioning/names.h"
#include "provisioning/pending.h"
#include "provisioning/step_key.h"
#include "provisioning/verdict.h"
#include "x509/csr.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/* A token that is about to expire is not worth a connection. */
#define TOKEN_MARGIN_S 30

/* In place of a channel binding: this request is never sent, and marks that the next one has one. */
#define UNBOUND "0000000000000000"

/* --- request ------------------------------------------------------------------------------ */

/* The names of the configuration, or where a renewal keeps them the current certificate's. */
static int request_names(const struct tg_enrolment *e, struct tg_request_names *ret,
			 struct tg_fault *reterr)
{
	int r = tg_request_names_make(e->config, &e->names, ret, reterr);

	if (r == 0)
		ret->csr.like_pem = e->like_pem;
	return r;
}

/* What the authority wants in the request, which is asked in the session that it will go out in. */
static int ask_wishes(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r;

	if (!e->method->prepare)
		return 0;
	/* Asked before the authority is, which must not issue what cannot be kept. */
	r = tg_pending_room(e->state_dir, reterr);
	if (r == 0)
		r = tg_credential_open(e, reterr);
	return r < 0 ? r : e->method->prepare(e, reterr);
}

static int take_csr(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_request_names_done) struct tg_request_names names = { 0 };
	EVP_PKEY *signer = NULL;
	int r = ask_wishes(e, reterr);

	if (r == 0)
		r = request_names(e, &names, reterr);
	if (r == 0)
		r = tg_step_key_signer(e, &signer, reterr);
	if (r < 0)
		return r;
	e->bound = e->wishes.channel_binding;
	names.csr.wishes = &e->wishes;
	names.csr.challenge = e->bound ? UNBOUND : NULL;
	free(tg_take(e->csr_pem));
	r = tg_csr_make(signer, &names.csr, &e->csr_pem, reterr);
	EVP_PKEY_free(signer);
	return r < 0 ? r : tg_pending_write(e->state_dir, TG_FILE_REQUEST, e->csr_pem, reterr);
}

static int keep_csr(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_request_names_done) struct tg_request_names names = { 0 };
	int r = request_names(e, &names, reterr);
	bool fits;

	if (r < 0)
		return r;
	fits = tg_pending_read(e->state_dir, TG_FILE_REQUEST, &e->csr_pem, NULL) == 0 &&
	       tg_csr_check(e->csr_pem, strlen(e->csr_pem), e->key, &names.csr, NULL) == 0;
	e->bound = fits && tg_csr_has_challenge(e->csr_pem, strlen(e->csr_pem));
	/* The connection that it was bound to is gone. */
	if (e->bound && e->journal.step < TG_STEP_ISSUED)
		fits = false;
	if (fits)
		return 0;
	free(tg_take(e->csr_pem));
	return TG_STEP_GONE;
}

/* What the session has found to be trusted, and for whom, before anything is issued under it. */
static int keep_trust(const struct tg_enrolment *e, struct tg_fault *reterr)
{
	char mark[TG_TRUST_HEX];
	int r;

	if (!e->method->trust)
		return 0;
	r = e->method->trust(e, mark, reterr);
	if (r == 0)
		r = tg_pending_write(e->state_dir, TG_FILE_ANCHORS, e->anchors_pem, reterr);
	return r < 0 ? r : tg_pending_write(e->state_dir, TG_FILE_TRUST, mark, reterr);
}

static int take_request(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r = tg_pending_room(e->state_dir, reterr);

	if (r == 0)
		r = tg_credential_open(e, reterr);
	return r < 0 ? r : keep_trust(e, reterr);
}

/* An answer that was lost is not kept anywhere: the same request goes out again. */
static int keep_request(struct tg_enrolment *e, struct tg_fault *reterr)
{
	(void) e;
	(void) reterr;
	return TG_STEP_GONE;
}

/* --- certificate -------------------------------------------------------------------------- */

static int take_issued(struct tg_enrolment *e, struct tg_fault *reterr)
{
	struct tg_manifest m;
	int r = e->method->issue(e, reterr);

	/* A certificate that is no good must not be registered, let alone replace one that is. */
	if (r == 0)
		r = tg_verdict(e, &m, reterr);
	if (r == 0)
		r = tg_pending_write(e->state_dir, TG_FILE_CHAIN, e->chain_pem, reterr);
	if (r == 0)
		e->journal.issued = tg_enrolment_now_s(e);
	return r;
}

/* What that chain was found to lead to, unless another configuration trusted it. */
static int recall_trust(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_autofree char *kept = NULL;
	char mark[TG_TRUST_HEX];
	int r;

	if (!e->method->trust || e->anchors_pem)
		return 0;
	r = e->method->trust(e, mark, reterr);
	if (r == 0)
		r = tg_pending_read(e->state_dir, TG_FILE_TRUST, &kept, reterr);
	if (r == 0 && strcmp(kept, mark) != 0)
		r = -ENOENT;
	return r < 0 ? r : tg_pending_read(e->state_dir, TG_FILE_ANCHORS, &e->anchors_pem, reterr);
}

static int keep_chain(struct tg_enrolment *e, struct tg_fault *reterr)
{
	struct tg_manifest m;
	int r = tg_pending_read(e->state_dir, TG_FILE_CHAIN, &e->chain_pem, reterr);

	if (r == 0)
		r = recall_trust(e, reterr);
	if (r == 0)
		r = tg_verdict(e, &m, reterr);
	if (r == -ENOENT || r == -EFBIG || r == -EINVAL || r == -EPROTO || r == -EBADMSG) {
		free(tg_take(e->chain_pem));
		return TG_STEP_GONE;
	}
	return r;
}

static int keep_issued(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int64_t age = tg_enrolment_now_s(e) - e->journal.issued;

	if (!e->method->enlist)
		return keep_chain(e, reterr);
	/* A clock that was set back says nothing about the age; the service will. */
	if (!e->journal.token[0] || age > e->method->token_life_s - TOKEN_MARGIN_S)
		return TG_STEP_GONE;
	return keep_chain(e, reterr);
}

static int take_registered(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r = 0;

	if (e->method->enlist) {
		r = tg_credential_open(e, reterr);
		if (r == 0)
			r = e->method->enlist(e, reterr);
	}
	if (r == 0) {
		/* The bootstrap credential has done its work: its session ends here. */
		e->method->close(e);
		explicit_bzero(e->journal.token, sizeof(e->journal.token));
	}
	return r;
}

static int take_verified(struct tg_enrolment *e, struct tg_fault *reterr)
{
	struct tg_manifest m;

	return tg_verdict(e, &m, reterr);
}

/* Whether a link names this very certificate: it was written before a cut. */
static bool is_written(struct tg_enrolment *e, struct tg_manifest *m)
{
	static const enum tg_slot slots[] = { TG_SLOT_CANDIDATE, TG_SLOT_CURRENT };

	for (size_t i = 0; i < TG_ARRAY_SIZE(slots); i++) {
		struct tg_manifest found;

		if (tg_generation_read(e->state_dir, slots[i], &found, NULL) == 0 &&
		    strcmp(found.fingerprint, m->fingerprint) == 0) {
			*m = found;
			return true;
		}
	}
	return false;
}

int tg_step_written(struct tg_enrolment *e, struct tg_manifest *m, struct tg_fault *reterr)
{
	struct tg_generation_files files;
	int r = tg_verdict(e, m, reterr);

	if (r < 0 || is_written(e, m))
		return r;
	/* Taken now, as the verdict puts the chain in order. */
	files = (struct tg_generation_files){
		.key_pem = e->key_pem,
		.chain_pem = e->chain_pem,
		.anchors_pem = e->anchors_pem,
	};
	return tg_generation_write(e->state_dir, &files, m, reterr);
}

static int take_written(struct tg_enrolment *e, struct tg_fault *reterr)
{
	struct tg_manifest m;

	return tg_step_written(e, &m, reterr);
}

const struct tg_step tg_steps[TG_STEP_COUNT_] = {
	[TG_STEP_KEY] = { tg_step_key_take, tg_step_key_keep },
	[TG_STEP_CSR] = { take_csr, keep_csr },
	[TG_STEP_REQUEST] = { take_request, keep_request },
	[TG_STEP_ISSUED] = { take_issued, keep_issued },
	[TG_STEP_REGISTERED] = { take_registered, keep_chain },
	[TG_STEP_VERIFIED] = { take_verified, keep_chain },
	[TG_STEP_WRITTEN] = { take_written, keep_chain },
};

const char *tg_step_remark(const struct tg_enrolment *e, enum tg_enrol_step step)
{
	switch (step) {
	case TG_STEP_KEY:
		return "EC P-256 key in the TPM";
	case TG_STEP_REQUEST:
		return e->journal.endpoint;
	case TG_STEP_ISSUED:
		return e->journal.certificate_id;
	case TG_STEP_REGISTERED:
		return e->journal.thing;
	case TG_STEP_NONE:
	case TG_STEP_CSR:
	case TG_STEP_VERIFIED:
	case TG_STEP_WRITTEN:
	case TG_STEP_COUNT_:
		break;
	}
	return "";
}
