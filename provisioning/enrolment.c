/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrolment.h"

#include "provisioning/enrol/method.h"
#include "provisioning/names.h"
#include "provisioning/pending.h"
#include "provisioning/verdict.h"
#include "tpm/provider.h"
#include "wallclock/look.h"
#include "x509/csr.h"
#include "x509/key.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/* A token that is about to expire is not worth a connection. */
#define TOKEN_MARGIN_S 30

/* --- key ---------------------------------------------------------------------------------- */

/* 0 when the TPM can use @pem under the configured parent; -ESTALE when it is another one's,
 * -EBADMSG when it is damaged. */
static int check_key(struct tg_enrolment *e, const char *pem, struct tg_fault *reterr)
{
	tg_cleanup(tg_tpm_key_unrefp) struct tg_tpm_key *key = NULL;
	int r = tg_tpm_key_from_pem(pem, strlen(pem), &key, reterr);

	if (r == -ENOENT || r == -EFBIG || r == -EOPNOTSUPP)
		r = -EBADMSG;
	if (r < 0)
		return r;
	if (tg_tpm_key_parent(key) != e->config->tpm.parent)
		return tg_fault_set(reterr, -ESTALE, "the key is under another parent");
	return tg_tpm_check_key(e->tpm, key, reterr);
}

/*
 * The TPM's own work is done; from here on the key is OpenSSL's. The packaged provider opens the
 * TPM for itself, and where there is no resource manager only one may have it.
 */
static int use_provider(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r;

	if (e->key)
		return 0;
	if (e->config->tpm.provider == TG_PROVIDER_TPM2) {
		e->tpm = tg_tpm_free(e->tpm);
		r = tg_provider_tpm2(e->config->tpm.tcti, reterr);
	} else {
		r = tg_provider_builtin(e->tpm, reterr);
	}
	if (r < 0)
		return r;
	r = tg_key_from_pem(e->key_pem, strlen(e->key_pem), &e->key, reterr);
	return r == -EBADMSG ? -EIO
			     : r; /* our own file, which the TPM has just taken: not a bad answer */
}

static int take_key(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r = tg_tpm_ensure_srk(e->tpm, e->config->tpm.parent, reterr);

	if (r == 0)
		r = tg_tpm_create_key(e->tpm, e->config->tpm.parent, &e->key_pem, reterr);
	if (r == 0)
		r = tg_pending_write(e->state_dir, TG_FILE_KEY, e->key_pem, reterr);
	return r;
}

/* Outcomes of looking at an earlier run's result: 0 it holds, GONE it does not, -errno it could not
 * be found out. */
#define GONE 1

static int keep_key(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r = tg_pending_read(e->state_dir, TG_FILE_KEY, &e->key_pem, reterr);

	if (r == 0)
		r = check_key(e, e->key_pem, reterr);
	if (r == -ESTALE || r == -EBADMSG)
		tg_progress_note(e->progress, "the key of the last attempt: %s; making another",
				 reterr->text);
	if (r == -ENOENT || r == -EFBIG || r == -EINVAL || r == -ESTALE || r == -EBADMSG) {
		free(tg_take(e->key_pem));
		return GONE;
	}
	return r;
}

/* --- request ------------------------------------------------------------------------------ */

static int take_csr(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_request_names_done) struct tg_request_names names = { 0 };
	int r = tg_request_names_make(e->config, &e->names, &names, reterr);

	if (r == 0)
		r = tg_csr_make(e->key, &names.csr, &e->csr_pem, reterr);
	if (r == 0)
		r = tg_pending_write(e->state_dir, TG_FILE_REQUEST, e->csr_pem, reterr);
	return r;
}

static int keep_csr(struct tg_enrolment *e, struct tg_fault *reterr)
{
	tg_cleanup(tg_request_names_done) struct tg_request_names names = { 0 };
	int r = tg_request_names_make(e->config, &e->names, &names, reterr);

	if (r < 0)
		return r;
	if (tg_pending_read(e->state_dir, TG_FILE_REQUEST, &e->csr_pem, NULL) == 0 &&
	    tg_csr_check(e->csr_pem, strlen(e->csr_pem), e->key, &names.csr, NULL) == 0)
		return 0;
	free(tg_take(e->csr_pem));
	return GONE;
}

static int take_request(struct tg_enrolment *e, struct tg_fault *reterr)
{
	/* Asked before the authority is, which must not issue what cannot be kept. */
	int r = tg_pending_room(e->state_dir, reterr);

	return r < 0 ? r : e->method->open(e, reterr);
}

/* An answer that was lost is not kept anywhere: the same request goes out again. */
static int keep_request(struct tg_enrolment *e, struct tg_fault *reterr)
{
	(void) e;
	(void) reterr;
	return GONE;
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

static int keep_chain(struct tg_enrolment *e, struct tg_fault *reterr)
{
	struct tg_manifest m;
	int r = tg_pending_read(e->state_dir, TG_FILE_CHAIN, &e->chain_pem, reterr);

	if (r == 0)
		r = tg_verdict(e, &m, reterr);
	if (r == -ENOENT || r == -EFBIG || r == -EINVAL || r == -EPROTO || r == -EBADMSG) {
		free(tg_take(e->chain_pem));
		return GONE;
	}
	return r;
}

static int keep_issued(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int64_t age = tg_enrolment_now_s(e) - e->journal.issued;

	/* A clock that was set back says nothing about the age; the service will. */
	if (!e->journal.token[0] || age > e->method->token_life_s - TOKEN_MARGIN_S)
		return GONE;
	return keep_chain(e, reterr);
}

static int take_registered(struct tg_enrolment *e, struct tg_fault *reterr)
{
	int r = e->session ? 0 : e->method->open(e, reterr);

	if (r == 0)
		r = e->method->enlist(e, reterr);
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

static int write_generation(struct tg_enrolment *e, struct tg_manifest *m, struct tg_fault *reterr)
{
	struct tg_generation_files files;
	int r = tg_verdict(e, m, reterr);

	if (r < 0 || is_written(e, m))
		return r;
	/* Taken now, as the verdict puts the chain in order. */
	files = (struct tg_generation_files){ .key_pem = e->key_pem, .chain_pem = e->chain_pem };
	return tg_generation_write(e->state_dir, &files, m, reterr);
}

static int take_written(struct tg_enrolment *e, struct tg_fault *reterr)
{
	struct tg_manifest m;

	return write_generation(e, &m, reterr);
}

/* --- the sequence ------------------------------------------------------------------------- */

static const struct step {
	int (*take)(struct tg_enrolment *e, struct tg_fault *reterr);
	/* For a step that the journal has as done: 0, GONE, or -errno. */
	int (*keep)(struct tg_enrolment *e, struct tg_fault *reterr);
} steps[TG_STEP_COUNT_] = {
	[TG_STEP_KEY] = { take_key, keep_key },
	[TG_STEP_CSR] = { take_csr, keep_csr },
	[TG_STEP_REQUEST] = { take_request, keep_request },
	[TG_STEP_ISSUED] = { take_issued, keep_issued },
	[TG_STEP_REGISTERED] = { take_registered, keep_chain },
	[TG_STEP_VERIFIED] = { take_verified, keep_chain },
	[TG_STEP_WRITTEN] = { take_written, keep_chain },
};

/* What is said of a step that went well. Nothing secret. */
static const char *remark(const struct tg_enrolment *e, enum tg_enrol_step step)
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

enum tg_enrol_class tg_enrolment_class(int r)
{
	switch (-r) {
	case 0:
		return TG_ENROL_OK;
	case EHOSTUNREACH:
	case ECONNRESET:
	case ECONNABORTED:
	case ETIMEDOUT:
	case EAGAIN:
	case EBUSY:
	case ENOTCONN:
		return TG_ENROL_RETRY;
	case EPERM:
		return TG_ENROL_REFUSED;
	case EPROTO:
	case EBADMSG:
	case EMSGSIZE:
	case EFBIG:
		return TG_ENROL_BAD_ANSWER;
	default:
		return TG_ENROL_LOCAL;
	}
}

int tg_enrolment_refused(struct tg_enrolment *e, enum tg_enrol_class class, int status,
			 const char *code)
{
	e->journal.error_status = status;
	(void) snprintf(e->journal.error_code, sizeof(e->journal.error_code), "%s", code);
	if (class == TG_ENROL_RETRY)
		return -EAGAIN;
	return class == TG_ENROL_REFUSED ? -EPERM : -EPROTO;
}

static void forget_error(struct tg_journal *j)
{
	j->error_class = TG_ENROL_OK;
	j->error_step = TG_STEP_NONE;
	j->error_status = 0;
	j->error_code[0] = '\0';
	j->error_text[0] = '\0';
}

static void describe_failure(struct tg_enrolment *e, enum tg_enrol_step step, int r,
			     const struct tg_fault *fault)
{
	e->journal.error_class = tg_enrolment_class(r);
	e->journal.error_step = step;
	tg_printable(e->journal.error_text, sizeof(e->journal.error_text), fault->text,
		     strlen(fault->text));
}

/* Notes a failure where the agent and the operator see it, and returns it. */
static int fail(struct tg_enrolment *e, enum tg_enrol_step step, int r,
		const struct tg_fault *fault)
{
	struct tg_fault ignored;
	int noted;

	describe_failure(e, step, r, fault);
	/* With the disk full there is no journal to note it in; the output still has it. */
	noted = tg_journal_write(e->state_dir, &e->journal, &ignored);
	tg_progress_failed(e->progress, &e->journal);
	if (noted < 0)
		tg_progress_note(e->progress, "the journal cannot be written: %s", ignored.text);
	return r;
}

/* What an enrolment with another method or at another place left is of no use, but for the key. */
static void load_journal(struct tg_enrolment *e)
{
	const char *endpoint = e->method->endpoint(e->config);
	struct tg_journal *j = &e->journal;
	struct tg_fault fault;
	int r = tg_journal_read(e->state_dir, j, &fault);

	if (r < 0 && r != -ENOENT)
		tg_progress_note(e->progress, "%s; beginning with the key that is there",
				 fault.text);
	if (r < 0 || strcmp(j->method, e->method->name) != 0 ||
	    strcmp(j->endpoint, endpoint) != 0) {
		explicit_bzero(j, sizeof(*j));
		j->started = tg_enrolment_now_s(e);
		(void) snprintf(j->method, sizeof(j->method), "%s", e->method->name);
		(void) snprintf(j->endpoint, sizeof(j->endpoint), "%s", endpoint);
	}
	/* An attempt that failed in the first step may have made the key all the same. */
	if (j->step == TG_STEP_NONE)
		j->step = TG_STEP_KEY;
	forget_error(j);
	j->attempts++;
}

/* Goes through the steps that are done, up to the first whose result does not hold. */
static int resume(struct tg_enrolment *e, struct tg_fault *fault)
{
	enum tg_enrol_step done = e->journal.step;

	for (enum tg_enrol_step s = TG_STEP_KEY; s <= done; s++) {
		/* Behind the request the session's state is of no matter. */
		bool skip = s == TG_STEP_REQUEST && done > TG_STEP_REQUEST;
		int r;

		/* Registered means that the token is spent: what comes next needs the chain only.
		 */
		if (s == TG_STEP_ISSUED && done > TG_STEP_ISSUED)
			skip = true;
		free(tg_take(e->chain_pem));
		tg_progress_begin(e->progress);
		r = skip ? 0 : steps[s].keep(e, fault);
		if (r == 0 && s == TG_STEP_KEY)
			r = use_provider(e, fault);
		if (r == GONE) {
			/* Everything from the request on is asked for again as a whole. */
			e->journal.step = s > TG_STEP_CSR ? TG_STEP_CSR : s - 1;
			return 0;
		}
		if (r < 0)
			return fail(e, s, r, fault);
		if (!skip)
			tg_progress_done(e->progress, s, true, remark(e, s));
	}
	return 0;
}

/* What was issued is refused by its own service: once in a run, another one is asked for with the
 * same request. */
static int start_over(struct tg_enrolment *e, struct tg_fault *fault)
{
	if (e->started_over) {
		(void) tg_fault_set(fault, -EPERM, "what was just issued is refused as stale");
		return -EPERM;
	}
	e->started_over = true;
	e->method->close(e);
	explicit_bzero(e->journal.token, sizeof(e->journal.token));
	e->journal.certificate_id[0] = '\0';
	free(tg_take(e->chain_pem));
	forget_error(&e->journal);
	e->journal.step = TG_STEP_CSR;
	tg_progress_note(e->progress, "the token of the issued certificate is spent or expired; "
				      "asking again with the same key");
	return 0;
}

static int take_steps(struct tg_enrolment *e, struct tg_fault *fault)
{
	while (e->journal.step < TG_STEP_WRITTEN) {
		enum tg_enrol_step s = e->journal.step + 1;
		int r;

		tg_progress_begin(e->progress);
		r = steps[s].take(e, fault);
		if (r == 0 && s == TG_STEP_KEY)
			r = use_provider(e, fault);
		if (r == TG_METHOD_STALE) {
			r = start_over(e, fault);
			if (r == 0)
				continue;
		}
		if (r < 0)
			return fail(e, s, r, fault);
		e->journal.step = s;
		r = tg_journal_write(e->state_dir, &e->journal, fault);
		if (r < 0)
			return fail(e, s, r, fault);
		tg_progress_done(e->progress, s, false, remark(e, s));
	}
	return 0;
}

int tg_enrolment_run(struct tg_enrolment *e, struct tg_manifest *ret, struct tg_fault *reterr)
{
	struct tg_fault fault = { 0 };
	int r;

	load_journal(e);
	r = resume(e, &fault);
	if (r == 0)
		r = take_steps(e, &fault);
	e->method->close(e);
	/* The manifest of what was written, in this run or before a cut. */
	if (r == 0)
		r = write_generation(e, ret, &fault);
	if (r == 0)
		r = tg_journal_clear(e->state_dir, &fault);
	if (r < 0 && reterr)
		*reterr = fault;
	return r;
}

static bool has_identity(const struct tg_enrolment *e)
{
	struct tg_manifest m;

	return tg_generation_read(e->state_dir, TG_SLOT_CURRENT, &m, NULL) == 0 ||
	       tg_generation_read(e->state_dir, TG_SLOT_CANDIDATE, &m, NULL) == 0;
}

int tg_enrolment_not_begun(struct tg_enrolment *e, int r, struct tg_fault *fault)
{
	if (!has_identity(e)) {
		load_journal(e);
		return fail(e, TG_STEP_KEY, r, fault);
	}
	describe_failure(e, TG_STEP_KEY, r, fault);
	tg_progress_failed(e->progress, &e->journal);
	return r;
}

int tg_enrolment_present(struct tg_enrolment *e, struct tg_manifest *ret, struct tg_fault *reterr)
{
	static const enum tg_slot slots[] = { TG_SLOT_CANDIDATE, TG_SLOT_CURRENT };
	struct tg_journal pending;
	int r = tg_journal_read(e->state_dir, &pending, reterr);

	explicit_bzero(&pending, sizeof(pending));
	if (r != -ENOENT)
		return 0;
	for (size_t i = 0; i < TG_ARRAY_SIZE(slots); i++) {
		tg_autofree char *pem = NULL;
		struct tg_manifest m;

		r = tg_generation_read(e->state_dir, slots[i], &m, NULL);
		if (r == 0)
			r = tg_generation_text(e->state_dir, slots[i], TG_FILE_KEY, &pem, reterr);
		if (r == 0)
			r = check_key(e, pem, reterr);
		if (r == 0 && m.not_after > tg_enrolment_now_s(e)) {
			*ret = m;
			return 1;
		}
		if (r < 0 && r != -ENOENT && r != -EBADMSG && r != -ESTALE)
			return r;
	}
	return 0;
}

int64_t tg_enrolment_now_s(const struct tg_enrolment *e)
{
	return tg_wallclock_believed_s(&e->clock, tg_wallclock_instant());
}

void tg_enrolment_done(struct tg_enrolment *e)
{
	if (e->method)
		e->method->close(e);
	EVP_PKEY_free(e->key);
	free(e->key_pem);
	free(e->csr_pem);
	free(e->chain_pem);
	tg_tpm_free(e->tpm);
	explicit_bzero(e, sizeof(*e));
}
