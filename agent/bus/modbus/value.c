/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/value.h"

#include <assert.h>
#include <math.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(float) == 4 && sizeof(double) == 8, "IEEE 754 is taken for granted");

unsigned tg_modbus_width(enum tg_modbus_type type)
{
	switch (type) {
	case TG_MODBUS_BOOL:
	case TG_MODBUS_INT16:
	case TG_MODBUS_UINT16:
		return 1;
	case TG_MODBUS_INT32:
	case TG_MODBUS_UINT32:
	case TG_MODBUS_FLOAT32:
		return 2;
	case TG_MODBUS_INT64:
	case TG_MODBUS_UINT64:
	case TG_MODBUS_FLOAT64:
		return 4;
	}
	assert(false);
	return 1;
}

bool tg_modbus_is_bits(enum tg_modbus_table table)
{
	return table == TG_MODBUS_COIL || table == TG_MODBUS_DISCRETE;
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

void tg_modbus_decode_bit(const struct tg_config_point *p, bool bit, struct tg_sample *out)
{
	(void) p;
	good(out, (struct tg_value){ .type = TG_VALUE_BOOL, .b = bit });
}

void tg_modbus_decode(const struct tg_config_point *p, const uint8_t *wire, struct tg_sample *out)
{
	const struct tg_modbus_read *r = &p->modbus;
	uint64_t raw = assemble(r->order, wire, 2 * (size_t) tg_modbus_width(r->type));

	switch (r->type) {
	case TG_MODBUS_BOOL:
		return tg_modbus_decode_bit(p, r->bit < 0 ? raw != 0 : raw >> (r->bit & 15) & 1,
					    out);
	case TG_MODBUS_INT16:
		return put_int((int16_t) raw, out);
	case TG_MODBUS_UINT16:
	case TG_MODBUS_UINT32:
	case TG_MODBUS_UINT64:
		return put_uint(raw, out);
	case TG_MODBUS_INT32:
		return put_int((int32_t) raw, out);
	case TG_MODBUS_INT64:
		return put_int((int64_t) raw, out);
	case TG_MODBUS_FLOAT32:
		return put_real(real_of_32((uint32_t) raw), out);
	case TG_MODBUS_FLOAT64:
		return put_real(real_of_64(raw), out);
	}
	assert(false);
}
