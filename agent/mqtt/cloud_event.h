/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * What is told to the cloud of the gateway's own troubles: one JSON object for
 * status-topic + "/events" (doc/messages.md). Certificates have events of their
 * own (certificate_event.h), and clocks. Pure.
 */
enum tg_cloud_news {
	TG_CLOUD_READINGS_DROPPED, /* packs, total, since */
	TG_CLOUD_PACK_SET_ASIDE,   /* packs, total, device and seq of the last one */
	TG_CLOUD_DEVICE_REFUSED,   /* device, count */
	TG_CLOUD_SPOOL_DAMAGED,    /* rescued, lost, file */
	TG_CLOUD_SPOOL_FAILED,     /* since, reason */
	TG_CLOUD_CLIENT_ID_TAKEN,  /* client_id, reason */
	TG_CLOUD_READINGS_REFUSED, /* client_id, reason */
};

struct tg_cloud_event {
	enum tg_cloud_news news;
	const char *gateway; /* %i */
	int64_t wall_us;     /* 0: the clock is not to be believed */
	/* those that the comments above name; text may be NULL */
	uint64_t packs;     /* so many since the event before */
	uint64_t total;     /* since the spool was made */
	uint64_t since_s;   /* how long ago it began */
	uint64_t rescued, lost; /* packs */
	const char *device, *file, *client_id, *reason;
	uint64_t seq;
	uint64_t count; /* of refused devices */
};

#define TG_CLOUD_EVENT_MAX 4096 /* bytes */

/* Returns owned text, or NULL without memory. */
char *tg_cloud_event_json(const struct tg_cloud_event *e);
