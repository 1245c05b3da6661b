/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/message.h"

#include "agent/encode/encode.h"

#include <string.h>

#define BASE_NAME_MAX 512
#define STEP_US       INT64_C(1000000) /* what slewing does in half an hour */

void tg_message_repair_clock(struct tg_pack *pack, const struct tg_pipeline_clock *now,
			     const uint8_t boot_id[static 16])
{
	int64_t step = now->wall_offset_us - pack->wall_offset_us;

	/* CLOCK_BOOTTIME of another boot says nothing about this one. */
	if (pack->clock >= now->trust || memcmp(pack->boot_id, boot_id, 16) != 0)
		return;
	/* A clock that was right all the time keeps the dates as they were: a pack that is sent again says the same. */
	if (pack->clock != TG_CLOCK_SUSPECT && step < STEP_US && step > -STEP_US)
		return;
	pack->wall_offset_us = now->wall_offset_us;
	pack->clock = now->trust;
}

static int expand(const struct tg_message_context *ctx, const char *device, const char *in,
		  char *out, size_t size, struct tg_fault *reterr)
{
	struct tg_specifiers spec = *ctx->spec;

	spec.device = device;
	return tg_specifiers_expand(&spec, in, out, size, reterr);
}

int tg_message_form(struct tg_message *m, const struct tg_message_context *ctx,
		    const struct tg_parcel *parcel, enum tg_stream stream, struct tg_fault *reterr)
{
	tg_cleanup(tg_unpacked_done) struct tg_unpacked u = { .samples = NULL };
	char base_name[BASE_NAME_MAX];
	int r = tg_parcel_unpack(parcel, &u);

	if (r < 0)
		return tg_fault_set(reterr, r, "stored pack %llu cannot be read",
				    (unsigned long long) parcel->seq);
	r = expand(ctx, u.pack.device, ctx->cfg->mqtt.topic, m->topic, sizeof(m->topic), reterr);
	if (r < 0)
		return r;
	r = expand(ctx, u.pack.device, ctx->cfg->mqtt.base_name, base_name, sizeof(base_name),
		   reterr);
	if (r < 0)
		return r;
	tg_message_repair_clock(&u.pack, &ctx->clock, ctx->boot_id);
	/* At most 16 MiB, by the table of keys. */
	m->payload.max = (size_t) ctx->cfg->mqtt.max_payload;
	tg_buffer_reset(&m->payload);
	tg_encoder_get(ctx->cfg->mqtt.format)->encode(&u.pack, stream, base_name, &m->payload);
	r = tg_buffer_error(&m->payload);
	if (r < 0)
		return tg_fault_set(reterr, r, "pack %llu of %s does not fit into max-payload",
				    (unsigned long long) parcel->seq, u.pack.device);
	return 0;
}

void tg_message_done(struct tg_message *m)
{
	tg_buffer_done(&m->payload);
}
