/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/frame.h"

#include <tidegate/cleanup.h>

#include <stdio.h>

#define DIGITS_MAX 4 /* of a remaining length, 7 bits each */
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
	[PUBLISH] = { "PUBLISH", 0, 2, TG_MQTT_PACKET_MAX },
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

	if (f->length > TG_MQTT_PACKET_MAX)
		return TG_MQTT_FRAME_TOO_LARGE;
	return f->length >= k->min && f->length <= k->max ? TG_MQTT_FRAME_GOOD : TG_MQTT_FRAME_SIZE;
}

static void take_digit(struct tg_mqtt_frame *f, uint8_t digit)
{
	f->length |= (uint32_t) (digit & 127u) << (7 * f->digits);
	f->digits++;
	if (digit & 128u) {
		if (f->digits == DIGITS_MAX)
			f->fault = TG_MQTT_FRAME_LENGTH;
		return;
	}
	f->fault = judge_length(f);
	f->left = f->length;
	f->headed = false;
	f->packets += f->fault == TG_MQTT_FRAME_GOOD;
}

static void take_first(struct tg_mqtt_frame *f, uint8_t first)
{
	f->first = first;
	f->headed = true;
	f->digits = 0;
	f->length = 0;
	f->fault = judge_first(f);
}

bool tg_mqtt_frame_feed(struct tg_mqtt_frame *f, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len && f->fault == TG_MQTT_FRAME_GOOD;) {
		size_t body = f->left < len - i ? f->left : len - i;

		if (body) {
			f->left -= (uint32_t) body;
			i += body;
		} else if (f->headed) {
			take_digit(f, data[i++]);
		} else {
			take_first(f, data[i++]);
		}
	}
	return f->fault == TG_MQTT_FRAME_GOOD;
}

const char *tg_mqtt_frame_words(const struct tg_mqtt_frame *f, char out[static TG_MQTT_FRAME_WORDS_MAX])
{
	const char *name = kinds[kind_of(f)].name;
	const size_t size = TG_MQTT_FRAME_WORDS_MAX;

	switch (f->fault) {
	case TG_MQTT_FRAME_GOOD:
		(void) snprintf(out, size, "keeps to MQTT");
		break;
	case TG_MQTT_FRAME_TOO_LARGE:
		(void) snprintf(out, size, "announced a packet of %u bytes, more than %u are not taken", f->length,
				TG_MQTT_PACKET_MAX);
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
