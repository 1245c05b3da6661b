/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/cloud_event.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <tidegate/error.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define TEXT_MAX 300 /* of a peer's words, before JSON makes them longer */

#define BIT(news) (1u << (news))

static const char *const names[] = {
	[TG_CLOUD_READINGS_DROPPED] = "readings-dropped",
	[TG_CLOUD_PACK_SET_ASIDE] = "pack-set-aside",
	[TG_CLOUD_DEVICE_REFUSED] = "device-refused",
	[TG_CLOUD_SPOOL_DAMAGED] = "spool-damaged",
	[TG_CLOUD_SPOOL_FAILED] = "spool-failed",
	[TG_CLOUD_CLIENT_ID_TAKEN] = "client-id-taken",
	[TG_CLOUD_READINGS_REFUSED] = "readings-refused",
};

/* Which event has which members, in this order. */
static const struct member {
	const char *name;
	bool text;
	size_t offset;
	unsigned events;
} members[] = {
#define TEXT(name, events)   { #name, true, offsetof(struct tg_cloud_event, name), events }
#define NUMBER(name, events) { #name, false, offsetof(struct tg_cloud_event, name), events }
	NUMBER(packs, BIT(TG_CLOUD_READINGS_DROPPED) | BIT(TG_CLOUD_PACK_SET_ASIDE)),
	NUMBER(total, BIT(TG_CLOUD_READINGS_DROPPED) | BIT(TG_CLOUD_PACK_SET_ASIDE)),
	NUMBER(since_s, BIT(TG_CLOUD_READINGS_DROPPED) | BIT(TG_CLOUD_SPOOL_FAILED)),
	TEXT(device, BIT(TG_CLOUD_PACK_SET_ASIDE) | BIT(TG_CLOUD_DEVICE_REFUSED)),
	NUMBER(count, BIT(TG_CLOUD_DEVICE_REFUSED)),
	NUMBER(seq, BIT(TG_CLOUD_PACK_SET_ASIDE)),
	NUMBER(rescued, BIT(TG_CLOUD_SPOOL_DAMAGED)),
	NUMBER(lost, BIT(TG_CLOUD_SPOOL_DAMAGED)),
	TEXT(file, BIT(TG_CLOUD_SPOOL_DAMAGED)),
	TEXT(client_id, BIT(TG_CLOUD_CLIENT_ID_TAKEN) | BIT(TG_CLOUD_READINGS_REFUSED)),
	TEXT(reason, BIT(TG_CLOUD_SPOOL_FAILED) | BIT(TG_CLOUD_CLIENT_ID_TAKEN) |
			     BIT(TG_CLOUD_READINGS_REFUSED)),
#undef TEXT
#undef NUMBER
};

static void add_text(struct tg_buffer *b, const char *key, const char *value)
{
	char clean[TEXT_MAX];

	tg_buffer_addf(b, ",\"%s\":", key);
	if (value && value[0])
		tg_buffer_add_json(b, tg_printable(clean, sizeof(clean), value, strlen(value)));
	else
		tg_buffer_adds(b, "null");
}

static void add_member(struct tg_buffer *b, const struct member *m, const struct tg_cloud_event *e)
{
	const char *at = (const char *) e + m->offset, *text;
	uint64_t number;

	if (m->text) {
		memcpy(&text, at, sizeof(text));
		add_text(b, m->name, text);
	} else {
		memcpy(&number, at, sizeof(number));
		tg_buffer_addf(b, ",\"%s\":%" PRIu64, m->name, number);
	}
}

char *tg_cloud_event_json(const struct tg_cloud_event *e)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_CLOUD_EVENT_MAX);
	char iso[32] = "";

	if (e->wall_us)
		(void) tg_clock_iso(e->wall_us, iso);
	tg_buffer_addf(&b, "{\"event\":\"%s\"", names[e->news]);
	add_text(&b, "id", e->gateway);
	add_text(&b, "time", iso);
	for (size_t i = 0; i < TG_ARRAY_SIZE(members); i++)
		if (members[i].events & BIT(e->news))
			add_member(&b, &members[i], e);
	tg_buffer_addc(&b, '}');
	return tg_buffer_error(&b) < 0 ? NULL : strdup(tg_buffer_text(&b));
}
