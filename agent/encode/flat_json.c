/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/encode/json.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

static void add_time(struct tg_buffer *out, const struct tg_pack *pack)
{
	if (tg_pack_dated(pack)) {
		int64_t wall_us = tg_sample_wall_us(pack, &pack->samples[0]);

		tg_buffer_addf(out, "\"ts\":%" PRId64, wall_us / (int64_t) TG_US_PER_MS);
		return;
	}
	tg_buffer_adds(out, "\"clock\":\"suspect\",\"boot\":");
	tg_json_add_boot_id(out, pack->boot_id);
	tg_buffer_addf(out, ",\"boottime\":%" PRIu64, pack->samples[0].boot_us / TG_US_PER_MS);
}

static void add_values(struct tg_buffer *out, const struct tg_pack *pack)
{
	const char *comma = "";

	for (size_t i = 0; i < pack->n_samples; i++) {
		const struct tg_sample *s = &pack->samples[i];

		if (s->quality != TG_GOOD)
			continue;
		tg_buffer_addf(out, "%s\"%s\":", comma, s->point);
		tg_json_add_value(out, &s->value);
		comma = ",";
	}
}

/* "bad" goes without saying under this key, so a bad point has its bare reason. */
static void add_reason(struct tg_buffer *out, const struct tg_sample *s)
{
	char text[sizeof("stale: ") + TG_REASON_MAX];
	bool stale = s->quality == TG_STALE, empty = s->reason[0] == '\0';

	(void) snprintf(text, sizeof(text), "%s%s%s", stale ? "stale" : (empty ? "bad" : ""),
			stale && !empty ? ": " : "", s->reason);
	tg_buffer_add_json(out, text);
}

static void add_bad(struct tg_buffer *out, const struct tg_pack *pack)
{
	const char *comma = "";

	for (size_t i = 0; i < pack->n_samples; i++) {
		const struct tg_sample *s = &pack->samples[i];

		if (s->quality == TG_GOOD)
			continue;
		tg_buffer_addf(out, "%s\"%s\":", comma, s->point);
		add_reason(out, s);
		comma = ",";
	}
}

/* There is no base name here: the topic and `device` say whose values these are. */
static void encode(const struct tg_pack *pack, enum tg_stream stream, const char *base_name,
		   struct tg_buffer *out)
{
	(void) base_name;
	tg_buffer_addc(out, '{');
	add_time(out, pack);
	tg_buffer_addf(out, ",\"seq\":%" PRIu64 ",\"stream\":\"%s\",\"device\":\"%s\",\"values\":{",
		       pack->seq, tg_stream_name(stream), pack->device);
	add_values(out, pack);
	tg_buffer_adds(out, "},\"bad\":{");
	add_bad(out, pack);
	tg_buffer_adds(out, "}}");
}

const struct tg_encoder tg_encoder_flat_json = {
	.name = "json",
	.content_type = "application/json",
	.encode = encode,
};
