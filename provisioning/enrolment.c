/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrolment.h"

#include "provisioning/enrol/method.h"
#include "provisioning/failure.h"
#include "provisioning/step_key.h"
#include "provisioning/steps.h"
#include "wallclock/look.h"
#include "x509/chain.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

int tg_enrolment_base(struct tg_enrolment *e, struct tg_fault *reterr)
{
	struct tg_manifest current;
	int r;

	if (e->order.kind != TG_ORDER_RENEW)
		return 0;
	r = tg_generation_read(e->state_dir, TG_SLOT_CURRENT, &current, reterr);
	if (r == -ENOENT)
		return tg_fault_set(reterr, -ENOENT,
				    "there is no current identity to renew: enrol first, and let the "
				    "broker accept what came of it");
	if (r < 0)
		return r;
	e->base = current.number;
	memcpy(e->base_fingerprint, current.fingerprint, sizeof(e->base_fingerprint));
	if (e->method->same_names && e->order.credential == TG_CREDENTIAL_CURRENT)
		r = tg_generation_text(e->state_dir, TG_SLOT_CURRENT, TG_FILE_CHAIN, &e->like_pem,
				       reterr);
	return r;
}

bool tg_enrolment_same_place(const struct tg_enrolment *e, const struct tg_journal *j)
{
	char endpoint[sizeof(j->endpoint)];

	e->method->endpoint(e->config, endpoint, sizeof(endpoint));
	return strcmp(j->method, e->method->name) == 0 && strcmp(j->endpoint, endpoint) == 0;
}

/* Whether what @j tells of is the work of this order. */
static bool is_same_order(const struct tg_enrolment *e, const struct tg_journal *j)
{
	return tg_enrolment_same_place(e, j) && j->kind == e->order.kind &&
	       j->credential == e->order.credential && j->base == e->base;
}

static void announce(const struct tg_enrolment *e)
{
	if (e->order.by_hand != TG_BY_HAND_NOT && e->order.kind == TG_ORDER_RENEW)
		tg_progress_note(e->progress, "renewing generation %u", e->base);
	else if (e->order.kind == TG_ORDER_RENEW)
		tg_progress_note(e->progress, "renewing generation %u with %s", e->base,
				 e->order.credential == TG_CREDENTIAL_CURRENT
					 ? "its own certificate"
					 : "the bootstrap credential");
}

/* What another order, another method or another place left is of no use, but for the key. */
static void load_journal(struct tg_enrolment *e)
{
	struct tg_journal *j = &e->journal;
	struct tg_fault fault;
	int r = tg_journal_read(e->state_dir, j, &fault);

	if (r < 0 && r != -ENOENT)
		tg_progress_note(e->progress, "%s; beginning with the key that is there",
				 fault.text);
	e->anew = r < 0 || !is_same_order(e, j);
	if (e->anew) {
		explicit_bzero(j, sizeof(*j));
		j->started = tg_enrolment_now_s(e);
		j->kind = e->order.kind;
		j->credential = e->order.credential;
		j->base = e->base;
		(void) snprintf(j->method, sizeof(j->method), "%s", e->method->name);
		e->method->endpoint(e->config, j->endpoint, sizeof(j->endpoint));
	}
	/* An attempt that failed in the first step may have made the key all the same. */
	if (j->step == TG_STEP_NONE)
		j->step = TG_STEP_KEY;
	e->retry_at = j->retry_at;
	tg_failure_forget(j);
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

		/* Registered means that the token is spent: what comes next needs the chain. */
		if (s == TG_STEP_ISSUED && done > TG_STEP_ISSUED)
			skip = true;
		free(tg_take(e->chain_pem));
		tg_progress_begin(e->progress);
		r = skip ? 0 : tg_steps[s].keep(e, fault);
		if (r == TG_STEP_GONE) {
			/* Everything from the request on is asked for again as a whole, and a
			 * request that was of one connection is made again too. */
			if (s > TG_STEP_CSR)
				e->journal.step = e->bound ? TG_STEP_KEY : TG_STEP_CSR;
			else
				e->journal.step = s - 1;
			return 0;
		}
		if (r < 0)
			return tg_failure_note(e, s, r, fault);
		if (!skip)
			tg_progress_done(e->progress, s, true, tg_step_remark(e, s));
	}
	return 0;
}

/*
 * What a cut has left of an answer is brought again, maybe in a better version: by hand nothing
 * behind the request is gone on with. And without the request that it is for an answer is nothing.
 */
static int begin_by_hand(struct tg_enrolment *e, struct tg_fault *fault)
{
	struct tg_journal *j = &e->journal;

	if (e->order.by_hand == TG_BY_HAND_NOT)
		return 0;
	if (e->order.by_hand == TG_BY_HAND_ANSWER && (e->anew || j->step < TG_STEP_CSR))
		return tg_fault_set(fault, -ENOENT,
				    "no request waits for a certificate: --csr makes one");
	if (j->step > TG_STEP_CSR)
		j->step = TG_STEP_CSR;
	return 0;
}

/* Whether the request is still the one that was carried away: its key and its names. */
static int check_by_hand(struct tg_enrolment *e, struct tg_fault *fault)
{
	if (e->order.by_hand != TG_BY_HAND_ANSWER || e->journal.step >= TG_STEP_CSR)
		return 0;
	(void) tg_fault_set(fault, -ENOENT,
			    "the request that waits is of no use any more, as %s: --csr makes another, and that "
			    "one has to be signed",
			    e->journal.step < TG_STEP_KEY
				    ? "its key is not one of this TPM"
				    : "subject or dns-name of the configuration have changed");
	return tg_failure_note(e, TG_STEP_CSR, -ENOENT, fault);
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
	tg_failure_forget(&e->journal);
	e->journal.step = TG_STEP_CSR;
	tg_progress_note(e->progress, "the token of the issued certificate is spent or expired; "
				      "asking again with the same key");
	return 0;
}

static enum tg_enrol_step last_step(const struct tg_enrolment *e)
{
	return e->order.by_hand == TG_BY_HAND_REQUEST ? TG_STEP_REQUEST : TG_STEP_WRITTEN;
}

static int take_steps(struct tg_enrolment *e, struct tg_fault *fault)
{
	while (e->journal.step < last_step(e)) {
		enum tg_enrol_step s = e->journal.step + 1;
		int r;

		tg_progress_begin(e->progress);
		r = tg_steps[s].take(e, fault);
		if (r == TG_METHOD_STALE) {
			r = start_over(e, fault);
			if (r == 0)
				continue;
		}
		if (r < 0)
			return tg_failure_note(e, s, r, fault);
		e->journal.step = s;
		if (s == TG_STEP_ISSUED)
			e->journal.pending = false;
		r = tg_journal_write(e->state_dir, &e->journal, fault);
		if (r < 0)
			return tg_failure_note(e, s, r, fault);
		tg_progress_done(e->progress, s, false, tg_step_remark(e, s));
	}
	return 0;
}

int tg_enrolment_run(struct tg_enrolment *e, struct tg_manifest *ret, struct tg_fault *reterr)
{
	struct tg_fault fault = { 0 };
	int r;

	announce(e);
	load_journal(e);
	r = begin_by_hand(e, &fault);
	if (r == 0)
		r = resume(e, &fault);
	if (r == 0)
		r = check_by_hand(e, &fault);
	if (r == 0)
		r = take_steps(e, &fault);
	e->method->close(e);
	if (r == 0 && e->order.by_hand == TG_BY_HAND_REQUEST)
		return 0;
	/* The manifest of what was written, in this run or before a cut. */
	if (r == 0)
		r = tg_step_written(e, ret, &fault);
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
	if (e->order.kind == TG_ORDER_RENEW || !has_identity(e)) {
		load_journal(e);
		return tg_failure_note(e, TG_STEP_KEY, r, fault);
	}
	tg_failure_describe(e, TG_STEP_KEY, r, fault);
	tg_progress_failed(e->progress, &e->journal);
	return r;
}

/* Whether a run of this order was cut, or failed, and has something to go on with. */
static bool is_under_way(const struct tg_enrolment *e)
{
	struct tg_journal pending;
	int r = tg_journal_read(e->state_dir, &pending, NULL);
	bool under_way = r == 0 && is_same_order(e, &pending);

	explicit_bzero(pending.token, sizeof(pending.token));
	if (e->order.kind != TG_ORDER_RENEW)
		return r != -ENOENT;
	/* Before that point, a candidate that is there is not this run's. */
	return under_way && pending.step >= TG_STEP_REGISTERED;
}

int tg_enrolment_present(struct tg_enrolment *e, struct tg_manifest *ret, struct tg_fault *reterr)
{
	static const enum tg_slot slots[] = { TG_SLOT_CANDIDATE, TG_SLOT_CURRENT };
	size_t n = e->order.kind == TG_ORDER_RENEW ? 1 : TG_ARRAY_SIZE(slots);

	if (is_under_way(e))
		return 0;
	for (size_t i = 0; i < n; i++) {
		tg_autofree char *pem = NULL;
		struct tg_manifest m;
		int r = tg_generation_read(e->state_dir, slots[i], &m, NULL);

		if (r == 0)
			r = tg_generation_text(e->state_dir, slots[i], TG_FILE_KEY, &pem, reterr);
		if (r == 0)
			r = tg_step_key_check(e, pem, reterr);
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

int64_t tg_enrolment_skew_s(const struct tg_enrolment *e)
{
	enum tg_clock_trust trust = tg_wallclock_judge(&e->clock, tg_wallclock_instant());

	return trust == TG_CLOCK_SYNCHRONISED ? TG_CHAIN_SKEW_S : INT64_MAX;
}

void tg_enrolment_done(struct tg_enrolment *e)
{
	if (e->method)
		e->method->close(e);
	EVP_PKEY_free(e->key);
	free(e->key_pem);
	free(e->csr_pem);
	free(e->chain_pem);
	free(e->anchors_pem);
	free(e->like_pem);
	/* Refused for a key in it, maybe. */
	if (e->answer)
		explicit_bzero(e->answer, e->answer_len);
	free(e->answer);
	tg_tpm_free(e->tpm);
	explicit_bzero(e, sizeof(*e));
}
