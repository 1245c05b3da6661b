/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What the answers of the TPM mean for the gateway, and what of it is news.
 *
 * Pure: no clock, no I/O. One finding after the other goes in, in the order in
 * which they were made; times are microseconds on CLOCK_BOOTTIME.
 *
 * The one decision that costs an identity is made here: a key counts as lost for
 * good only after the TPM has said so itself, and again after a pause, with nothing
 * else in between. Silence, a broken transport, a busy, full or locked TPM are
 * faults that pass, however long they last.
 */
enum tg_tpm_condition {
	TG_TPM_ASKING, /* not known yet */
	TG_TPM_OK,
	TG_TPM_AWAY,     /* not there, or its transport is broken */
	TG_TPM_BUSY,     /* asks to be asked again, for longer than the time-out */
	TG_TPM_HUNG,     /* took a command and does not answer */
	TG_TPM_LOCKED,   /* by its dictionary-attack logic */
	TG_TPM_FULL,     /* no slot for our key: other programs hold them */
	TG_TPM_FAILED,   /* anything else */
	TG_TPM_CLEARED,  /* the same TPM, and it does not know our key any more */
	TG_TPM_REPLACED, /* another TPM */
};
#define TG_TPM_CONDITIONS (TG_TPM_REPLACED + 1)

/* Between the two answers that make a key lost for good. */
#define TG_TPM_LOST_PAUSE_US (UINT64_C(5) * 1000000)

struct tg_tpm_finding {
	int error;     /* 0, or -errno of lib/tpm */
	bool hung;     /* nothing is answered until the TPM wakes up */
	bool lost;     /* with error 0: it answered that the key is lost for good */
	bool same_tpm; /* its identity is that of the TPM which made the key */
	uint64_t now_us;
};

struct tg_tpm_verdict {
	enum tg_tpm_condition condition;
	bool key_lost;              /* for good: what [rotation] on-key-lost is about */
	uint64_t lost_since_us;     /* of the first of the answers in a row; 0: none */
	enum tg_tpm_condition told; /* last one that was news; ASKING: none yet */
};

enum tg_tpm_news {
	TG_TPM_NEWS_NONE,
	TG_TPM_NEWS_LOST,
	TG_TPM_NEWS_BACK,
	TG_TPM_NEWS_CLEARED,
	TG_TPM_NEWS_REPLACED
};

/*
 * Takes a finding in (@v zeroed before the first) and returns what is to be told of it: once for
 * each fault. Never fails.
 */
enum tg_tpm_news tg_tpm_verdict_take(struct tg_tpm_verdict *v, const struct tg_tpm_finding *f);

/* "asking", "ok", "away" ... Never NULL. */
const char *tg_tpm_condition_name(enum tg_tpm_condition c);
/* What the operator can do, in a few words; NULL when there is nothing to do. */
const char *tg_tpm_advice(enum tg_tpm_condition c);
