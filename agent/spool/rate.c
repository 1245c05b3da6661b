/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/rate.h"

#include "base/clock.h"

#define TOKEN      UINT64_C(1000000)           /* one message */
#define LIMIT_MAX  UINT64_C(1000000)           /* beyond it there is no limit worth the name */
#define ELAPSE_MAX (UINT64_C(2) * TG_US_PER_S) /* fills every bucket; keeps the product small */

/* burst + refill = limit + 1: a half-open second then sees at most @limit. */
static uint64_t burst(const struct tg_rate *r)
{
	return 1 + r->limit / 20;
}

static uint64_t refill(const struct tg_rate *r)
{
	return r->limit + 1 - burst(r);
}

void tg_rate_set(struct tg_rate *r, uint64_t limit, uint64_t now_us)
{
	r->limit = limit > LIMIT_MAX ? 0 : limit;
	r->last_us = now_us;
	if (r->tokens > burst(r) * TOKEN)
		r->tokens = burst(r) * TOKEN;
}

uint64_t tg_rate_next_us(struct tg_rate *r, uint64_t now_us)
{
	uint64_t elapsed = now_us > r->last_us ? now_us - r->last_us : 0;

	if (r->limit == 0)
		return now_us;

	r->tokens += (elapsed < ELAPSE_MAX ? elapsed : ELAPSE_MAX) * refill(r);
	if (r->tokens > burst(r) * TOKEN)
		r->tokens = burst(r) * TOKEN;
	r->last_us = now_us;

	if (r->tokens >= TOKEN)
		return now_us;
	return now_us + (TOKEN - r->tokens + refill(r) - 1) / refill(r);
}

void tg_rate_spend(struct tg_rate *r)
{
	if (r->limit != 0)
		r->tokens -= r->tokens < TOKEN ? r->tokens : TOKEN;
}
