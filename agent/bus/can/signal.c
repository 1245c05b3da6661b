/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/signal.h"

#include "agent/bus/can/j1939.h"
#include "config/bus/can_read.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DELIMITER '*' /* ends a text of variable length, J1939-71 */

_Static_assert(sizeof(float) == 4 && sizeof(double) == 8, "IEEE 754 is taken for granted");

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

static unsigned bit_at(const uint8_t *data, unsigned bit)
{
	return data[bit / 8] >> bit % 8 & 1u;
}

uint64_t tg_can_bits(const struct tg_can_field *f, const uint8_t *data)
{
	uint64_t v = 0;
	unsigned at = f->start;

	for (unsigned i = 0; i < f->length; i++) {
		if (f->big) {
			/* From the highest bit on; behind the lowest bit of a byte comes the highest of the next. */
			v = v << 1 | bit_at(data, at);
			at = at % 8 ? at - 1 : at + 15;
		} else {
			v |= (uint64_t) bit_at(data, at + i) << i;
		}
	}
	return v;
}

/* Two's complement of @bits. */
static int64_t sign_extend(uint64_t v, unsigned bits)
{
	uint64_t sign = UINT64_C(1) << (bits - 1);

	return (int64_t) ((v ^ sign) - sign);
}

static void take_float(uint64_t raw, unsigned bits, struct tg_sample *out)
{
	uint32_t low = (uint32_t) raw;
	float single;
	double v;

	if (bits == 32) {
		memcpy(&single, &low, sizeof(single));
		v = single;
	} else {
		memcpy(&v, &raw, sizeof(v));
	}
	if (isfinite(v))
		good(out, (struct tg_value){ .type = TG_VALUE_REAL, .real = v });
	else
		bad(out, isnan(v) ? "not a number" : "infinite");
}

static void take_number(const struct tg_can_read *read, uint64_t raw, struct tg_sample *out)
{
	const char *verdict = NULL;

	switch (read->kind) {
	case TG_CAN_SIGNED:
		good(out, (struct tg_value){ .type = TG_VALUE_INT,
					     .i = sign_extend(raw, read->field.length) });
		return;
	case TG_CAN_FLOAT:
		take_float(raw, read->field.length, out);
		return;
	case TG_CAN_BOOL:
		good(out, (struct tg_value){ .type = TG_VALUE_BOOL, .b = raw != 0 });
		return;
	case TG_CAN_UNSIGNED:
	case TG_CAN_TEXT:
		break;
	}
	if (read->j1939 && !read->plain)
		verdict = tg_j1939_verdict(raw, read->field.length);
	if (verdict)
		bad(out, verdict);
	else
		good(out, (struct tg_value){ .type = TG_VALUE_UINT, .u = raw });
}

/* Without the filling behind it. */
static size_t trimmed(const uint8_t *text, size_t len)
{
	while (len > 0 && (text[len - 1] == 0xff || text[len - 1] == ' '))
		len--;
	return len;
}

static void take_text(const struct tg_can_read *read, const uint8_t *data, size_t len, char *room,
		      struct tg_sample *out)
{
	const uint8_t *text = data + read->field.start / 8u, *end;
	size_t n = read->field.length ? read->field.length / 8u : len - read->field.start / 8u;

	if (read->j1939 && !read->plain && text[0] == 0xff) {
		bad(out, "not available");
		return;
	}
	end = read->field.length ? NULL : memchr(text, DELIMITER, n);
	if (end)
		n = (size_t) (end - text);
	end = memchr(text, '\0', n);
	if (end)
		n = (size_t) (end - text);
	n = trimmed(text, n);
	if (n > TG_TEXT_MAX) {
		bad(out, "text too long");
		return;
	}
	(void) tg_printable(room, TG_TEXT_MAX + 1, text, n);
	good(out, (struct tg_value){ .type = TG_VALUE_TEXT, .text = room });
}

/* Returns whether the multiplexers select @read; a frame that ends before one of them selects nothing. */
static bool is_selected(const struct tg_can_read *read, const uint8_t *data, size_t len)
{
	for (unsigned i = 0; i < read->n_mux; i++) {
		const struct tg_can_mux *m = &read->mux[i];
		uint64_t v;

		if (tg_can_field_bytes(&m->field) > len)
			return false;
		v = tg_can_bits(&m->field, data);
		if (v < m->first || v > m->last)
			return false;
	}
	return true;
}

bool tg_can_signal(const struct tg_can_read *read, const uint8_t *data, size_t len,
		   char room[static TG_TEXT_MAX + 1], struct tg_sample *out)
{
	size_t need = tg_can_field_bytes(&read->field);

	if (!is_selected(read, data, len))
		return false;
	if (need > len) {
		(void) snprintf(room, TG_TEXT_MAX + 1, "%s of %zu bytes, %zu are needed",
				read->j1939 ? "group" : "frame", len, need);
		bad(out, room);
	} else if (read->kind == TG_CAN_TEXT) {
		take_text(read, data, len, room, out);
	} else {
		take_number(read, tg_can_bits(&read->field, data), out);
	}
	return true;
}
