/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/claim.h"

#include "base/clock.h"
#include "identity/claim_file.h"

#include <tidegate/log.h>

#include <string.h>

#define LOOK_US (30 * TG_US_PER_S)

/*
 * The configuration is refused where a claim that is wanted again is to be forgotten, but for a key in the TPM, which cannot leave
 * this machine: there is nothing to fear from that one, and it stays.
 */
static bool wanted_again(const struct tg_config *cfg)
{
	return cfg->rotation.on_expiry == TG_ON_FAILURE_CLAIM ||
	       cfg->rotation.on_refused == TG_ON_FAILURE_CLAIM ||
	       cfg->rotation.on_key_lost == TG_ON_FAILURE_CLAIM;
}

/* Returns whether @path is gone now. */
static bool forget(const char *path, struct tg_fault *reterr)
{
	int r = tg_claim_file_remove(path, reterr);

	if (r == TG_CLAIM_REMOVED)
		tg_log(LOG_NOTICE, "claim", "removed %s: the gateway has its own certificate",
		       path);
	else if (r == TG_CLAIM_UNLINKED)
		tg_log(LOG_WARNING, "claim",
		       "removed %s, which was a link: what it named must be removed by hand", path);
	return r >= 0;
}

static void forget_both(struct tg_claim *c, const struct tg_config *cfg)
{
	struct tg_fault why = { .text = "" };
	bool was_told = c->state == TG_CLAIM_STILL;
	/* The key first: without it the certificate is of no use to anybody. */
	bool key = forget(cfg->enrolment.aws.claim_key, &why);
	bool certificate = forget(cfg->enrolment.aws.claim_certificate, &why);

	if (key && certificate) {
		c->state = TG_CLAIM_FORGOTTEN;
		return;
	}
	c->state = TG_CLAIM_STILL;
	(void) snprintf(c->error, sizeof(c->error), "%.*s; 'tidegate forget-claim' as root does it",
			TG_FAULT_MAX - 64, why.text);
	if (!was_told)
		tg_log(LOG_WARNING, "claim", "the claim is still present: %s", c->error);
}

bool tg_claim_is_proved(const struct tg_claim_facts *f)
{
	return f->has_current && f->good && !f->expired && !f->key_lost;
}

void tg_claim_tend(struct tg_claim *c, const struct tg_config *cfg, bool proved, uint64_t now_us)
{
	const char *certificate = cfg->enrolment.aws.claim_certificate;
	const char *key = cfg->enrolment.aws.claim_key;

	if (now_us < c->next_us)
		return;
	c->next_us = tg_us_add(now_us, LOOK_US);
	if (!*certificate && !*key)
		c->state = TG_CLAIM_NONE;
	else if (!tg_claim_file_there(key) && !tg_claim_file_there(certificate))
		c->state = TG_CLAIM_FORGOTTEN;
	else if (!proved)
		c->state = TG_CLAIM_NEEDED;
	else if (!cfg->enrolment.aws.forget_claim || wanted_again(cfg))
		c->state = TG_CLAIM_KEPT;
	else
		forget_both(c, cfg);
	if (c->state != TG_CLAIM_STILL)
		c->error[0] = '\0';
}

const char *tg_claim_state_name(enum tg_claim_state s)
{
	switch (s) {
	case TG_CLAIM_NONE:
		return "none";
	case TG_CLAIM_NEEDED:
		return "needed";
	case TG_CLAIM_KEPT:
		return "kept";
	case TG_CLAIM_FORGOTTEN:
		return "forgotten";
	case TG_CLAIM_STILL:
		return "still present";
	}
	return "?";
}
