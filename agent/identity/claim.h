/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

#include <stdint.h>

/*
 * forget-claim = yes: the claim's files go once the gateway has proved a
 * certificate of its own, as far as the agent may remove them.
 *
 * Lives on the loop. Removes at most two small files, and does not wait until
 * that is durable: after a power cut they may be there again, and go again.
 */
enum tg_claim_state {
	TG_CLAIM_NONE,      /* the configuration names none */
	TG_CLAIM_NEEDED,    /* no certificate has been proved yet, or none is good any more */
	TG_CLAIM_KEPT,      /* it may stay, or is in the TPM and wanted again */
	TG_CLAIM_FORGOTTEN, /* not there (any more) */
	TG_CLAIM_STILL,     /* it should have gone and is still there: see error */
};

struct tg_claim {
	enum tg_claim_state state;
	char error[TG_FAULT_MAX]; /* "" unless STILL */
	uint64_t next_us;         /* CLOCK_BOOTTIME of the next look */
};
#define TG_CLAIM_NULL { 0 }

/* What tells whether the gateway can do without its claim. */
struct tg_claim_facts {
	bool has_current; /* a certificate of its own */
	bool good;        /* the broker has taken it since the start */
	bool expired, key_lost;
};
/* Whether it can. An identity that has ended, or may have, needs a claim that somebody has just put there. Pure. */
bool tg_claim_is_proved(const struct tg_claim_facts *f);
/*
 * Looks, at most every half minute, what has become of the claim's files, and removes them where that is due. @proved:
 * tg_claim_is_proved(). Logs what it has removed, and once what it could not. Clear next_us after a change to be heard at once.
 */
void tg_claim_tend(struct tg_claim *c, const struct tg_config *cfg, bool proved, uint64_t now_us);
/* "none", "needed", "kept", "forgotten", "still present". Never NULL. */
const char *tg_claim_state_name(enum tg_claim_state s);
