/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/frame.h"

#include <tidegate/cleanup.h>

#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 4 /* of a remaining length, 7 bits each */
#define DIGIT_BITS 7
#define LENGTH_MAX ((1u << DIGITS_MAX * DIGIT_BITS) - 1)
#define CONNACK    2
#define PUBLISH    3
#define QOS_MASK   6
#define QOS_3      6

/* What a broker may send to a client that subscribes to one filter at a time, by kind. */
static const struct kind {
	const char *name; /* NULL: nothing that a broker sends */
	uint8_t flags;    /* that it must have; PUBLISH: see is_known() */
	uint32_t min, max;
} kinds[16] = {
	[CONNACK] = { "CONNACK", 0, 2, 2 },
	/* A topic of two bytes of length and none of text is left to Paho. */
	[PUBLISH] = { "PUBLISH", 0, 2, LENGTH_MAX },
	[4] = { "PUBACK", 0, 2, 2 },
	[5] = { "PUBREC", 0, 2, 2 },
	[6] = { "PUBREL", 2, 2, 2 },
	[7] = { "PUBCOMP", 0, 2, 2 },
	[9] = { "SUBACK", 0, 3, 3 },
	[11] = { "UNSUBACK", 0, 2, 2 },
	[13] = { "PINGRESP", 0, 0, 0 },
};

static unsigned kind_of(const struct tg_mqtt_frame *f)
{
	return f->first >> 4;
}

static bool is_known(const struct tg_mqtt_frame *f)
{
	const struct kind *k = &kinds[kind_of(f)];
	unsigned flags = f->first & 15u;

	if (kind_of(f) == PUBLISH)
		return (flags & QOS_MASK) != QOS_3;
	return k->name && flags == k->flags;
}

static enum tg_mqtt_frame_fault judge_first(const struct tg_mqtt_frame *f)
{
	if (!is_known(f))
		return TG_MQTT_FRAME_KIND;
	return (kind_of(f) == CONNACK) == (f->packets == 0) ? TG_MQTT_FRAME_GOOD
							    : TG_MQTT_FRAME_ORDER;
}

static enum tg_mqtt_frame_fault judge_length(const struct tg_mqtt_frame *f)
{
	const struct kind *k = &kinds[kind_of(f)];

	return f->length >= k->min && f->length <= k->max ? TG_MQTT_FRAME_GOOD : TG_MQTT_FRAME_SIZE;
}

/* The length that a packet too large gets: its lower digits are what they are. */
static uint32_t cut_length(const struct tg_mqtt_frame *f)
{
	unsigned shift = DIGIT_BITS * (f->digits - 1u);
	uint32_t low = f->length & ((1u << shift) - 1), high = 0;

	if (low < TG_MQTT_CUT_MIN)
		high = (TG_MQTT_CUT_MIN - low + (1u << shift) - 1) >> shift;
	return low | high << shift;
}

/* Returns the digit that Paho gets in its place. */
static uint8_t take_digit(struct tg_mqtt_frame *f, uint8_t digit)
{
	f->length |= (uint32_t) (digit & 127u) << (DIGIT_BITS * f->digits);
	f->digits++;
	if (digit & 128u) {
		if (f->digits == DIGITS_MAX)
			f->fault = TG_MQTT_FRAME_LENGTH;
		return digit;
	}
	f->fault = judge_length(f);
	f->left = f->length > TG_MQTT_PACKET_MAX ? cut_length(f) : f->length;
	f->skip = f->length - f->left;
	f->headed = false;
	f->packets += f->fault == TG_MQTT_FRAME_GOOD;
	return (uint8_t) (f->left >> (DIGIT_BITS * (f->digits - 1)));
}

static void take_first(struct tg_mqtt_frame *f, uint8_t first)
{
	f->first = first;
	f->headed = true;
	f->digits = 0;
	f->length = 0;
	f->fault = judge_first(f);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t tg_mqtt_frame_pass(struct tg_mqtt_frame *f, uint8_t *data, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len && f->fault == TG_MQTT_FRAME_GOOD;) {
		size_t body = smaller(f->left, len - i), rest = smaller(f->skip, len - i);

		if (body) {
			memmove(data + kept, data + i, body);
			f->left -= (uint32_t) body;
			kept += body;
			i += body;
		} else if (rest) {
			f->skip -= (uint32_t) rest;
			i += rest;
		} else if (f->headed) {
			data[kept++] = take_digit(f, data[i++]);
		} else {
			take_first(f, data[i]);
			data[kept++] = data[i++];
		}
	}
	return f->fault == TG_MQTT_FRAME_GOOD ? kept : 0;
}

const char *tg_mqtt_frame_words(const struct tg_mqtt_frame *f, char out[static TG_MQTT_FRAME_WORDS_MAX])
{
	const char *name = kinds[kind_of(f)].name;
	const size_t size = TG_MQTT_FRAME_WORDS_MAX;

	switch (f->fault) {
	case TG_MQTT_FRAME_GOOD:
		(void) snprintf(out, size, "keeps to MQTT");
		break;
	case TG_MQTT_FRAME_LENGTH:
		(void) snprintf(out, size, "does not keep to MQTT: a packet's length has no end");
		break;
	case TG_MQTT_FRAME_KIND:
		(void) snprintf(out, size, "does not keep to MQTT: no broker's packet begins with 0x%02x", f->first);
		break;
	case TG_MQTT_FRAME_SIZE:
		(void) snprintf(out, size, "does not keep to MQTT: %s of %u bytes", name, f->length);
		break;
	case TG_MQTT_FRAME_ORDER:
		(void) snprintf(out, size, "does not keep to MQTT: %s",
				f->packets ? "a second CONNACK" : "CONNACK is not its first packet");
		break;
	}
	return out;
}
