/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

#include <assert.h>

uint64_t tg_backoff_next(struct tg_backoff *b, uint64_t rnd)
{
	uint64_t ceiling = b->cap_us;

	assert(b->base_us > 0 && b->base_us <= b->cap_us);

	/* Compared before it is shifted: base << attempt would wrap after a long outage. */
	if (b->attempt < 63 && b->base_us <= b->cap_us >> b->attempt)
		ceiling = b->base_us << b->attempt;
	if (b->attempt < 63)
		b->attempt++;

	return ceiling == UINT64_MAX ? rnd : rnd % (ceiling + 1);
}

void tg_backoff_reset(struct tg_backoff *b)
{
	b->attempt = 0;
}
