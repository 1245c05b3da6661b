/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/schedule.h"

#include "base/clock.h"

#include <assert.h>

void tg_schedule_init(struct tg_schedule *s, uint64_t now_us, uint64_t every_us,
		      uint64_t backoff_us, unsigned i, unsigned n)
{
	uint64_t spread = every_us < TG_SCHEDULE_SPREAD_US ? every_us : TG_SCHEDULE_SPREAD_US;

	assert(every_us > 0 && i < n);

	*s = (struct tg_schedule){
		.start_us = tg_us_add(now_us, spread * i / n),
		.every_us = every_us,
		.backoff_us = backoff_us > every_us ? backoff_us : every_us,
	};
	s->next_us = s->start_us;
}

/* The first instant of the grid that is not before @t_us. */
static uint64_t on_grid(const struct tg_schedule *s, uint64_t t_us)
{
	uint64_t late;

	if (t_us <= s->start_us)
		return s->start_us;
	late = (t_us - s->start_us) % s->every_us;
	return late == 0 ? t_us : tg_us_add(t_us, s->every_us - late);
}

static uint64_t pause_us(const struct tg_schedule *s)
{
	uint64_t pause = s->every_us;

	for (unsigned i = 1; i < s->failures && pause < s->backoff_us; i++)
		pause = tg_us_add(pause, pause);
	return pause < s->backoff_us ? pause : s->backoff_us;
}

void tg_schedule_done(struct tg_schedule *s, uint64_t now_us, bool answered)
{
	uint64_t due = s->next_us, passed;

	/* The instant after the one that was served, or the first that is still to come. */
	s->next_us = on_grid(s, now_us > due ? now_us : tg_us_add(due, 1));
	if (answered) {
		s->failures = 0;
		passed = (s->next_us - due) / s->every_us;
		s->skipped += passed > 0 ? passed - 1 : 0;
		return;
	}
	if (s->failures < 64)
		s->failures++;
	due = on_grid(s, tg_us_add(due, pause_us(s)));
	if (due > s->next_us)
		s->next_us = due;
}

void tg_schedule_done_extra(struct tg_schedule *s, uint64_t now_us, bool answered)
{
	if (now_us >= s->next_us)
		return tg_schedule_done(s, now_us, answered);
	if (answered && s->failures > 0) {
		s->failures = 0;
		s->next_us = on_grid(s, tg_us_add(now_us, 1));
	}
}

void tg_schedule_wake(struct tg_schedule *s, uint64_t now_us)
{
	if (s->failures == 0 || s->next_us <= now_us)
		return;
	s->next_us = now_us;
}
