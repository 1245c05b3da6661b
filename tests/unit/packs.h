/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/sample.h>

#include <stdio.h>
#include <string.h>

/*
 * Random packs for property tests: every value type, quality and extreme that a pack may hold.
 * Repeatable from a seed; the pack's strings live in the generator until the next call.
 */
struct pack_source {
	uint64_t state; /* the seed */
	struct tg_sample samples[64];
	char names[64][TG_NAME_MAX + 1];
	char texts[64][TG_TEXT_MAX + 1];
};

static inline uint64_t pack_random(struct pack_source *s)
{
	/* splitmix64 */
	uint64_t z = (s->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline double pack_random_real(struct pack_source *s)
{
	static const double edges[] = {
		0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, -1e21, 1e15
	};
	uint64_t bits = pack_random(s);
	double v;

	if (bits % 4 == 0)
		return edges[(bits >> 8) % (sizeof(edges) / sizeof(edges[0]))];
	if (bits % 4 == 1)
		return (double) (int64_t) (bits >> 40) / 10;
	/* Any finite one: all exponents but the last. */
	if ((bits >> 52 & 0x7ff) == 0x7ff)
		bits ^= UINT64_C(1) << 52;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

static inline const char *pack_random_text(struct pack_source *s, char *out, size_t max)
{
	static const char *const bits[] = { "a", "\"", "\\", "\n",   "\x01", "\x7f",         "ä",
					    "€", "😀",  "</", "\xff", "\xc3", "\xed\xa0\x80", " " };
	size_t n = pack_random(s) % 40, len = 0;

	if (pack_random(s) % 16 == 0)
		n = max;
	for (size_t i = 0; i < n; i++) {
		const char *bit = bits[pack_random(s) % (sizeof(bits) / sizeof(bits[0]))];

		if (len + strlen(bit) > max)
			break;
		memcpy(out + len, bit, strlen(bit));
		len += strlen(bit);
	}
	out[len] = '\0';
	return out;
}

static inline struct tg_value pack_random_value(struct pack_source *s, char *text)
{
	static const int64_t ints[] = { 0,
					1,
					-1,
					INT64_MIN,
					INT64_MAX,
					INT64_C(1) << 53,
					-(INT64_C(1) << 53),
					(INT64_C(1) << 53) + 1 };
	struct tg_value v = { .type = (enum tg_value_type)(1 + pack_random(s) % 5) };
	uint64_t rnd = pack_random(s);

	switch (v.type) {
	case TG_VALUE_BOOL:
		v.b = rnd % 2;
		break;
	case TG_VALUE_INT:
		v.i = rnd % 2 ? ints[rnd / 2 % 8] : (int64_t) pack_random(s);
		break;
	case TG_VALUE_UINT:
		v.u = rnd % 2 ? (uint64_t) ints[rnd / 2 % 8] : pack_random(s);
		break;
	case TG_VALUE_REAL:
		v.real = pack_random_real(s);
		break;
	case TG_VALUE_TEXT:
	case TG_VALUE_NONE:
		v.type = TG_VALUE_TEXT;
		v.text = pack_random_text(s, text, TG_TEXT_MAX);
		break;
	}
	return v;
}

static inline struct tg_sample pack_random_sample(struct pack_source *s, size_t i)
{
	static const char *const units[] = { "", "Cel", "%RH", "m/s2", "\"\\" };
	struct tg_sample out = { .point = s->names[i], .reason = "" };
	uint64_t rnd = pack_random(s);

	/* Unique by its number, as the points of a device are. */
	(void) snprintf(s->names[i], sizeof(s->names[i]), "p%zu.%.*s", i, (int) (rnd % 50),
			"abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	out.unit = units[rnd / 64 % 5];
	out.quality = (enum tg_quality)(rnd / 512 % 8 > 2 ? 0 : rnd / 512 % 8);
	if (out.quality == TG_GOOD)
		out.value = pack_random_value(s, s->texts[i]);
	else
		out.reason = pack_random_text(s, s->texts[i], TG_REASON_MAX);
	return out;
}

static inline struct tg_pack pack_random_pack(struct pack_source *s)
{
	static const int64_t offsets[] = { 0,
					   INT64_C(1794000000000000),
					   -1,
					   -(INT64_C(1) << 60) + 1,
					   (INT64_C(1) << 60) - 1,
					   INT64_C(268435455999999) };
	uint64_t rnd = pack_random(s), first = pack_random(s) >> (4 + rnd % 60);
	struct tg_pack pack = {
		.seq = pack_random(s) >> 11,
		.device = "boiler-7",
		.wall_offset_us = offsets[rnd / 64 % 6],
		.clock = (enum tg_clock_trust)(rnd / 512 % 3),
		.n_samples = 1 + rnd / 4096 % 64,
		.samples = s->samples,
	};

	memcpy(pack.boot_id, &rnd, sizeof(rnd));
	for (size_t i = 0; i < pack.n_samples; i++) {
		s->samples[i] = pack_random_sample(s, i);
		s->samples[i].boot_us = first;
		if (pack_random(s) % 2)
			s->samples[i].boot_us = pack_random(s) >> (4 + pack_random(s) % 60);
	}
	return pack;
}
