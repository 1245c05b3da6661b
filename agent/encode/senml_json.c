/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/encode/json.h"

#include <inttypes.h>
#include <stdio.h>

/* The instant that offsets count from, on CLOCK_BOOTTIME. */
static uint64_t base_of(const struct tg_pack *pack, bool dated)
{
	uint64_t base_us = pack->samples[0].boot_us;

	for (size_t i = 1; !dated && i < pack->n_samples; i++) {
		if (pack->samples[i].boot_us > base_us)
			base_us = pack->samples[i].boot_us;
	}
	return base_us;
}

static void add_head(struct tg_buffer *out, const struct tg_pack *pack, enum tg_stream stream,
		     const char *base_name, bool dated)
{
	tg_buffer_adds(out, "[{\"bn\":");
	tg_buffer_add_json(out, base_name);
	if (dated) {
		tg_buffer_adds(out, ",\"bt\":");
		tg_json_add_seconds(out, tg_sample_wall_us(pack, &pack->samples[0]));
	}
	tg_buffer_addf(out, ",\"n\":\"_seq\",\"v\":%" PRIu64 "}", pack->seq);
	tg_buffer_addf(out, ",{\"n\":\"_stream\",\"vs\":\"%s\"}", tg_stream_name(stream));
}

static void add_boot(struct tg_buffer *out, const struct tg_pack *pack, uint64_t base_us)
{
	tg_buffer_adds(out, ",{\"n\":\"_clock\",\"vs\":\"suspect\"},{\"n\":\"_boot\",\"vs\":");
	tg_json_add_boot_id(out, pack->boot_id);
	tg_buffer_adds(out, "},{\"n\":\"_boottime\",\"u\":\"s\",\"v\":");
	tg_json_add_seconds(out, (int64_t) base_us);
	tg_buffer_addc(out, '}');
}

static const char *value_key(const struct tg_value *v)
{
	if (v->type == TG_VALUE_BOOL)
		return ",\"vb\":";
	return tg_json_value_is_text(v) ? ",\"vs\":" : ",\"v\":";
}

static void add_value(struct tg_buffer *out, const struct tg_sample *s)
{
	/* Plain appends, not formatted ones: this is where publishing spends its CPU time. */
	tg_buffer_adds(out, "\"n\":\"");
	tg_buffer_adds(out, s->point);
	tg_buffer_addc(out, '"');
	if (s->unit[0]) {
		tg_buffer_adds(out, ",\"u\":");
		tg_buffer_add_json(out, s->unit);
	}
	tg_buffer_adds(out, value_key(&s->value));
	tg_json_add_value(out, &s->value);
}

static void add_quality(struct tg_buffer *out, const struct tg_sample *s)
{
	char text[sizeof("stale: ") + TG_REASON_MAX];

	(void) snprintf(text, sizeof(text), "%s%s%s", s->quality == TG_BAD ? "bad" : "stale",
			s->reason[0] ? ": " : "", s->reason);
	tg_buffer_addf(out, "\"n\":\"%s_q\",\"vs\":", s->point);
	tg_buffer_add_json(out, text);
}

static void encode(const struct tg_pack *pack, enum tg_stream stream, const char *base_name,
		   struct tg_buffer *out)
{
	bool dated = tg_pack_dated(pack);
	uint64_t base_us = base_of(pack, dated);

	add_head(out, pack, stream, base_name, dated);
	if (!dated)
		add_boot(out, pack, base_us);
	for (size_t i = 0; i < pack->n_samples; i++) {
		const struct tg_sample *s = &pack->samples[i];

		tg_buffer_adds(out, ",{");
		if (s->quality == TG_GOOD)
			add_value(out, s);
		else
			add_quality(out, s);
		if (s->boot_us != base_us) {
			tg_buffer_adds(out, ",\"t\":");
			tg_json_add_seconds(out, (int64_t) s->boot_us - (int64_t) base_us);
		}
		tg_buffer_addc(out, '}');
	}
	tg_buffer_addc(out, ']');
}

const struct tg_encoder tg_encoder_senml_json = {
	.name = "senml-json",
	.content_type = "application/senml+json",
	.encode = encode,
};
