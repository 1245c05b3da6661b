/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/spool_news.h"

#include "base/clock.h"

static bool is_due(uint64_t last_us, uint64_t gap_us, uint64_t now_us)
{
	return last_us == 0 || now_us - last_us >= gap_us;
}

static uint64_t age_s(uint64_t since_us, uint64_t now_us)
{
	return since_us && since_us < now_us ? (now_us - since_us) / TG_US_PER_S : 0;
}

/* What was set aside before this start was told then; the file may be there only later. */
static void start(struct tg_spool_news *n, const struct tg_spool_state *s)
{
	if (n->started)
		return;
	n->started = s->disk_bytes > 0;
	n->set_aside_told = s->set_aside;
}

static void watch_drops(struct tg_spool_news *n, const struct tg_spool_state *s, uint64_t now_us)
{
	if (s->dropped_told > n->dropped_told)
		n->dropped_told = s->dropped_told;
	/* A commit that failed may have been counted, and is not any more. */
	if (s->dropped <= n->dropped)
		return;
	if (n->dropped <= n->dropped_told)
		n->first_us = now_us;
	n->dropped = s->dropped;
	n->last_us = now_us;
}

static bool tells_drops(const struct tg_spool_news *n, bool online, uint64_t now_us)
{
	if (!online || n->dropped <= n->dropped_told || !is_due(n->dropped_us, TG_SPOOL_NEWS_GAP_US, now_us))
		return false;
	return now_us - n->last_us >= TG_SPOOL_NEWS_QUIET_US || now_us - n->first_us >= TG_SPOOL_NEWS_LONG_US;
}

static bool tells_failure(const struct tg_spool_news *n, const struct tg_spool_state *s, uint64_t now_us)
{
	return s->error && s->error_since_us != n->failed_told &&
	       now_us - s->error_since_us >= TG_SPOOL_NEWS_FAIL_US &&
	       is_due(n->failed_us, TG_SPOOL_NEWS_AGAIN_US, now_us);
}

bool tg_spool_news_next(struct tg_spool_news *n, const struct tg_spool_state *s, bool online, uint64_t now_us,
			struct tg_cloud_event *ret)
{
	start(n, s);
	watch_drops(n, s, now_us);
	if (s->repairs > n->repairs_told)
		*ret = (struct tg_cloud_event){
			.news = TG_CLOUD_SPOOL_DAMAGED, .rescued = s->rescued, .lost = s->lost, .file = s->aside
		};
	else if (tells_failure(n, s, now_us))
		*ret = (struct tg_cloud_event){ .news = TG_CLOUD_SPOOL_FAILED,
						.since_s = age_s(s->error_since_us, now_us),
						.reason = s->error_text };
	else if (s->refused_total > n->refused_told)
		*ret = (struct tg_cloud_event){
			.news = TG_CLOUD_DEVICE_REFUSED, .device = s->refused_device, .count = s->refused_devices
		};
	else if (s->set_aside > n->set_aside_told && is_due(n->set_aside_us, TG_SPOOL_NEWS_GAP_US, now_us))
		*ret = (struct tg_cloud_event){ .news = TG_CLOUD_PACK_SET_ASIDE,
						.packs = s->set_aside - n->set_aside_told,
						.total = s->set_aside,
						.device = s->aside_device,
						.seq = s->aside_seq };
	else if (tells_drops(n, online, now_us))
		*ret = (struct tg_cloud_event){ .news = TG_CLOUD_READINGS_DROPPED,
						.packs = n->dropped - n->dropped_told,
						.total = n->dropped,
						.since_s = age_s(n->first_us, now_us) };
	else
		return false;
	return true;
}

void tg_spool_news_told(struct tg_spool_news *n, const struct tg_cloud_event *e, const struct tg_spool_state *s,
			uint64_t now_us)
{
	switch (e->news) {
	case TG_CLOUD_SPOOL_DAMAGED:
		n->repairs_told = s->repairs;
		return;
	case TG_CLOUD_SPOOL_FAILED:
		n->failed_told = s->error_since_us;
		n->failed_us = now_us;
		return;
	case TG_CLOUD_PACK_SET_ASIDE:
		n->set_aside_told = s->set_aside;
		n->set_aside_us = now_us;
		return;
	case TG_CLOUD_DEVICE_REFUSED:
		n->refused_told = s->refused_total;
		return;
	case TG_CLOUD_READINGS_DROPPED:
		n->dropped_told = e->total;
		n->dropped_us = now_us;
		return;
	case TG_CLOUD_CLIENT_ID_TAKEN:
	case TG_CLOUD_READINGS_REFUSED:
		return;
	}
}
