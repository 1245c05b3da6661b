/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tpm/conn.h"
#include "tpm/tpm.h"

/*
 * A command for the TPM thread. Commands embed this as their first member,
 * fill it and what goes in, and call tg_tpm_job_run().
 *
 * The job lives as long as its caller or the thread needs it: a caller that
 * gives up after the time-out leaves it to the thread, which may be stuck with
 * it. So a job owns everything that run() touches, and the caller reads results
 * only after a return of 0 or of run()'s own failure.
 */
struct tg_tpm_job {
	/* TPM thread. Returns 0 or -errno with @reterr. May run twice: after a lost context once more in a new one. */
	int (*run)(struct tg_tpm_conn *c, struct tg_tpm_job *job, struct tg_fault *reterr);
	/* Frees the job; either thread. */
	void (*free)(struct tg_tpm_job *job);

	/* The rest belongs to tpm.c. */
	struct tg_tpm_job *next;
	enum { TG_TPM_JOB_QUEUED, TG_TPM_JOB_RUNNING, TG_TPM_JOB_DONE } state;
	unsigned refs;
	uint64_t deadline_us;
	int result;
	struct tg_fault fault;
};

/* A new job of @size bytes, zeroed, with one reference; NULL without memory. */
void *tg_tpm_job_new(size_t size, int (*run)(struct tg_tpm_conn *, struct tg_tpm_job *, struct tg_fault *),
		     void (*free)(struct tg_tpm_job *));
/* Runs @job on the TPM thread and waits for it, at most for the time-out of @t. Returns what run() returned, -ETIMEDOUT or -EBUSY. */
int tg_tpm_job_run(struct tg_tpm *t, struct tg_tpm_job *job, struct tg_fault *reterr) TG_CHECKED;
/* Gives up the caller's reference. */
void tg_tpm_job_unref(struct tg_tpm *t, struct tg_tpm_job *job);

/* For commands: the owner authorisation, NULL when empty. Never changes after tg_tpm_new(). */
const TPM2B_AUTH *tg_tpm_owner_auth(const struct tg_tpm *t);
