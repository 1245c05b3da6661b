/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrol/est_codec.h"
#include "provisioning/enrol/method.h"
#include "provisioning/net/http.h"
#include "x509/certs.h"

/*
 * Enrolment over Secure Transport as a method: what its parts share.
 *
 * est.c           the method: sessions and what they begin with
 * est_credential.c  what is shown to the server
 * est_trust.c     whom we trust, from the operator's files to what the server delivers
 * est_request.c   the operations, one HTTPS request each
 * est_codec.c     URLs, status codes, waiting times
 *
 * One thread; blocks on the network within tg_http's time-outs.
 */
struct tg_est {
	/* What is shown; NULL: nothing of the kind. Owned. */
	char *chain_pem;
	EVP_PKEY *key; /* also NULL with a chain_pem: let go for the time being */
	char *password; /* cleared at the end */
	char username[256]; /* the configuration's, with specifiers replaced */

	char *base_pem;       /* owned: anchors that the connection is verified by */
	struct tg_http *http; /* owned; NULL: to be connected yet */
	struct tg_certs
		*pool; /* owned: authorities on the way to an anchor; NULL: none delivered */
};

/* --- est_credential.c --- */

/* Reads what @c shows to the server. 0, or -errno with the name of the file that is to blame. */
int tg_est_credential_load(struct tg_enrolment *e, const struct tg_credential *c, struct tg_est *s,
			   struct tg_fault *reterr) TG_CHECKED;

/*
 * Lets a key go that may take a place in the TPM, which is needed for the request's own key, and with it
 * the connection that was made with it; and loads it again where it was let go.
 */
void tg_est_credential_rest(const struct tg_enrolment *e, struct tg_est *s);
int tg_est_credential_wake(struct tg_enrolment *e, struct tg_est *s,
			   struct tg_fault *reterr) TG_CHECKED;

/* --- est_trust.c --- */

/* As `trust` of struct tg_method. */
int tg_est_trust_mark(const struct tg_enrolment *e, char out[static TG_TRUST_HEX],
		      struct tg_fault *reterr) TG_CHECKED;
/*
 * The operator's file of trust anchors. 0 and an owned set of at most TG_ANCHORS_MAX, or -errno with
 * the name of the file and what to do; -EINVAL for whatever is in it that should not be.
 */
int tg_est_ca_read(const char *path, struct tg_certs **ret, struct tg_fault *reterr) TG_CHECKED;
/*
 * Connects, by what the operator and earlier runs say is to be trusted, and asks what is to be from
 * now on: fills http, base_pem and pool of @s, and e->anchors_pem.
 */
int tg_est_trust_find(struct tg_enrolment *e, struct tg_est *s, struct tg_fault *reterr) TG_CHECKED;

/* --- est_request.c --- */

/* A handle for the server as @s has it, verified by base_pem, in place of s->http. */
int tg_est_connect(struct tg_enrolment *e, struct tg_est *s, bool tls12_only,
		   struct tg_fault *reterr) TG_CHECKED;
/*
 * One request over @h and its answer, whose status means that it was done, or was left out
 * (tg_est_is_absent); else -errno with the operation, the server's words and what to do, noted for
 * the journal.
 */
int tg_est_call(struct tg_enrolment *e, struct tg_http *h, enum tg_est_op op,
		struct tg_http_request *q, struct tg_http_answer *ret,
		struct tg_fault *reterr) TG_CHECKED;
/* The certificates of an answer to @op. */
int tg_est_certificates(enum tg_est_op op, const struct tg_http_answer *a, struct tg_certs **ret,
			struct tg_fault *reterr) TG_CHECKED;
/* As `prepare` and `issue` of struct tg_method. */
int tg_est_prepare(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;
int tg_est_issue(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;
