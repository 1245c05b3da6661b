/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_internal.h"

static void tell_clock(void *user, struct tg_keeper_clock *ret)
{
	struct tg_agent *a = user;
	struct tg_time_state s;

	tg_timekeeping_state(a->time, &s);
	/* That state is up to a second old. */
	ret->floor_s = tg_timekeeping_floor(a->time);
	ret->believed_s = tg_timekeeping_believed_s(a->time);
	ret->synchronised = s.trust == TG_CLOCK_SYNCHRONISED;
	ret->waits = s.waiting;
}

static int suspend_link(void *user, bool away)
{
	struct tg_agent *a = user;

	return tg_link_suspend(a->link, away);
}

static void on_identity(void *user)
{
	struct tg_agent *a = user;

	tg_agent_on_identity(a);
}

int tg_agent_start_keeper(struct tg_agent *a)
{
	const struct tg_keeper_options o = {
		.helper = a->o->helper,
		.config_path = a->o->config_path,
		.state_dir = a->o->state_dir,
		.changed = on_identity,
		.clock = tell_clock,
		.suspend = suspend_link,
		.user = a,
	};

	return tg_keeper_new(a->loop, &o, &a->keeper);
}

void tg_agent_tell_keeper(struct tg_agent *a)
{
	const struct tg_link_report *r = &a->link_report;
	const struct tg_keeper_link l = {
		.refused = r->standing == TG_LINK_REFUSED,
		.on_probation = r->on_probation,
		.suspended = r->suspended,
		.promotions = r->promotions,
		.roll_backs = r->roll_backs,
		.roll_back_reason = r->roll_back_reason,
	};

	tg_keeper_link(a->keeper, &l);
}
