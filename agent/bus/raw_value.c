/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/raw_value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* 2^63 and 2^64, the first doubles that 64 bits cannot hold. */
#define TWO_63 9223372036854775808.0
#define TWO_64 18446744073709551616.0

/* Which byte of the answer is the @i-th from the most significant one. */
static size_t place(const struct tg_raw *raw, size_t i)
{
	switch (raw->order) {
	case TG_RAW_ABCD:
		return i;
	case TG_RAW_DCBA:
		return raw->size - 1u - i;
	case TG_RAW_BADC:
		return i ^ 1;
	case TG_RAW_CDAB:
		return (raw->size - 1u - i) ^ 1;
	}
	return i;
}

static uint64_t gather(const struct tg_raw *raw, const uint8_t *data)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < raw->size; i++)
		bits = bits << 8 | data[raw->at + place(raw, i)];
	return bits;
}

static void scatter(const struct tg_raw *raw, uint64_t bits, uint8_t *data)
{
	for (size_t i = 0; i < raw->size; i++)
		data[raw->at + place(raw, i)] = (uint8_t) (bits >> (8 * (raw->size - 1u - i)));
}

static uint64_t all_bits(const struct tg_raw *raw)
{
	return raw->size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * raw->size)) - 1;
}

bool tg_raw_whole(const struct tg_raw *raw)
{
	return raw->form == TG_RAW_FLOAT || raw->mask == all_bits(raw);
}

/* The bit of the shifted value that its sign is in. */
static uint64_t sign_bit(const struct tg_raw *raw)
{
	uint64_t top = raw->mask >> raw->shift;

	while (top & (top - 1))
		top &= top - 1;
	return top;
}

static int get_float(const struct tg_raw *raw, uint64_t bits, struct tg_value *ret)
{
	uint32_t half = (uint32_t) bits;
	double value;
	float single;

	if (raw->size == 4) {
		memcpy(&single, &half, sizeof(single));
		value = (double) single;
	} else {
		memcpy(&value, &bits, sizeof(value));
	}
	if (!isfinite(value))
		return -EDOM;
	*ret = (struct tg_value){ .type = TG_VALUE_REAL, .real = value };
	return 0;
}

int tg_raw_value_get(const struct tg_raw *raw, const uint8_t *data, size_t len,
		     struct tg_value *ret)
{
	uint64_t bits, sign;

	if ((size_t) raw->at + raw->size > len)
		return -ERANGE;
	bits = gather(raw, data);
	if (raw->form == TG_RAW_FLOAT)
		return get_float(raw, bits, ret);
	bits = (bits & raw->mask) >> raw->shift;
	if (raw->form == TG_RAW_BOOL) {
		*ret = (struct tg_value){ .type = TG_VALUE_BOOL, .b = bits != 0 };
		return 0;
	}
	if (raw->form == TG_RAW_UNSIGNED) {
		*ret = (struct tg_value){ .type = TG_VALUE_UINT, .u = bits };
		return 0;
	}
	sign = sign_bit(raw);
	/* Two's complement of any width: the sign's bit counts -2^n. Wraps as meant. */
	bits = (bits ^ sign) - sign;
	*ret = (struct tg_value){ .type = TG_VALUE_INT, .i = (int64_t) bits };
	return 0;
}

static int put_float(const struct tg_raw *raw, double value, uint8_t *data)
{
	float single = (float) value;
	uint32_t half;
	uint64_t bits;

	if (!isfinite(value) || (raw->size == 4 && !isfinite(single)))
		return -ERANGE;
	if (raw->size == 4) {
		memcpy(&half, &single, sizeof(half));
		bits = half;
	} else {
		memcpy(&bits, &value, sizeof(bits));
	}
	scatter(raw, bits, data);
	return 0;
}

static int to_real(const struct tg_value *value, double *ret)
{
	switch (value->type) {
	case TG_VALUE_BOOL:
		*ret = value->b;
		return 0;
	case TG_VALUE_INT:
		*ret = (double) value->i;
		return 0;
	case TG_VALUE_UINT:
		*ret = (double) value->u;
		return 0;
	case TG_VALUE_REAL:
		*ret = value->real;
		return 0;
	case TG_VALUE_NONE:
	case TG_VALUE_TEXT:
		break;
	}
	return -ERANGE;
}

/* A whole number as its magnitude and sign; reals are rounded. */
static int to_whole(const struct tg_value *value, bool *ret_negative, uint64_t *ret)
{
	double rounded;
	int r = 0;

	*ret_negative = false;
	if (value->type == TG_VALUE_UINT) {
		*ret = value->u;
	} else if (value->type == TG_VALUE_INT) {
		*ret_negative = value->i < 0;
		*ret = value->i < 0 ? -(uint64_t) value->i : (uint64_t) value->i;
	} else {
		r = to_real(value, &rounded);
		rounded = r < 0 ? 0 : round(rounded);
		if (r < 0 || !(rounded > -TWO_63 && rounded < TWO_64))
			return -ERANGE;
		*ret_negative = rounded < 0;
		*ret = (uint64_t) fabs(rounded);
	}
	return 0;
}

/* The bits of @value behind the mask, not yet shifted to their place. */
static int to_bits(const struct tg_raw *raw, const struct tg_value *value, uint64_t *ret)
{
	uint64_t top = sign_bit(raw), most = top | (top - 1), magnitude;
	bool negative;
	int r = to_whole(value, &negative, &magnitude);

	if (r < 0)
		return r;
	if (raw->form == TG_RAW_BOOL) {
		if (negative || magnitude > 1)
			return -ERANGE;
		*ret = magnitude ? raw->mask >> raw->shift : 0;
		/* A bool of a whole byte is 1, not 255. */
		if (magnitude && tg_raw_whole(raw))
			*ret = 1;
		return 0;
	}
	if (raw->form == TG_RAW_SIGNED ? magnitude > (negative ? top : top - 1)
				       : negative || magnitude > most)
		return -ERANGE;
	*ret = (negative ? -magnitude : magnitude) & most;
	/* A mask with holes holds not every number. */
	return *ret & ~(raw->mask >> raw->shift) ? -ERANGE : 0;
}

int tg_raw_value_put(const struct tg_raw *raw, const struct tg_value *value, uint8_t *data,
		     size_t len)
{
	uint64_t bits;
	double real;
	int r;

	if ((size_t) raw->at + raw->size > len)
		return -ERANGE;
	if (raw->form == TG_RAW_FLOAT) {
		r = to_real(value, &real);
		return r < 0 ? r : put_float(raw, real, data);
	}
	r = to_bits(raw, value, &bits);
	if (r < 0)
		return r;
	scatter(raw, (gather(raw, data) & ~raw->mask) | (bits << raw->shift), data);
	return 0;
}

const char *tg_raw_hex(const uint8_t *data, size_t len, char out[static TG_RAW_HEX_MAX])
{
	out[0] = '\0';
	for (size_t i = 0; i < len && i < TG_RAW_BYTES_MAX; i++)
		(void) snprintf(out + 3 * i, 4, i + 1 < len ? "%02x " : "%02x", data[i]);
	return out;
}

const char *tg_raw_show(const struct tg_raw *raw, const uint8_t *data, size_t len,
			char out[static TG_RAW_SHOWN_MAX])
{
	struct tg_value v = { .type = TG_VALUE_NONE };

	if (tg_raw_value_get(raw, data, len, &v) < 0)
		v.type = TG_VALUE_NONE;
	switch (v.type) {
	case TG_VALUE_BOOL:
		(void) snprintf(out, TG_RAW_SHOWN_MAX, "%s", v.b ? "true" : "false");
		break;
	case TG_VALUE_INT:
		(void) snprintf(out, TG_RAW_SHOWN_MAX, "%" PRId64, v.i);
		break;
	case TG_VALUE_UINT:
		(void) snprintf(out, TG_RAW_SHOWN_MAX, "%" PRIu64 " (0x%" PRIx64 ")", v.u, v.u);
		break;
	case TG_VALUE_REAL:
		(void) snprintf(out, TG_RAW_SHOWN_MAX, "%g", v.real);
		break;
	case TG_VALUE_NONE:
	case TG_VALUE_TEXT:
		(void) snprintf(out, TG_RAW_SHOWN_MAX, "not a finite number");
		break;
	}
	return out;
}
