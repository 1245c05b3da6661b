/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"
#include "config/specifier.h"
#include "identity/generation.h"
#include "identity/journal.h"
#include "provisioning/credential.h"
#include "provisioning/progress.h"
#include "tpm/tpm.h"
#include "wallclock/wallclock.h"
#include "x509/csr_attributes.h"

#include <openssl/types.h>

/*
 * One enrolment, from nothing or from where an earlier one stopped, to a new identity generation.
 *
 * The steps of enum tg_enrol_step are taken in order; each is durable in identity/pending before
 * the next begins, so a cut or a refusal resumes: with the same key always, with the certificate
 * that was issued as long as its token lives. The caller holds the helper's lock. One thread;
 * blocks on TPM, network and disk.
 */
struct tg_method;

/* What of the way a person goes, with methods that know no other. */
enum tg_by_hand {
	TG_BY_HAND_NOT,
	TG_BY_HAND_REQUEST, /* the steps up to the request, which is then carried away */
	TG_BY_HAND_ANSWER,  /* those behind it, with what was brought back; they need the request */
};

/* What is asked of a run. A pending run of another order is not gone on with, but for its key. */
struct tg_order {
	enum tg_enrol_kind kind;
	enum tg_enrol_credential credential;
	bool own_client_id; /* CURRENT: the gateway's client id, whose session has ended */
	enum tg_by_hand by_hand;
};

struct tg_enrolment {
	struct tg_order order;
	unsigned base;                  /* RENEW: the generation that is current; else 0 */
	char base_fingerprint[65];      /* its certificate's; else "" */
	char *like_pem;                 /* owned: its chain, when the new names are to be its; else NULL */
	const struct tg_config *config; /* borrowed */
	const char *state_dir;          /* borrowed */
	struct tg_specifiers names;     /* complete: %t and %i are known */
	struct tg_progress *progress;   /* borrowed */
	struct tg_tpm *tpm;             /* owned; NULL once the packaged provider has taken over */
	struct tg_wallclock clock;

	const struct tg_method *method;
	struct tg_credential credential;
	void *session; /* the method's own */
	struct tg_journal journal;
	char *key_pem, *csr_pem, *chain_pem; /* owned, as in identity/pending */
	char *anchors_pem; /* owned: what the certificate must lead to; NULL: nobody can say */
	struct tg_csr_wishes wishes; /* what the authority wants in a request that is to be made */
	EVP_PKEY *key; /* owned, the public half; the other: tg_step_key_signer() */
	bool bound;        /* what is sent has the binding of its connection, which csr_pem has not */
	char *answer; /* owned: BY_HAND_ANSWER: the file that was brought, of answer_len bytes */
	size_t answer_len;
	bool anew;         /* nothing of an earlier run but its key */
	bool started_over; /* what was issued went stale once in this run */
	int64_t latest_s;  /* when the service's own certificate ends: what it issues begins before; 0: unknown */
	int64_t retry_at;  /* when the authority wanted to be asked again, until it is; 0: no matter */
};

/*
 * The time that everything is judged and dated at, in seconds since 1970: the clock, or what is
 * known of the time where the clock is behind it.
 */
int64_t tg_enrolment_now_s(const struct tg_enrolment *e);
/* How far after it a certificate may begin: any time while the clock is not known to be right. */
int64_t tg_enrolment_skew_s(const struct tg_enrolment *e);
/* Clears and frees what it owns, and ends the method's session. */
void tg_enrolment_done(struct tg_enrolment *e);

/*
 * What the order is based on: sets base and its fingerprint. 0, or -ENOENT when there is nothing to renew, or another
 * -errno.
 */
int tg_enrolment_base(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;

/* Whether @j tells of the method and the place that are configured now. Never fails. */
bool tg_enrolment_same_place(const struct tg_enrolment *e, const struct tg_journal *j);

/*
 * Whether there is an identity that makes the order unnecessary: 1 and its manifest when one is
 * whole, of this TPM and not expired; 0 when not (also while such an order is under way); -errno
 * when that could not be found out. For a first enrolment that is current or candidate; for a
 * renewal the candidate, which is on trial and must not be replaced meanwhile.
 */
int tg_enrolment_present(struct tg_enrolment *e, struct tg_manifest *ret,
			 struct tg_fault *reterr) TG_CHECKED;

/*
 * Goes through the steps. 0 and the manifest of the new generation, which is the candidate now; or
 * -errno, and the journal and the progress say at which step, of which class, and why.
 * BY_HAND_REQUEST: 0 and csr_pem, @ret is left alone. BY_HAND_ANSWER: -ENOENT when no request waits
 * that it could be the answer to; nothing is changed then.
 */
int tg_enrolment_run(struct tg_enrolment *e, struct tg_manifest *ret,
		     struct tg_fault *reterr) TG_CHECKED;

/*
 * Something failed with @r before the first step could be tried (no TPM, say). Notes it in the
 * journal and the progress as the first step's failure, so that the agent's status can tell; not in
 * the journal when this is a first enrolment and there is an identity, which needs none. Returns
 * @r.
 */
int tg_enrolment_not_begun(struct tg_enrolment *e, int r, struct tg_fault *fault);
