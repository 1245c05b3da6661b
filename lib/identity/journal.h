/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>
#include <tidegate/identity.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * The journal of an enrolment under way: identity/pending/journal, one JSON
 * object replaced durably at each step. Written by the helper, read by the
 * agent for `tidegate status`; the files beside it (key.pem, request.pem,
 * chain.pem) are the step's results.
 */
enum tg_enrol_step {
	TG_STEP_NONE,
	TG_STEP_KEY,        /* key.pem is there */
	TG_STEP_CSR,        /* request.pem is there */
	TG_STEP_REQUEST,    /* the request is about to go out, or is out: the answer may be lost */
	TG_STEP_ISSUED,     /* chain.pem and the ownership token are there */
	TG_STEP_REGISTERED, /* the service has accepted the registration */
	TG_STEP_VERIFIED,
	TG_STEP_WRITTEN,
	TG_STEP_COUNT_
};

/* How the last attempt failed, which decides when the next is made. */
enum tg_enrol_class {
	TG_ENROL_OK,
	TG_ENROL_RETRY,   /* network, throttling, 5xx, time-out: retried with back-off */
	TG_ENROL_REFUSED, /* the service said no (400, 401, 403, 404, hook): an operator must act;
			     retried slowly */
	TG_ENROL_BAD_ANSWER, /* what came back did not verify */
	TG_ENROL_LOCAL,      /* TPM, disk, files, configuration */
	TG_ENROL_ID_REFUSED, /* the service does not take the rotation client id: leave the session and
				run again under its id */
	TG_ENROL_PENDING, /* the service has the request and somebody has yet to approve it: no
			     failure, the same request is asked for again at retry_at */
	TG_ENROL_CLASS_COUNT_
};

/* What an enrolment is for, and what it shows to the service. */
enum tg_enrol_kind {
	TG_ORDER_ENROL, /* the first identity, or one instead of an identity that is lost */
	TG_ORDER_RENEW, /* a new generation while there is a current one */
	TG_ORDER_COUNT_
};
enum tg_enrol_credential {
	TG_CREDENTIAL_CLAIM,   /* the method's bootstrap credential */
	TG_CREDENTIAL_CURRENT, /* key and certificate of the current generation */
	TG_CREDENTIAL_COUNT_
};

struct tg_journal {
	enum tg_enrol_step step; /* the last one that is done */
	enum tg_enrol_kind kind;
	enum tg_enrol_credential credential;
	unsigned base; /* RENEW: number of the generation that was current; else 0 */
	char method[16];
	char endpoint[256];
	int64_t started, updated; /* wall clock, seconds */
	int64_t issued;           /* when ISSUED was reached: the token lives one hour */
	unsigned attempts;
	bool pending; /* somebody has yet to approve the request; what fails meanwhile changes
			 nothing about that */
	char token[4096]; /* certificateOwnershipToken; secret: never logged, never in status */
	char certificate_id[65];
	char thing[129];
	/* of the last failure; cleared by success */
	enum tg_enrol_class error_class;
	enum tg_enrol_step error_step; /* the step that was being taken */
	int error_status;              /* the service's statusCode, 0 for none */
	int64_t retry_at; /* when the service asked to be asked again, on the believed wall clock,
			     seconds since 1970; 0: it did not say */
	int64_t retry_after_s; /* how far ahead that was when it said so: holds when the clock is
				  set afterwards */
	char error_code[64];           /* verbatim, made printable */
	char error_text[TG_FAULT_MAX];
};

/* "key", "csr" ... as in DESIGN section 4. Never NULL. */
const char *tg_enrol_step_name(enum tg_enrol_step step);
const char *tg_enrol_class_name(enum tg_enrol_class c);
const char *tg_enrol_kind_name(enum tg_enrol_kind k);             /* "enrol", "renew" */
const char *tg_enrol_credential_name(enum tg_enrol_credential c); /* "claim", "current" */

/* 0, -ENOENT when no enrolment is under way, -EBADMSG when the file is damaged (the caller starts
 * anew). */
int tg_journal_read(const char *state_dir, struct tg_journal *ret,
		    struct tg_fault *reterr) TG_CHECKED;
/* Makes identity/pending, durably, for the first of the files in it. */
int tg_journal_dir(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
/* Durable when it returns 0. Sets @j->updated. */
int tg_journal_write(const char *state_dir, struct tg_journal *j,
		     struct tg_fault *reterr) TG_CHECKED;
/* Removes identity/pending and what is in it. 0 also when there is none. */
int tg_journal_clear(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
/*
 * Start-up, behind tg_generation_recover(): removes identity/pending when its certificate has
 * become a generation already, which a power cut between the two leaves, also when that one has
 * ended meanwhile. 0 also when there is nothing to do, -errno when something could not be looked at.
 */
int tg_journal_settle(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
