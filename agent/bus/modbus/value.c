/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/value.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(float) == 4 && sizeof(double) == 8, "IEEE 754 is taken for granted");

bool tg_modbus_is_bits(enum tg_modbus_table table)
{
	return table == TG_MODBUS_COIL || table == TG_MODBUS_DISCRETE;
}

bool tg_modbus_is_part(const struct tg_modbus_read *r)
{
	return !tg_modbus_is_bits(r->table) &&
	       (r->bit >= 0 || r->type == TG_MODBUS_INT8 || r->type == TG_MODBUS_UINT8);
}

static void good(struct tg_sample *out, struct tg_value value)
{
	out->value = value;
	out->quality = TG_GOOD;
	out->reason = "";
}

static void bad(struct tg_sample *out, const char *reason)
{
	out->value = (struct tg_value){ .type = TG_VALUE_NONE };
	out->quality = TG_BAD;
	out->reason = reason;
}

/* Which byte of the wire is the i-th most significant one, in a value of @size bytes. */
static size_t wire_index(enum tg_modbus_order order, size_t size, size_t i)
{
	switch (order) {
	case TG_ORDER_ABCD:
		return i;
	case TG_ORDER_CDAB:
		return (size - 2 - (i & ~(size_t) 1)) + (i & 1);
	case TG_ORDER_BADC:
		return i ^ 1;
	case TG_ORDER_DCBA:
		return size - 1 - i;
	}
	assert(false);
	return i;
}

static uint64_t assemble(enum tg_modbus_order order, const uint8_t *wire, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | wire[wire_index(order, size, i)];
	return v;
}

static void scatter(enum tg_modbus_order order, uint64_t v, uint8_t *wire, size_t size)
{
	for (size_t i = 0; i < size; i++)
		wire[wire_index(order, size, i)] = (uint8_t) (v >> 8 * (size - 1 - i));
}

/* 10^0 .. 10^22, the powers of ten that a double holds exactly. */
static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
			       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
			       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* What devices measure: here all powers of ten in shorten() are exact. */
#define USUAL_MIN 1e-12
#define USUAL_MAX 1e12

/* @v times ten to the @power, -22 .. 22; rounded once, so of an integer it is what strtod() makes of its digits. */
static double shift(double v, int power)
{
	return power < 0 ? v / tens[-power] : v * tens[power];
}

/* For v in USUAL_MIN .. USUAL_MAX: the power of ten of its first digit. */
static int first_digit(double v)
{
	int power = 0;

	while (v >= tens[power + 1])
		power++;
	while (shift(v, -power) < 1)
		power--;
	return power;
}

/* The same as shorten_text(), by arithmetic, in a thirtieth of its time. */
static double shorten(float f)
{
	double v = fabs((double) f), shown = v;
	int first = first_digit(v);

	for (int digits = FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
		int after = digits - 1 - first;

		shown = shift(nearbyint(shift(v, after)), -after);
		if ((double) (float) shown == v)
			break;
	}
	return copysign(shown, f);
}

static double shorten_text(float f)
{
	double shown = 0;
	char text[32];

	/* FLT_DECIMAL_DIG digits are enough for every float. Both functions follow the same locale. */
	for (int digits = FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
		(void) snprintf(text, sizeof(text), "%.*g", digits, (double) f);
		shown = strtod(text, NULL);
		if ((float) shown == f)
			break;
	}
	return shown;
}

/*
 * The double that prints as the device's float does: 21.7 and not 21.700000762939453. Of all
 * decimals that read back as this float the shortest is taken, which is what the device meant.
 */
static double real_of_32(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	if (!isfinite(f))
		return f;
	/* Where doubles are computed with more bits they are rounded twice, which is once too often. */
	if (FLT_EVAL_METHOD == 0 && fabs((double) f) >= USUAL_MIN && fabs((double) f) < USUAL_MAX)
		return shorten(f);
	return shorten_text(f);
}

static double real_of_64(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

static void put_real(double raw, struct tg_sample *out)
{
	if (!isfinite(raw))
		return bad(out, "not a number");
	good(out, (struct tg_value){ .type = TG_VALUE_REAL, .real = raw });
}

static void put_int(int64_t raw, struct tg_sample *out)
{
	good(out, (struct tg_value){ .type = TG_VALUE_INT, .i = raw });
}

static void put_uint(uint64_t raw, struct tg_sample *out)
{
	good(out, (struct tg_value){ .type = TG_VALUE_UINT, .u = raw });
}

/* Text as people put it into registers: ends at a NUL, or is filled up with blanks. */
static void put_text(const struct tg_modbus_read *r, const uint8_t *wire, char *text,
		     struct tg_sample *out)
{
	char bytes[TG_MODBUS_STRING_MAX];
	size_t n = 0;

	assert(text && r->length <= sizeof(bytes));
	while (n < r->length && wire[r->order == TG_ORDER_BADC ? n ^ 1 : n] != '\0') {
		bytes[n] = (char) wire[r->order == TG_ORDER_BADC ? n ^ 1 : n];
		n++;
	}
	while (n > 0 && bytes[n - 1] == ' ')
		n--;
	(void) tg_printable(text, TG_MODBUS_STRING_MAX + 1, bytes, n);
	good(out, (struct tg_value){ .type = TG_VALUE_TEXT, .text = text });
}

void tg_modbus_decode_bit(const struct tg_config_point *p, bool bit, struct tg_sample *out)
{
	(void) p;
	good(out, (struct tg_value){ .type = TG_VALUE_BOOL, .b = bit });
}

/* How many bits an integer has, and whether it has a sign; 0 for what is none. */
static unsigned integer_bits(const struct tg_modbus_read *r, bool *ret_signed)
{
	unsigned bits = 0;

	*ret_signed = r->type == TG_MODBUS_INT8 || r->type == TG_MODBUS_INT16 ||
		      r->type == TG_MODBUS_INT32 || r->type == TG_MODBUS_INT64;
	switch (r->type) {
	case TG_MODBUS_INT8:
	case TG_MODBUS_UINT8:
		bits = 8;
		break;
	case TG_MODBUS_INT16:
	case TG_MODBUS_UINT16:
	case TG_MODBUS_INT32:
	case TG_MODBUS_UINT32:
	case TG_MODBUS_INT64:
	case TG_MODBUS_UINT64:
		bits = 16 * tg_modbus_read_span(r);
		break;
	case TG_MODBUS_BOOL:
	case TG_MODBUS_FLOAT32:
	case TG_MODBUS_FLOAT64:
	case TG_MODBUS_STRING:
		return 0;
	}
	return r->n_bits > 0 && r->n_bits < bits ? r->n_bits : bits;
}

static uint64_t mask_of(unsigned bits)
{
	return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static unsigned shift_of(const struct tg_modbus_read *r)
{
	return r->n_bits > 0 ? (unsigned) r->bit : 0;
}

static void put_integer(const struct tg_modbus_read *r, uint64_t raw, struct tg_sample *out)
{
	bool is_signed;
	unsigned bits = integer_bits(r, &is_signed);
	uint64_t v = raw >> shift_of(r) & mask_of(bits);

	if (!is_signed)
		return put_uint(v, out);
	if (v >> (bits - 1) & 1)
		v |= ~mask_of(bits);
	put_int((int64_t) v, out);
}

void tg_modbus_decode(const struct tg_config_point *p, const uint8_t *wire, char *text,
		      struct tg_sample *out)
{
	const struct tg_modbus_read *r = &p->modbus;
	uint64_t raw;

	if (r->type == TG_MODBUS_STRING)
		return put_text(r, wire, text, out);
	raw = assemble(r->order, wire, 2 * (size_t) tg_modbus_read_span(r));
	if (r->type == TG_MODBUS_BOOL)
		return tg_modbus_decode_bit(p, r->bit < 0 ? raw != 0 : raw >> (r->bit & 15) & 1,
					    out);
	if (r->type == TG_MODBUS_FLOAT32)
		return put_real(real_of_32((uint32_t) raw), out);
	if (r->type == TG_MODBUS_FLOAT64)
		return put_real(real_of_64(raw), out);
	put_integer(r, raw, out);
}

/* --- the other way --- */

static int cannot_hold(double v, struct tg_fault *reterr)
{
	return tg_fault_set(reterr, -ERANGE, "%.10g does not fit into the point's type", v);
}

/* @v as a whole number of @bits, two's complement. */
static int whole_of(const struct tg_value *v, unsigned bits, bool is_signed, uint64_t *ret,
		    struct tg_fault *reterr)
{
	uint64_t magnitude, most = mask_of(is_signed ? bits - 1 : bits);
	bool negative = false;

	if (v->type == TG_VALUE_UINT) {
		magnitude = v->u;
	} else if (v->type == TG_VALUE_INT) {
		negative = v->i < 0;
		magnitude = negative ? -(uint64_t) v->i : (uint64_t) v->i;
	} else if (v->type == TG_VALUE_REAL) {
		if (nearbyint(v->real) != v->real)
			return tg_fault_set(reterr, -ERANGE, "%.10g is no whole number", v->real);
		negative = v->real < 0;
		if (fabs(v->real) >= 0x1p64)
			return cannot_hold(v->real, reterr);
		magnitude = (uint64_t) fabs(v->real);
	} else {
		return tg_fault_set(reterr, -EINVAL, "a number is needed");
	}
	/* There is one more negative number than there are positive ones. */
	if (negative && magnitude > 0 ? !is_signed || magnitude > most + 1 : magnitude > most)
		return cannot_hold(negative ? -(double) magnitude : (double) magnitude, reterr);

	*ret = (negative ? -magnitude : magnitude) & mask_of(bits);
	return 0;
}

static int real_of(const struct tg_value *v, double *ret, struct tg_fault *reterr)
{
	switch (v->type) {
	case TG_VALUE_INT:
		*ret = (double) v->i;
		break;
	case TG_VALUE_UINT:
		*ret = (double) v->u;
		break;
	case TG_VALUE_REAL:
		*ret = v->real;
		break;
	case TG_VALUE_NONE:
	case TG_VALUE_BOOL:
	case TG_VALUE_TEXT:
		return tg_fault_set(reterr, -EINVAL, "a number is needed");
	}
	return isfinite(*ret) ? 0 : cannot_hold(*ret, reterr);
}

int tg_modbus_encode_bit(const struct tg_value *v, bool *ret, struct tg_fault *reterr)
{
	if (v->type == TG_VALUE_BOOL)
		*ret = v->b;
	else if ((v->type == TG_VALUE_INT || v->type == TG_VALUE_UINT) && v->u <= 1)
		*ret = v->u == 1;
	else
		return tg_fault_set(reterr, -EINVAL, "true or false is needed");
	return 0;
}

static int encode_text(const struct tg_modbus_read *r, const struct tg_value *v, uint8_t *wire,
		       struct tg_fault *reterr)
{
	size_t len, size = 2 * (size_t) tg_modbus_read_span(r);

	if (v->type != TG_VALUE_TEXT)
		return tg_fault_set(reterr, -EINVAL, "a text is needed");
	len = strlen(v->text);
	if (len > r->length)
		return tg_fault_set(reterr, -ERANGE, "the text has %zu bytes, the point %u", len,
				    r->length);
	memset(wire, 0, size);
	for (size_t i = 0; i < len; i++)
		wire[r->order == TG_ORDER_BADC ? i ^ 1 : i] = (uint8_t) v->text[i];
	return 0;
}

/* The bits of a number or truth value, as far as the value has some, and which these are. */
static int bits_of(const struct tg_modbus_read *r, const struct tg_value *v, uint64_t *ret_bits,
		   uint64_t *ret_mask, struct tg_fault *reterr)
{
	bool is_signed, truth;
	unsigned bits = integer_bits(r, &is_signed);
	int x = 0;

	if (r->type == TG_MODBUS_BOOL) {
		x = tg_modbus_encode_bit(v, &truth, reterr);
		*ret_mask = r->bit < 0 ? mask_of(16) : UINT64_C(1) << (r->bit & 15);
		*ret_bits = x == 0 && truth ? *ret_mask & (r->bit < 0 ? 1 : UINT64_MAX) : 0;
		return x;
	}
	x = whole_of(v, bits, is_signed, ret_bits, reterr);
	if (x < 0)
		return x;
	*ret_mask = mask_of(bits) << shift_of(r);
	*ret_bits <<= shift_of(r);
	return 0;
}

static int encode_real(const struct tg_modbus_read *r, const struct tg_value *v, uint8_t *wire,
		       struct tg_fault *reterr)
{
	uint64_t bits64;
	uint32_t bits32;
	double real = 0;
	float f;
	int x = real_of(v, &real, reterr);

	if (x < 0)
		return x;
	if (r->type == TG_MODBUS_FLOAT64) {
		memcpy(&bits64, &real, sizeof(bits64));
		scatter(r->order, bits64, wire, 8);
		return 0;
	}
	if (fabs(real) > (double) FLT_MAX)
		return cannot_hold(real, reterr);
	f = (float) real;
	memcpy(&bits32, &f, sizeof(bits32));
	scatter(r->order, bits32, wire, 4);
	return 0;
}

int tg_modbus_encode(const struct tg_modbus_read *r, const struct tg_value *v, uint8_t *wire,
		     struct tg_fault *reterr)
{
	size_t size = 2 * (size_t) tg_modbus_read_span(r);
	uint64_t bits = 0, mask = 0, raw;
	int x;

	if (r->type == TG_MODBUS_STRING)
		return encode_text(r, v, wire, reterr);
	if (r->type == TG_MODBUS_FLOAT32 || r->type == TG_MODBUS_FLOAT64)
		return encode_real(r, v, wire, reterr);
	x = bits_of(r, v, &bits, &mask, reterr);
	if (x < 0)
		return x;
	raw = tg_modbus_is_part(r) ? assemble(r->order, wire, size) : 0;
	scatter(r->order, (raw & ~mask) | bits, wire, size);
	return 0;
}
