/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/bus_watch.h"

#include "base/clock.h"

#include <tidegate/error.h>

#include <errno.h>
#include <string.h>

bool tg_bus_watch_result(struct tg_bus_watch *w, int r, const char *reason, uint64_t now_us)
{
	enum tg_bus_condition is = r == -ENOTCONN ? TG_BUS_DOWN : TG_BUS_UP;
	bool news = is != w->condition;

	if (news)
		w->since_us = now_us;
	w->condition = is;
	if (is == TG_BUS_UP) {
		w->error[0] = '\0';
		return news;
	}
	(void) tg_printable(w->error, sizeof(w->error), reason, strlen(reason));
	w->next_us = tg_us_add(now_us, TG_BUS_RETRY_US);
	return news;
}

bool tg_bus_watch_may_try(const struct tg_bus_watch *w, uint64_t now_us)
{
	return w->condition != TG_BUS_DOWN || now_us >= w->next_us;
}

const char *tg_bus_condition_name(enum tg_bus_condition c)
{
	switch (c) {
	case TG_BUS_UNKNOWN:
		return "unknown";
	case TG_BUS_UP:
		return "up";
	case TG_BUS_DOWN:
		return "down";
	case TG_BUS_OFF:
		return "off";
	}
	return "?";
}
