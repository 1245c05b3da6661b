/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pack/parcel.h"

#include "base/buffer.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/*
 * The form, version 1. One pack has exactly one: whatever the decoder accepts,
 * the encoder writes again byte for byte.
 *
 *	u8 version	u8 clock trust		u16 number of samples
 *	u64 seq		u64 boot_us of the first sample
 *	i64 wall_offset_us			16 bytes of boot id
 *	string device
 *	then each sample:
 *	u8 type | quality << 3
 *	time: boot_us minus that of the first sample, zigzag, base 128, shortest form
 *	string point	string unit	string reason, only when not good
 *	the value: nothing, u8, 8 bytes, or u16 length and a text with its NUL
 *
 * Integers are little-endian and read byte by byte, so alignment and byte
 * order of the machine do not matter. A string is a u8 length, its bytes and
 * a NUL, so that views need no copies.
 */
#define VERSION       1
#define TYPE_MASK     0x07u
#define QUALITY_SHIFT 3
#define VARINT_BYTES  10 /* 64 bits in sevens */
#define DEVICE_AT     44 /* the fields before it have fixed sizes */
#define SAMPLE_MIN                                                                                 \
	7 /* flags, time, point of one letter, empty unit, bool: bounds n_samples before any       \
	     allocation */

/* Sums and differences of times below this cannot overflow; it is 36,000 years. */
#define TIME_MAX (INT64_C(1) << 60)
#define SEQ_MAX  (UINT64_C(1) << 53)

/* --- what a pack may say, for both directions --- */

static bool name_valid(const char *s, size_t len)
{
	if (len == 0 || len > TG_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

static bool head_valid(const struct tg_pack *pack)
{
	return pack->n_samples > 0 && pack->n_samples <= TG_PACK_SAMPLES && pack->seq < SEQ_MAX &&
	       pack->clock <= TG_CLOCK_SYNCHRONISED && pack->wall_offset_us > -TIME_MAX &&
	       pack->wall_offset_us < TIME_MAX && name_valid(pack->device, strlen(pack->device));
}

static bool sample_valid(const struct tg_sample *s)
{
	bool good = s->quality == TG_GOOD, silent = s->value.type == TG_VALUE_NONE;
	size_t reason = strlen(s->reason);

	if (s->quality > TG_BAD || s->value.type > TG_VALUE_TEXT || good == silent)
		return false;
	if (s->value.type == TG_VALUE_REAL && !isfinite(s->value.real))
		return false;
	if (s->value.type == TG_VALUE_TEXT && strlen(s->value.text) > TG_TEXT_MAX)
		return false;
	return name_valid(s->point, strlen(s->point)) && strlen(s->unit) <= TG_UNIT_MAX &&
	       reason <= TG_REASON_MAX && !(good && reason > 0) && s->boot_us < TIME_MAX;
}

/* --- writing --- */

static void put_le(struct tg_buffer *b, uint64_t v, size_t bytes)
{
	uint8_t out[8];

	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t) (v >> (8 * i));
	tg_buffer_add(b, out, bytes);
}

static void put_time(struct tg_buffer *b, uint64_t boot_us, uint64_t first_us)
{
	int64_t delta = (int64_t) boot_us - (int64_t) first_us;
	uint64_t v = ((uint64_t) delta << 1) ^ (delta < 0 ? UINT64_MAX : 0);

	for (; v >= 0x80; v >>= 7)
		put_le(b, (v & 0x7f) | 0x80, 1);
	put_le(b, v, 1);
}

static void put_string(struct tg_buffer *b, const char *s, size_t length_bytes)
{
	size_t len = strlen(s);

	put_le(b, len, length_bytes);
	tg_buffer_add(b, s, len + 1);
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
		put_le(b, (uint64_t) v->i, 8);
		break;
	case TG_VALUE_UINT:
		put_le(b, v->u, 8);
		break;
	case TG_VALUE_REAL:
		memcpy(&bits, &v->real, sizeof(bits));
		put_le(b, bits, 8);
		break;
	case TG_VALUE_TEXT:
		put_string(b, v->text, 2);
		break;
	}
}

static void put_sample(struct tg_buffer *b, const struct tg_sample *s, uint64_t first_us)
{
	put_le(b, (uint64_t) s->value.type | (uint64_t) s->quality << QUALITY_SHIFT, 1);
	put_time(b, s->boot_us, first_us);
	put_string(b, s->point, 1);
	put_string(b, s->unit, 1);
	if (s->quality != TG_GOOD)
		put_string(b, s->reason, 1);
	put_value(b, &s->value);
}

static void put_head(struct tg_buffer *b, const struct tg_pack *pack)
{
	put_le(b, VERSION, 1);
	put_le(b, pack->clock, 1);
	put_le(b, pack->n_samples, 2);
	put_le(b, pack->seq, 8);
	put_le(b, pack->samples[0].boot_us, 8);
	put_le(b, (uint64_t) pack->wall_offset_us, 8);
	tg_buffer_add(b, pack->boot_id, sizeof(pack->boot_id));
	assert(b->error || b->len == DEVICE_AT);
	put_string(b, pack->device, 1);
}

/* --- reading --- */

/* Errors stick, as in struct tg_buffer: after the first, everything reads as zero or "". */
struct reader {
	const uint8_t *at;
	size_t left;
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

static uint64_t take_time(struct reader *r, uint64_t first_us)
{
	uint64_t v = 0, byte = 0;
	unsigned i = 0;

	do {
		byte = take_le(r, 1);
		v |= (byte & 0x7f) << (7 * i);
		i++;
	} while ((byte & 0x80) && i < VARINT_BYTES);

	/* The tenth byte holds one bit; a last byte of zero says that a shorter form exists. */
	if ((byte & 0x80) || (i == VARINT_BYTES && byte > 1) || (i > 1 && byte == 0))
		r->bad = true;
	/* Unsigned, so that nonsense wraps instead of overflowing; sample_valid() then refuses it.
	 */
	return first_us + ((v >> 1) ^ (v & 1 ? UINT64_MAX : 0));
}

static const char *take_string(struct reader *r, size_t length_bytes)
{
	size_t len = (size_t) take_le(r, length_bytes);
	const uint8_t *p = take(r, len + 1);

	if (!p || memchr(p, '\0', len + 1) != p + len) {
		r->bad = true;
		return "";
	}
	return (const char *) p;
}

static struct tg_value take_value(struct reader *r, enum tg_value_type type)
{
	struct tg_value v = { .type = type };
	uint64_t bits;

	switch (type) {
	case TG_VALUE_NONE:
		break;
	case TG_VALUE_BOOL:
		bits = take_le(r, 1);
		r->bad |= bits > 1;
		v.b = bits == 1;
		break;
	case TG_VALUE_INT:
		v.i = (int64_t) take_le(r, 8);
		break;
	case TG_VALUE_UINT:
		v.u = take_le(r, 8);
		break;
	case TG_VALUE_REAL:
		bits = take_le(r, 8);
		memcpy(&v.real, &bits, sizeof(bits));
		break;
	case TG_VALUE_TEXT:
		v.text = take_string(r, 2);
		break;
	}
	return v;
}

static bool take_sample(struct reader *r, uint64_t first_us, struct tg_sample *out)
{
	unsigned flags = (unsigned) take_le(r, 1);
	struct tg_sample s = { .reason = "" };

	if ((flags & TYPE_MASK) > TG_VALUE_TEXT || flags >> QUALITY_SHIFT > TG_BAD)
		return false;
	s.quality = (enum tg_quality)(flags >> QUALITY_SHIFT);
	s.boot_us = take_time(r, first_us);
	s.point = take_string(r, 1);
	s.unit = take_string(r, 1);
	if (s.quality != TG_GOOD)
		s.reason = take_string(r, 1);
	s.value = take_value(r, (enum tg_value_type)(flags & TYPE_MASK));
	if (r->bad || !sample_valid(&s))
		return false;
	*out = s;
	return true;
}

static bool take_head(struct reader *r, struct tg_pack *pack, uint64_t *first_us)
{
	const uint8_t *id;
	uint64_t trust;

	if (take_le(r, 1) != VERSION)
		return false;
	trust = take_le(r, 1);
	if (trust > TG_CLOCK_SYNCHRONISED)
		return false;
	pack->clock = (enum tg_clock_trust) trust;
	pack->n_samples = (size_t) take_le(r, 2);
	pack->seq = take_le(r, 8);
	*first_us = take_le(r, 8);
	pack->wall_offset_us = (int64_t) take_le(r, 8);
	id = take(r, sizeof(pack->boot_id));
	if (!id)
		return false;
	memcpy(pack->boot_id, id, sizeof(pack->boot_id));
	pack->device = take_string(r, 1);
	return !r->bad && head_valid(pack) && pack->n_samples <= r->left / SAMPLE_MIN;
}

/* Reads a whole pack; @ret_samples is an owned array whose strings, like those of @ret_pack, point
 * into @bytes. */
static int decode(const uint8_t *bytes, size_t len, struct tg_pack *ret_pack,
		  struct tg_sample **ret_samples)
{
	struct reader r = { .at = bytes, .left = len };
	struct tg_pack pack = { 0 };
	tg_autofree struct tg_sample *samples = NULL;
	uint64_t first_us;

	if (len > TG_PARCEL_MAX || !take_head(&r, &pack, &first_us))
		return -EBADMSG;
	samples = calloc(pack.n_samples, sizeof(*samples));
	if (!samples)
		return -ENOMEM;
	for (size_t i = 0; i < pack.n_samples; i++) {
		if (!take_sample(&r, first_us, &samples[i]))
			return -EBADMSG;
	}
	if (r.left > 0 || samples[0].boot_us != first_us)
		return -EBADMSG;

	pack.samples = samples;
	*ret_pack = pack;
	*ret_samples = tg_take(samples);
	return 0;
}

/* --- parcels --- */

static int parcel_alloc(const void *bytes, size_t len, const struct tg_pack *pack,
			struct tg_parcel **ret)
{
	struct tg_parcel *p = malloc(sizeof(*p) + len);

	if (!p)
		return -ENOMEM;
	*p = (struct tg_parcel){
		.refs = 1,
		.len = (uint32_t) len,
		.seq = pack->seq,
		.boot_us = pack->samples[0].boot_us,
	};
	memcpy(p->bytes, bytes, len);
	*ret = p;
	return 0;
}

int tg_parcel_new(const struct tg_pack *pack, struct tg_parcel **ret)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_PARCEL_MAX);

	if (!head_valid(pack))
		return -EINVAL;
	put_head(&b, pack);
	for (size_t i = 0; i < pack->n_samples; i++) {
		if (!sample_valid(&pack->samples[i]))
			return -EINVAL;
		put_sample(&b, &pack->samples[i], pack->samples[0].boot_us);
	}
	if (tg_buffer_error(&b) < 0)
		return tg_buffer_error(&b);
	return parcel_alloc(b.data, b.len, pack, ret);
}

int tg_parcel_from_bytes(const uint8_t *bytes, size_t len, struct tg_parcel **ret)
{
	tg_autofree struct tg_sample *samples = NULL;
	struct tg_pack pack;
	int r;

	r = decode(bytes, len, &pack, &samples);
	if (r < 0)
		return r;
	return parcel_alloc(bytes, len, &pack, ret);
}

struct tg_parcel *tg_parcel_ref(struct tg_parcel *p)
{
	__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

struct tg_parcel *tg_parcel_unref(struct tg_parcel *p)
{
	/* Release and acquire: whoever frees has seen what every other owner did with it. */
	if (p && __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(p);
	return NULL;
}

void tg_parcel_drop(void *msg)
{
	tg_parcel_unref(*(struct tg_parcel **) msg);
}

int tg_parcel_unpack(const struct tg_parcel *p, struct tg_unpacked *ret)
{
	struct tg_unpacked u = { .samples = NULL };
	int r;

	r = decode(p->bytes, p->len, &u.pack, &u.samples);
	if (r < 0)
		return r;
	*ret = u;
	return 0;
}

void tg_unpacked_done(struct tg_unpacked *u)
{
	free(u->samples);
	*u = (struct tg_unpacked){ .samples = NULL };
}

const char *tg_parcel_device(const struct tg_parcel *p)
{
	/* Behind its length byte; checked when the parcel was made. */
	return (const char *) p->bytes + DEVICE_AT + 1;
}

const char *tg_clock_trust_name(enum tg_clock_trust t)
{
	switch (t) {
	case TG_CLOCK_SUSPECT:
		return "suspect";
	case TG_CLOCK_UNCONFIRMED:
		return "unconfirmed";
	case TG_CLOCK_SYNCHRONISED:
		return "synchronised";
	}
	return "?";
}
