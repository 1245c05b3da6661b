/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/identity/tpm_verdict.h"
#include "tpm/tpm.h"

#include <tidegate/error.h>

/*
 * Asks the TPM from time to time whether it is still there, still the same,
 * and still has our key: so that `tidegate status` knows before the next
 * handshake needs it. A thread of its own, as each question can take as long
 * as the TPM's time-out.
 *
 * Also finds %t, the TPM's identity: from its file in the state directory at
 * once, from the TPM when it answers.
 *
 * A key that the TPM refuses is judged (tg_tpm_judge_key()): `key_lost` says that a TPM which
 * answered well has said twice that it will never load it, so that the configuration may decide
 * to enrol anew. A storage root key that somebody took from its handle is put back.
 */
struct tg_tpm_watch;

struct tg_tpm_report {
	enum tg_tpm_condition condition;
	bool key_lost;		 /* CLEARED or REPLACED, confirmed: never by silence or by a fault */
	int error;               /* 0, or -errno of the last question */
	char text[TG_FAULT_MAX]; /* "" when all is well */
	bool has_key, key_ok;    /* of the current identity, of the candidate without one */
	char id[17];             /* %t; "" while unknown */
	struct tg_tpm_info info; /* of the last good answer */
};
/* Called on the watch's thread after each round; must only post. */
typedef void (*tg_tpm_report_fn)(void *user, const struct tg_tpm_report *report);

/* @tpm and @state_dir outlive the watch. Returns 0 or -errno. */
int tg_tpm_watch_new(struct tg_tpm *tpm, const char *state_dir, tg_tpm_report_fn report, void *user,
		     struct tg_tpm_watch **ret, struct tg_fault *reterr) TG_CHECKED;
/* A round now: the identity has changed, or somebody wants to know. */
void tg_tpm_watch_poke(struct tg_tpm_watch *w);
/* Asks the thread to end and waits. Returns 0, or -ETIMEDOUT when a question is still with the TPM. */
int tg_tpm_watch_stop(struct tg_tpm_watch *w, uint64_t timeout_us) TG_CHECKED;
/* Waits for a question under way (up to the TPM's time-out). Accepts NULL. */
struct tg_tpm_watch *tg_tpm_watch_free(struct tg_tpm_watch *w);
