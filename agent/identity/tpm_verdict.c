/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/tpm_verdict.h"

#include <errno.h>
#include <stddef.h>

static enum tg_tpm_condition condition_of(const struct tg_tpm_finding *f)
{
	if (f->hung)
		return TG_TPM_HUNG;
	if (f->error == 0 && f->lost)
		return f->same_tpm ? TG_TPM_CLEARED : TG_TPM_REPLACED;
	switch (-f->error) {
	case 0:
		return TG_TPM_OK;
	case ENODEV:
		return TG_TPM_AWAY;
	case EBUSY:
		return TG_TPM_BUSY;
	case ETIMEDOUT:
		return TG_TPM_HUNG;
	case EKEYREJECTED:
		return TG_TPM_LOCKED;
	case ENOSPC:
		return TG_TPM_FULL;
	default:
		return TG_TPM_FAILED;
	}
}

static bool is_lost(enum tg_tpm_condition c)
{
	return c == TG_TPM_CLEARED || c == TG_TPM_REPLACED;
}

/* Confirmed by a second answer of the same kind after a pause, none of another kind between. */
static void weigh(struct tg_tpm_verdict *v, enum tg_tpm_condition now, uint64_t now_us)
{
	if (!is_lost(now) || now != v->condition || !v->lost_since_us) {
		v->lost_since_us = is_lost(now) ? now_us : 0;
		v->key_lost = false;
	} else if (now_us >= v->lost_since_us + TG_TPM_LOST_PAUSE_US) {
		v->key_lost = true;
	}
	v->condition = now;
}

enum tg_tpm_news tg_tpm_verdict_take(struct tg_tpm_verdict *v, const struct tg_tpm_finding *f)
{
	weigh(v, condition_of(f), f->now_us);
	if (is_lost(v->condition)) {
		if (!v->key_lost || v->told == v->condition)
			return TG_TPM_NEWS_NONE;
		v->told = v->condition;
		return v->condition == TG_TPM_CLEARED ? TG_TPM_NEWS_CLEARED : TG_TPM_NEWS_REPLACED;
	}
	if (v->condition == TG_TPM_OK) {
		bool was_told = v->told != TG_TPM_ASKING;

		v->told = TG_TPM_ASKING;
		return was_told ? TG_TPM_NEWS_BACK : TG_TPM_NEWS_NONE;
	}
	/* A fault that changes its face is one fault; that the key is gone outweighs the rest. */
	if (v->told != TG_TPM_ASKING)
		return TG_TPM_NEWS_NONE;
	v->told = v->condition;
	return TG_TPM_NEWS_LOST;
}

const char *tg_tpm_condition_name(enum tg_tpm_condition c)
{
	switch (c) {
	case TG_TPM_ASKING:
		return "asking";
	case TG_TPM_OK:
		return "ok";
	case TG_TPM_AWAY:
		return "away";
	case TG_TPM_BUSY:
		return "busy";
	case TG_TPM_HUNG:
		return "hung";
	case TG_TPM_LOCKED:
		return "locked";
	case TG_TPM_FULL:
		return "full";
	case TG_TPM_FAILED:
		return "failed";
	case TG_TPM_CLEARED:
		return "cleared";
	case TG_TPM_REPLACED:
		return "replaced";
	}
	return "?";
}

const char *tg_tpm_advice(enum tg_tpm_condition c)
{
	switch (c) {
	case TG_TPM_ASKING:
	case TG_TPM_OK:
		return NULL;
	case TG_TPM_AWAY:
		return "check [tpm] tcti, the device node and the group tss; it is tried again by "
		       "itself";
	case TG_TPM_BUSY:
		return "wait: it is tried again by itself; look for another program that keeps the "
		       "TPM at work";
	case TG_TPM_HUNG:
		return "wait: it is tried again by itself; if it stays, cut the gateway's power, as "
		       "a reboot alone may not reach the TPM";
	case TG_TPM_LOCKED:
		return "wait until it unlocks by itself, or run tpm2_dictionarylockout "
		       "--clear-lockout; find out who tries wrong passwords";
	case TG_TPM_FULL:
		return "set [tpm] tcti = device:/dev/tpmrm0, or end the programs that keep keys "
		       "loaded (tpm2_getcap handles-transient)";
	case TG_TPM_FAILED:
		return "see the error; cut the gateway's power if it stays: a TPM that fails its "
		       "self test has to be exchanged";
	case TG_TPM_CLEARED:
		return "find out who cleared the TPM, then run 'tidegate enroll'; [rotation] "
		       "on-key-lost = claim does it by itself";
	case TG_TPM_REPLACED:
		return "put the old TPM back, or accept this one with 'tidegate enroll'; [rotation] "
		       "on-key-lost = claim does it by itself";
	}
	return NULL;
}
