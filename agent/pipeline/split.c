/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pipeline/split.h"

#include <errno.h>
#include <string.h>

/* One byte of a string as JSON: \u001f. */
#define ESCAPED 6
/* Keys, braces, numbers and the records of every pack; a point's record without its strings. Both
 * generous. */
#define HEAD_ROOM   512
#define RECORD_ROOM 96
/* No pack is larger in any form: TG_PACK_SAMPLES texts of TG_TEXT_MAX, all escaped. Keeps sums
 * within 32 bits. */
#define PAYLOAD_MAX (64u << 20)

/* The longest thing that %@letter stands for (config/specifier.h). */
static size_t specifier_room(char letter)
{
	static const struct {
		char letter;
		size_t room;
	} known[] = { { '%', 1 },  { 't', 16 }, { 'm', 32 },
		      { 'H', 64 }, { 's', 64 }, { 'd', TG_NAME_MAX } };

	for (size_t i = 0; i < TG_ARRAY_SIZE(known); i++) {
		if (known[i].letter == letter)
			return known[i].room;
	}
	return 128; /* %i */
}

/* Each specifier becomes as long as it may get; of letters, as nothing that it stands for is
 * escaped. */
static char *widen(const char *s)
{
	struct tg_buffer b = TG_BUFFER_INIT(1u << 20);

	for (; *s; s++) {
		size_t room = 1;

		if (*s == '%' && s[1])
			room = specifier_room(*++s);
		for (; room > 1; room--)
			tg_buffer_addc(&b, 'x');
		tg_buffer_addc(&b, *s);
	}
	if (tg_buffer_error(&b) < 0) {
		tg_buffer_done(&b);
		return NULL;
	}
	return b.data ? b.data : strdup("");
}

int tg_split_init(struct tg_split *sp, const struct tg_config *cfg)
{
	*sp = (struct tg_split){
		.encoder = tg_encoder_get(cfg->mqtt.format),
		.max_payload = cfg->mqtt.max_payload < PAYLOAD_MAX ? (size_t) cfg->mqtt.max_payload
								   : PAYLOAD_MAX,
		.base_name = widen(cfg->mqtt.base_name),
	};
	return sp->base_name ? 0 : -ENOMEM;
}

void tg_split_done(struct tg_split *sp)
{
	free(sp->base_name);
	*sp = (struct tg_split){ .base_name = NULL };
}

/* An upper bound for every encoder: no string is longer than all of its bytes escaped. */
static size_t bound(const struct tg_split *sp, const struct tg_pack *pack)
{
	size_t sum = HEAD_ROOM + ESCAPED * strlen(sp->base_name) + strlen(pack->device);

	for (size_t i = 0; i < pack->n_samples; i++) {
		const struct tg_sample *s = &pack->samples[i];
		size_t text = s->value.type == TG_VALUE_TEXT ? strlen(s->value.text) : 0;

		sum += RECORD_ROOM + strlen(s->point);
		sum += ESCAPED * (strlen(s->unit) + strlen(s->reason) + text);
	}
	return sum;
}

static bool measures(const struct tg_split *sp, const struct tg_pack *pack)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer out = TG_BUFFER_INIT(sp->max_payload);

	sp->encoder->encode(pack, TG_STREAM_REPLAY, sp->base_name, &out);
	return tg_buffer_error(&out) == 0;
}

/* In the two shapes that the encoders have: with a date of many digits, and with boot id and boot
 * time. */
static bool fits(const struct tg_split *sp, const struct tg_pack *pack)
{
	struct tg_pack dated = *pack, suspect = *pack;

	if (bound(sp, pack) <= sp->max_payload)
		return true;
	dated.clock = TG_CLOCK_SYNCHRONISED;
	dated.wall_offset_us = INT64_C(10000000000999999);
	dated.seq = suspect.seq = (UINT64_C(1) << 53) - 1;
	suspect.clock = TG_CLOCK_SUSPECT;
	return measures(sp, &dated) && measures(sp, &suspect);
}

size_t tg_split_count(const struct tg_split *sp, const struct tg_pack *pack)
{
	struct tg_pack part = *pack;

	/* By halves: n log n at worst, and each part leaves with at least half of what it could
	 * hold. */
	while (part.n_samples > 0 && !fits(sp, &part))
		part.n_samples /= 2;
	return part.n_samples;
}
