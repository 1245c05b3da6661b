/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pack/stored.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * The form, version 2; a parcel is version 1. Numbers are base 128, the signed ones zigzag.
 *
 *	u8 version	u8 clock trust	number of samples	seq	boot_us of the first sample
 *	signed wall_offset_us	16 bytes of boot id	string device
 *	then each sample:
 *	u8 type | quality << 3 | flags
 *	unless SAME_TIME: signed boot_us minus that of the sample before
 *	u8 how much of the point before is shared	string the rest of the point
 *	unless SAME_UNIT: string unit
 *	string reason, only when not good
 *	the value: nothing, u8, number, signed, 8 bytes, 4 bytes (SHORT), signed << 2 | power of ten (DECIMAL), or
 *	length and a text
 *
 * A string is a u8 length and its bytes. "Before" the first sample come a time of the first sample, and an empty point and
 * unit. What is read makes a parcel anew, which checks all that a pack may not say.
 */
#define VERSION       2
#define TYPE_MASK     0x07u
#define TYPE_SHORT    6u /* a real that a float can hold */
#define TYPE_DECIMAL  7u /* a real that is a whole number over 1, 10, 100 or 1000 */
#define QUALITY_SHIFT 3
#define QUALITY_MASK  0x03u
#define SAME_TIME     0x20u
#define SAME_UNIT     0x40u
#define FLAGS_MASK    0x7fu
#define SAMPLE_MIN    3  /* bytes: flags, nothing new of the point */
#define VARINT_BYTES  10 /* 64 bits in sevens */
#define DECIMAL_MAX                                                                                \
	(INT64_C(1)                                                                                \
	 << 50) /* whole numbers below are exact in a double, and their sum with rounding is, too */
#define SHORT_BYTES 4

static const double powers[] = { 1, 10, 100, 1000 };

static uint64_t zigzag(int64_t v)
{
	return ((uint64_t) v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t v)
{
	return (int64_t) ((v >> 1) ^ (v & 1 ? UINT64_MAX : 0));
}

static bool same_bits(double a, double b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

/* --- writing --- */

static void put_le(struct tg_buffer *b, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		tg_buffer_addc(b, (char) (uint8_t) (v >> (8 * i)));
}

static void put_number(struct tg_buffer *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		put_le(b, (v & 0x7f) | 0x80, 1);
	put_le(b, v, 1);
}

static void put_string(struct tg_buffer *b, const char *s)
{
	size_t len = strlen(s);

	put_le(b, len, 1);
	tg_buffer_add(b, s, len);
}

static size_t shared_length(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

/* The number that a DECIMAL says for @v, if there is one. */
static bool as_decimal(double v, uint64_t *ret)
{
	for (unsigned k = 0; k < TG_ARRAY_SIZE(powers); k++) {
		double scaled = v * powers[k];
		int64_t whole;

		if (!(scaled > -(double) DECIMAL_MAX && scaled < (double) DECIMAL_MAX))
			return false;
		whole = (int64_t) (scaled < 0 ? scaled - 0.5 : scaled + 0.5);
		if (same_bits((double) whole / powers[k], v)) {
			*ret = zigzag(whole) << 2 | k;
			return true;
		}
	}
	return false;
}

/* The shortest type for a value; @ret is what a DECIMAL or a SHORT says. */
static unsigned type_of(const struct tg_value *v, uint64_t *ret)
{
	float f;
	uint32_t bits;

	if (v->type != TG_VALUE_REAL)
		return (unsigned) v->type;
	if (as_decimal(v->real, ret) && *ret < UINT64_C(1) << 7 * SHORT_BYTES)
		return TYPE_DECIMAL;
	f = v->real > -1e38 && v->real < 1e38 ? (float) v->real : 0;
	if (same_bits((double) f, v->real)) {
		memcpy(&bits, &f, sizeof(bits));
		*ret = bits;
		return TYPE_SHORT;
	}
	return as_decimal(v->real, ret) ? TYPE_DECIMAL : (unsigned) TG_VALUE_REAL;
}

static void put_value(struct tg_buffer *b, const struct tg_value *v)
{
	uint64_t bits;

	switch (v->type) {
	case TG_VALUE_NONE:
		break;
	case TG_VALUE_BOOL:
		put_le(b, v->b, 1);
		break;
	case TG_VALUE_INT:
		put_number(b, zigzag(v->i));
		break;
	case TG_VALUE_UINT:
		put_number(b, v->u);
		break;
	case TG_VALUE_REAL:
		memcpy(&bits, &v->real, sizeof(bits));
		put_le(b, bits, sizeof(bits));
		break;
	case TG_VALUE_TEXT:
		put_number(b, strlen(v->text));
		tg_buffer_add(b, v->text, strlen(v->text));
		break;
	}
}

static void put_sample(struct tg_buffer *b, const struct tg_sample *s,
		       const struct tg_sample *before)
{
	size_t shared = shared_length(before->point, s->point);
	uint64_t number = 0;
	unsigned type = type_of(&s->value, &number);
	unsigned head = type | (unsigned) s->quality << QUALITY_SHIFT;

	head |= s->boot_us == before->boot_us ? SAME_TIME : 0;
	head |= strcmp(s->unit, before->unit) == 0 ? SAME_UNIT : 0;
	put_le(b, head, 1);
	if (!(head & SAME_TIME))
		put_number(b, zigzag((int64_t) s->boot_us - (int64_t) before->boot_us));
	put_le(b, shared, 1);
	put_string(b, s->point + shared);
	if (!(head & SAME_UNIT))
		put_string(b, s->unit);
	if (s->quality != TG_GOOD)
		put_string(b, s->reason);
	if (type == TYPE_DECIMAL)
		put_number(b, number);
	else if (type == TYPE_SHORT)
		put_le(b, number, SHORT_BYTES);
	else
		put_value(b, &s->value);
}

static void put_pack(struct tg_buffer *b, const struct tg_pack *pack)
{
	struct tg_sample before = { .point = "", .unit = "", .boot_us = pack->samples[0].boot_us };

	put_le(b, VERSION, 1);
	put_le(b, pack->clock, 1);
	put_number(b, pack->n_samples);
	put_number(b, pack->seq);
	put_number(b, pack->samples[0].boot_us);
	put_number(b, zigzag(pack->wall_offset_us));
	tg_buffer_add(b, pack->boot_id, sizeof(pack->boot_id));
	put_string(b, pack->device);
	for (size_t i = 0; i < pack->n_samples; i++) {
		put_sample(b, &pack->samples[i], &before);
		before = pack->samples[i];
	}
}

int tg_stored_write(struct tg_buffer *out, const struct tg_parcel *p)
{
	struct tg_unpacked u;
	int r = tg_parcel_unpack(p, &u);

	if (r < 0)
		return r;
	put_pack(out, &u.pack);
	tg_unpacked_done(&u);
	return tg_buffer_error(out);
}

/* --- reading --- */

/* Errors stick: after the first, everything reads as zero or "". */
struct reader {
	const uint8_t *at;
	size_t left;
	char *room; /* for strings, which need a NUL; large enough for all that a pack may have */
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return p;
}

static uint64_t take_le(struct reader *r, size_t bytes)
{
	const uint8_t *p = take(r, bytes);
	uint64_t v = 0;

	for (size_t i = 0; p && i < bytes; i++)
		v |= (uint64_t) p[i] << (8 * i);
	return v;
}

static uint64_t take_number(struct reader *r)
{
	uint64_t v = 0, byte;
	unsigned i = 0;

	do {
		byte = take_le(r, 1);
		v |= (byte & 0x7f) << (7 * i);
		i++;
	} while ((byte & 0x80) && i < VARINT_BYTES);
	r->bad |= (byte & 0x80) != 0;
	return v;
}

/* @shared bytes of @before, then @len from the bytes. */
static const char *take_joined(struct reader *r, const char *before, size_t shared, size_t len,
			       size_t max)
{
	const uint8_t *p = shared + len <= max ? take(r, len) : NULL;
	char *s = r->room;

	if (!p || strnlen(before, shared) < shared) {
		r->bad = true;
		return "";
	}
	memcpy(s, before, shared);
	memcpy(s + shared, p, len);
	s[shared + len] = '\0';
	/* A NUL inside would make another string of it. */
	r->bad |= strlen(s) != shared + len;
	r->room += shared + len + 1;
	return s;
}

static const char *take_string(struct reader *r, size_t max)
{
	return take_joined(r, "", 0, (size_t) take_le(r, 1), max);
}

static double take_short(struct reader *r)
{
	uint32_t bits = (uint32_t) take_le(r, SHORT_BYTES);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return (double) f;
}

static double take_decimal(struct reader *r)
{
	uint64_t number = take_number(r);

	return (double) unzigzag(number >> 2) / powers[number & 3];
}

static struct tg_value take_value(struct reader *r, unsigned type)
{
	struct tg_value v = { .type = type > TG_VALUE_TEXT ? TG_VALUE_REAL
							   : (enum tg_value_type) type };
	uint64_t bits;

	if (type == TYPE_SHORT) {
		v.real = take_short(r);
		return v;
	}
	if (type == TYPE_DECIMAL) {
		v.real = take_decimal(r);
		return v;
	}
	switch (v.type) {
	case TG_VALUE_NONE:
		break;
	case TG_VALUE_BOOL:
		bits = take_le(r, 1);
		r->bad |= bits > 1;
		v.b = bits == 1;
		break;
	case TG_VALUE_INT:
		v.i = unzigzag(take_number(r));
		break;
	case TG_VALUE_UINT:
		v.u = take_number(r);
		break;
	case TG_VALUE_REAL:
		bits = take_le(r, sizeof(v.real));
		memcpy(&v.real, &bits, sizeof(v.real));
		break;
	case TG_VALUE_TEXT:
		bits = take_number(r);
		v.text = take_joined(r, "", 0, bits <= TG_TEXT_MAX ? (size_t) bits : SIZE_MAX / 2,
				     TG_TEXT_MAX);
		break;
	}
	return v;
}

static struct tg_sample take_sample(struct reader *r, const struct tg_sample *before)
{
	unsigned head = (unsigned) take_le(r, 1), quality = head >> QUALITY_SHIFT & QUALITY_MASK;
	struct tg_sample s = { .unit = before->unit, .reason = "", .boot_us = before->boot_us };
	size_t shared;

	r->bad |= head > FLAGS_MASK || quality > TG_BAD;
	s.quality = (enum tg_quality) quality;
	/* Unsigned: nonsense wraps, and is refused by the parcel. */
	if (!(head & SAME_TIME))
		s.boot_us += (uint64_t) unzigzag(take_number(r));
	shared = (size_t) take_le(r, 1);
	s.point = take_joined(r, before->point, shared, (size_t) take_le(r, 1), TG_NAME_MAX);
	if (!(head & SAME_UNIT))
		s.unit = take_string(r, TG_UNIT_MAX);
	if (s.quality != TG_GOOD)
		s.reason = take_string(r, TG_REASON_MAX);
	s.value = take_value(r, head & TYPE_MASK);
	return s;
}

static bool take_head(struct reader *r, struct tg_pack *pack, uint64_t *first_us)
{
	const uint8_t *id;
	uint64_t trust, samples;

	(void) take_le(r, 1);
	trust = take_le(r, 1);
	samples = take_number(r);
	pack->seq = take_number(r);
	*first_us = take_number(r);
	pack->wall_offset_us = unzigzag(take_number(r));
	id = take(r, sizeof(pack->boot_id));
	if (!id || trust > TG_CLOCK_SYNCHRONISED || samples == 0 || samples > TG_PACK_SAMPLES ||
	    samples > r->left / SAMPLE_MIN)
		return false;
	pack->clock = (enum tg_clock_trust) trust;
	pack->n_samples = (size_t) samples;
	memcpy(pack->boot_id, id, sizeof(pack->boot_id));
	return true;
}

/* What the strings of @n samples and of a device may take, with texts that lie in @len bytes. */
static size_t room_for(size_t n, size_t len)
{
	return (n + 1) * (TG_NAME_MAX + 1 + TG_UNIT_MAX + 1 + TG_REASON_MAX + 1) + n + len;
}

static int expand(const uint8_t *bytes, size_t len, struct tg_parcel **ret)
{
	struct reader r = { .at = bytes, .left = len };
	struct tg_pack pack = { 0 };
	struct tg_sample before = { .point = "", .unit = "" };
	tg_autofree struct tg_sample *samples = NULL;
	tg_autofree char *room = NULL;
	int e;

	if (!take_head(&r, &pack, &before.boot_us))
		return -EBADMSG;
	samples = calloc(pack.n_samples, sizeof(*samples));
	r.room = room = malloc(room_for(pack.n_samples, len));
	if (!samples || !room)
		return -ENOMEM;
	pack.device = take_string(&r, TG_NAME_MAX);
	for (size_t i = 0; i < pack.n_samples && !r.bad; i++)
		before = samples[i] = take_sample(&r, &before);
	if (r.bad || r.left > 0)
		return -EBADMSG;
	pack.samples = samples;
	e = tg_parcel_new(&pack, ret);
	return e == 0 || e == -ENOMEM ? e : -EBADMSG;
}

int tg_stored_read(const uint8_t *bytes, size_t len, struct tg_parcel **ret)
{
	if (len > TG_STORED_MAX)
		return -EBADMSG;
	return len > 0 && bytes[0] == VERSION ? expand(bytes, len, ret)
					      : tg_parcel_from_bytes(bytes, len, ret);
}
