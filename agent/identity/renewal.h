/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/identity/attempts.h"
#include "config/config.h"

/*
 * When the next certificate is asked for, and with which credential
 * (DESIGN section 4): from the dates of the certificate, what is known of the
 * time, the policy and the last attempts.
 *
 * Pure: no clock, no I/O. Times of certificates are seconds since 1970 on the
 * believed wall clock, which is a lower bound of the real time while it is in
 * doubt, so that nothing is renewed early or taken for expired by mistake; all
 * else is microseconds on CLOCK_BOOTTIME. A plan holds until its facts change;
 * whoever keeps it decides anew then, and at `look_us` at the latest.
 */
struct tg_renewal_policy {
	bool possible; /* there is a method that makes certificates */
	bool by_hand;  /* it is done by an operator, with tidegate-provision: there is only something to tell */
	bool own_id; /* the service may be the broker, which knows client ids */
	uint32_t renew_at_ppm, jitter_ppm; /* of the certificate's life */
	int64_t max_age_s, probation_s;
	enum tg_on_failure on_expiry, on_refused, on_key_lost;
};
struct tg_renewal_policy tg_renewal_policy(const struct tg_config *cfg);

struct tg_renewal_facts {
	uint64_t now_us;
	int64_t believed_s; /* the wall clock, or its floor while it is behind that */
	int64_t floor_s;    /* what the time is at least, by proof; <= believed_s */
	bool clock_waits;   /* the wall clock may be right: a little later that will be known */

	bool has_current, has_candidate;
	int64_t not_before, not_after, made; /* of the current certificate */
	int64_t candidate_not_after;
	uint64_t trial_us; /* the candidate is there since then, or since the start */
	uint64_t seed;     /* tg_renewal_seed() */

	bool refused;        /* the broker refuses the current certificate for good */
	uint64_t refused_us; /* since then */
	bool key_lost;       /* the TPM does not know the current key */
	bool ordered;        /* by an operator: now, due or not */
	bool by_claim;       /* the order allows the claim, where the key is lost */
	bool requested; /* by hand: a request was made, and its certificate has not come yet */
};

enum tg_renewal_act {
	TG_RENEWAL_REST, /* nothing to do as long as the facts are as they are */
	TG_RENEWAL_WAIT, /* until next_us */
	TG_RENEWAL_RUN,  /* the helper, now */
};

/* Why then; or, where nothing is to be done, why not. */
enum tg_renewal_reason {
	TG_RENEWAL_NO_METHOD,
	TG_RENEWAL_NO_IDENTITY, /* the first enrolment */
	TG_RENEWAL_ON_TRIAL,    /* a candidate must prove itself or fail first */
	TG_RENEWAL_AGE,         /* renew-at of its life */
	TG_RENEWAL_MAX_AGE,
	TG_RENEWAL_CLOCK,           /* due by a clock that nobody has confirmed yet */
	TG_RENEWAL_RETRY,           /* after a failure */
	TG_RENEWAL_SERVICE_REFUSED, /* after a refusal by the enrolment service */
	TG_RENEWAL_ROLLED_BACK,     /* after a certificate that the broker did not take */
	TG_RENEWAL_OWN_ID,          /* the service refuses the rotation client id */
	TG_RENEWAL_EXPIRED,
	TG_RENEWAL_REFUSED, /* by the broker, for good */
	TG_RENEWAL_KEY_LOST,
	TG_RENEWAL_ORDER,
	TG_RENEWAL_PENDING,      /* the service has the request, which somebody has yet to approve */
	TG_RENEWAL_HAND_NONE,    /* by hand: there is no identity yet */
	TG_RENEWAL_HAND_DUE,     /* by hand: renew-at or max-age is reached */
	TG_RENEWAL_HAND_EXPIRED, /* by hand */
	TG_RENEWAL_HAND_REQUEST, /* by hand: a request waits for its certificate */
	TG_RENEWAL_REASON_COUNT_
};

struct tg_renewal_plan {
	enum tg_renewal_act act;
	enum tg_renewal_reason reason;
	uint64_t next_us; /* the next attempt; of REST when an operator should make it; TG_US_FOREVER: none is planned */
	uint64_t look_us; /* decide again then at the latest; never TG_US_FOREVER but for REST */
	bool expired;     /* the current certificate is */
	/* what to run; of WAIT, as it looks now */
	enum tg_enrol_kind kind;
	enum tg_enrol_credential credential;
	bool own_id; /* under the link's client id: the link must have left its session */
};

/* Never fails. */
struct tg_renewal_plan tg_renewal_decide(const struct tg_renewal_policy *p,
					 const struct tg_renewal_facts *f,
					 const struct tg_attempts *a);

/*
 * When the current certificate of @f is due, on the wall clock:
 *
 *	base = max(notBefore, made), life = notAfter - base
 *	base + renew-at of life - U(0, jitter of life), or, where that is earlier,
 *	base + max-age - U(0, jitter of max-age)
 *
 * U is drawn from the seed, so that it is the same after a restart and another on each gateway. `made` counts only
 * where it is not later than the believed time and notAfter. Never younger than a tenth of min(life, max-age), nor on
 * probation. In [base, notAfter); base where there is no life at all. @ret_reason: AGE or MAX_AGE. Never fails.
 */
int64_t tg_renewal_due(const struct tg_renewal_policy *p, const struct tg_renewal_facts *f,
		       enum tg_renewal_reason *ret_reason);

/* Uniform over uint64_t for the gateways of a fleet: from %t and the number of the current generation. */
uint64_t tg_renewal_seed(const char *tpm, unsigned generation);

/* How long a helper may run before it is stopped: shorter where little is left of the certificate. Never fails. */
uint64_t tg_renewal_patience_us(const struct tg_renewal_facts *f);

/* "66 % of its life", "max-age" ... for `tidegate status`; cut to @size. Returns @out. */
const char *tg_renewal_reason_text(enum tg_renewal_reason r, const struct tg_renewal_policy *p,
				   char *out, size_t size);
