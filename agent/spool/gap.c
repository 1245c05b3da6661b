/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/gap.h"

static int make(const struct tg_pack *like, uint64_t boot_us, uint64_t count, uint64_t first,
		struct tg_parcel **ret)
{
	const struct {
		const char *point;
		uint64_t value;
	} said[] = { { "_gap", count }, { "_gap_first", first }, { "_gap_last", like->seq } };
	struct tg_sample samples[TG_ARRAY_SIZE(said)];
	struct tg_pack pack = *like;

	for (size_t i = 0; i < TG_ARRAY_SIZE(said); i++)
		samples[i] = (struct tg_sample){
			.point = said[i].point,
			.unit = "",
			.reason = "",
			.value = { .type = TG_VALUE_UINT, .u = said[i].value },
			.quality = TG_GOOD,
			.boot_us = boot_us,
		};
	pack.samples = samples;
	pack.n_samples = TG_ARRAY_SIZE(samples);
	return tg_parcel_new(&pack, ret);
}

int tg_gap_new(const struct tg_parcel *last, uint64_t count, uint64_t first, struct tg_parcel **ret)
{
	struct tg_unpacked u;
	int r;

	r = tg_parcel_unpack(last, &u);
	if (r < 0)
		return r;
	r = make(&u.pack, last->boot_us, count, first, ret);
	tg_unpacked_done(&u);
	return r;
}

int tg_gap_new_unread(const char *device, uint64_t seq, uint64_t count, uint64_t first,
		      int64_t made_wall_us, struct tg_parcel **ret)
{
	/* Which boot it was is lost with the bytes: the wall time stands in the offset, and no boot
	 * id will match. */
	const struct tg_pack like = {
		.seq = seq,
		.device = device,
		.wall_offset_us = made_wall_us,
		.clock = TG_CLOCK_UNCONFIRMED,
	};

	return make(&like, 0, count, first, ret);
}
