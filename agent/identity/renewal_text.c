/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity/renewal.h"

#include <stdio.h>

/* The plan's reasons, for people. */
#define PPM_PER_CENT 10000.0
#define BY_HAND      "'tidegate-provision --csr FILE'"

const char *tg_renewal_reason_text(enum tg_renewal_reason r, const struct tg_renewal_policy *p,
				   char *out, size_t size)
{
	static const char *const texts[TG_RENEWAL_REASON_COUNT_] = {
		[TG_RENEWAL_NO_METHOD] = "no enrolment method",
		[TG_RENEWAL_NO_IDENTITY] = "there is no identity yet",
		[TG_RENEWAL_ON_TRIAL] = "the new certificate is on trial",
		[TG_RENEWAL_MAX_AGE] = "max-age",
		[TG_RENEWAL_CLOCK] = "waiting for the clock",
		[TG_RENEWAL_RETRY] = "retry after failure",
		[TG_RENEWAL_SERVICE_REFUSED] = "refused by the enrolment service",
		[TG_RENEWAL_ROLLED_BACK] = "the broker did not take the last new certificate",
		[TG_RENEWAL_OWN_ID] = "the service refuses the rotation client id",
		[TG_RENEWAL_EXPIRED] = "expired",
		[TG_RENEWAL_REFUSED] = "refused by the broker",
		[TG_RENEWAL_KEY_LOST] = "the TPM does not know its key",
		[TG_RENEWAL_ORDER] = "ordered",
		[TG_RENEWAL_PENDING] = "waiting for the authority's approval",
		[TG_RENEWAL_HAND_NONE] = "no identity yet: make a request with " BY_HAND,
		[TG_RENEWAL_HAND_DUE] = "renewal is due: make a request with " BY_HAND,
		[TG_RENEWAL_HAND_EXPIRED] = "expired: make a request with " BY_HAND,
		[TG_RENEWAL_HAND_REQUEST] = "a request waits for its certificate: "
					    "'tidegate-provision --install CHAIN'",
	};

	if (r == TG_RENEWAL_AGE)
		(void) snprintf(out, size, "%g %% of its life", p->renew_at_ppm / PPM_PER_CENT);
	else
		(void) snprintf(out, size, "%s", texts[r]);
	return out;
}
