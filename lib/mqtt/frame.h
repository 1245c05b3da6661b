/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where the packets begin and end in what a broker sends (MQTT 3.1.1 section
 * 2.2), and what of it Paho may see. Paho makes room for whatever length a
 * packet announces, 256 MiB if need be, before a byte of it has come, and
 * keeps that room. So a message beyond a bound is cut short on the way: its
 * length is rewritten, and the rest of it is swallowed. Paho sees one that is
 * still larger than TG_MQTT_MESSAGE_MAX, which is acknowledged, dropped and
 * told like any other of that kind; the session lives, as it must where the
 * message is retained and comes again with each session.
 *
 * Only fixed headers are looked at; what packets contain is Paho's to decode.
 * Pure: no allocation, no clock. Any split of the bytes gives the same answer.
 */

/* A PUBLISH of so many bytes behind its fixed header passes whole; */
#define TG_MQTT_PACKET_MAX (1024u * 1024)
/*
 * of a larger one this many at least and at most. Not always the same, as only the last byte of the length can be changed:
 * those before it, seven bits each and the lowest first, are gone by the time that it comes.
 */
#define TG_MQTT_CUT_MIN (512u * 1024)
#define TG_MQTT_CUT_MAX (TG_MQTT_CUT_MIN + 2048u * 1024)

enum tg_mqtt_frame_fault {
	TG_MQTT_FRAME_GOOD,
	TG_MQTT_FRAME_LENGTH, /* remaining length of more than four bytes */
	TG_MQTT_FRAME_KIND,   /* a packet or flags that a broker never sends */
	TG_MQTT_FRAME_SIZE,   /* a length that this kind of packet cannot have */
	TG_MQTT_FRAME_ORDER,  /* CONNACK is not the first packet, and only that */
};

/* All zeros at the begin of a connection. */
struct tg_mqtt_frame {
	enum tg_mqtt_frame_fault fault; /* the first one; it stays */
	uint8_t first;    /* byte of the packet: kind and flags */
	uint8_t digits;   /* of the remaining length that have come */
	bool headed;      /* the first byte has come, the length not all of it */
	uint32_t length;  /* remaining length as the broker says, as far as it has come */
	uint32_t left;    /* bytes of the packet's body that are still to come and to pass */
	uint32_t skip;    /* bytes behind those that are to be swallowed */
	uint64_t packets; /* whose header was complete and good */
};

/*
 * Takes the next @len bytes of the stream, and leaves in @data what Paho may have of them. Returns how many those are;
 * behind a fault nothing passes for ever after, and its kind, first byte and length are kept. Never fails otherwise.
 */
size_t tg_mqtt_frame_pass(struct tg_mqtt_frame *f, uint8_t *data, size_t len);
/* What is wrong, as the end of a sentence that begins with the broker. Pure; returns @out. */
#define TG_MQTT_FRAME_WORDS_MAX 128
const char *tg_mqtt_frame_words(const struct tg_mqtt_frame *f, char out[static TG_MQTT_FRAME_WORDS_MAX]);
