/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/mqtt/cloud_event.h"
#include "agent/spool/spool.h"

#include <stdbool.h>

/*
 * What of the spool's troubles the cloud is told, and when: one event for a
 * burst of drops, not one a pack, and none before it can be sent, so that an
 * outage of weeks does not push other events out. What was dropped and not told
 * yet is known from the spool's file, also after a restart.
 *
 * Pure: no clock, no I/O, no allocation. Times are CLOCK_BOOTTIME in
 * microseconds. Nothing here fails.
 */
#define TG_SPOOL_NEWS_QUIET_US (UINT64_C(10) * 1000 * 1000)   /* without another drop: the burst is over */
#define TG_SPOOL_NEWS_LONG_US  (UINT64_C(60) * 1000 * 1000)   /* a burst that does not end is told then */
#define TG_SPOOL_NEWS_GAP_US   (UINT64_C(600) * 1000 * 1000)  /* between two events of one kind */
#define TG_SPOOL_NEWS_FAIL_US  (UINT64_C(10) * 1000 * 1000)   /* a failure that is over sooner is not told */
#define TG_SPOOL_NEWS_AGAIN_US (UINT64_C(3600) * 1000 * 1000) /* between two failures that are */

struct tg_spool_news {
	bool started; /* the file has been seen */
	/* of the state before */
	uint64_t dropped;
	/* what has been told */
	uint64_t dropped_told, set_aside_told, refused_told, repairs_told, failed_told; /* the last one: since when */
	uint64_t first_us, last_us;			  /* of the drops that are not told */
	uint64_t dropped_us, set_aside_us, failed_us; /* of the last events; 0: there was none */
};

/*
 * Takes in what the spool has reported. Returns whether there is something to tell now, and what: @ret but for gateway and
 * time, with text that belongs to @s. Tells the same again until tg_spool_news_told().
 */
bool tg_spool_news_next(struct tg_spool_news *n, const struct tg_spool_state *s, bool online, uint64_t now_us,
			struct tg_cloud_event *ret);
void tg_spool_news_told(struct tg_spool_news *n, const struct tg_cloud_event *e, const struct tg_spool_state *s,
			uint64_t now_us);
