/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where the packets begin and end in what a broker sends (MQTT 3.1.1 section
 * 2.2), and whether a client may go on listening to it. Paho makes room for
 * whatever length a packet announces, 256 MiB if need be, before a byte of it
 * has come, and keeps that room; so lengths are judged before Paho sees them.
 *
 * Only fixed headers are looked at; what packets contain is Paho's to decode.
 * Pure: no allocation, no clock. Any split of the bytes gives the same answer.
 */

/*
 * Bytes of a packet behind its fixed header. Four times what is delivered
 * (TG_MQTT_MESSAGE_MAX): a message that is merely too large is dropped and
 * told, and the session lives; one above this ends it.
 */
#define TG_MQTT_PACKET_MAX (1024u * 1024)

enum tg_mqtt_frame_fault {
	TG_MQTT_FRAME_GOOD,
	TG_MQTT_FRAME_TOO_LARGE, /* announces more than TG_MQTT_PACKET_MAX */
	TG_MQTT_FRAME_LENGTH,    /* remaining length of more than four bytes */
	TG_MQTT_FRAME_KIND,      /* a packet or flags that a broker never sends */
	TG_MQTT_FRAME_SIZE,      /* a length that this kind of packet cannot have */
	TG_MQTT_FRAME_ORDER,     /* CONNACK is not the first packet, and only that */
};

/* All zeros at the begin of a connection. */
struct tg_mqtt_frame {
	enum tg_mqtt_frame_fault fault; /* the first one; it stays */
	uint8_t first;    /* byte of the packet: kind and flags */
	uint8_t digits;   /* of the remaining length that have come */
	bool headed;      /* the first byte has come, the length not all of it */
	uint32_t length;  /* remaining length, as far as it has come */
	uint32_t left;    /* bytes of the packet's body that are still to come */
	uint64_t packets; /* whose header was complete and good */
};

/*
 * Takes the next @len bytes of the stream. Returns whether all is good; false for ever after a fault, whose kind, first
 * byte and length are kept. Never fails otherwise.
 */
bool tg_mqtt_frame_feed(struct tg_mqtt_frame *f, const uint8_t *data, size_t len);
/* What is wrong, as the end of a sentence that begins with the broker. Pure; returns @out. */
#define TG_MQTT_FRAME_WORDS_MAX 128
const char *tg_mqtt_frame_words(const struct tg_mqtt_frame *f, char out[static TG_MQTT_FRAME_WORDS_MAX]);
