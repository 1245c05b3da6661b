/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/flight.h"

#include <string.h>

void tg_flight_begin(struct tg_flight *f)
{
	f->n = 0;
	f->passed = false;
	f->moved_us = 0;
}

static bool was_there(const struct tg_flight *f, uint64_t cookie)
{
	size_t n = f->n_last < TG_FLIGHT_MAX ? f->n_last : TG_FLIGHT_MAX;

	for (size_t i = 0; i < n; i++)
		if (f->last[i] == cookie)
			return true;
	return false;
}

void tg_flight_sent(struct tg_flight *f, uint64_t cookie, uint64_t now_us)
{
	if (f->n == TG_FLIGHT_MAX)
		return;
	if (f->n == 0)
		f->moved_us = now_us;
	f->v[f->n].cookie = cookie;
	f->v[f->n].sent_us = now_us;
	f->v[f->n].again = was_there(f, cookie);
	f->n++;
}

void tg_flight_acked(struct tg_flight *f, uint64_t cookie, uint64_t now_us)
{
	size_t i = 0;

	while (i < f->n && f->v[i].cookie != cookie)
		i++;
	if (i == f->n)
		return;
	f->passed = i > 0;
	f->n--;
	memmove(f->v + i, f->v + i + 1, (f->n - i) * sizeof(f->v[0]));
	f->moved_us = now_us;
}

bool tg_flight_is_overdue(const struct tg_flight *f, uint64_t now_us, uint64_t patience_us)
{
	if (f->n == 0)
		return false;
	return now_us - f->moved_us >= patience_us ||
	       (f->passed && now_us - f->v[0].sent_us >= patience_us);
}

bool tg_flight_ended(struct tg_flight *f)
{
	bool again = false;

	for (size_t i = 0; i < f->n; i++) {
		again |= f->v[i].again;
		f->last[f->n_last++ % TG_FLIGHT_MAX] = f->v[i].cookie;
	}
	f->n = 0;
	return again;
}
