/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mqtt/session.h"

/*
 * Requests and answers over one short MQTT session, in the way of AWS IoT: a request is published
 * to TOPIC, its answer comes on TOPIC/accepted or TOPIC/rejected, on the same connection and no
 * other.
 *
 * There is no correlation id, so one request is in flight at a time and what does not belong to it
 * (a late or repeated answer to an earlier one) is dropped. Subscriptions stand before anything is
 * published, or the answer could be missed. One thread; every call blocks until it is done or its
 * deadline (CLOCK_BOOTTIME) has passed.
 *
 * Errors, of all functions:
 *	-EHOSTUNREACH	no name, no route, nobody listens
 *	-ETIMEDOUT	no answer in time
 *	-ECONNRESET	the broker ended the connection
 *	-ECONNABORTED	the broker's certificate does not verify
 *	-EPERM		the broker refused our certificate, client id or subscription, in words
 *	-EMSGSIZE	an answer that is too long
 *	-ENOENT		our own files; the text names them
 *	-EIO		the key could not sign
 */
struct tg_mqtt_once;

/*
 * Connects. @o needs neither session number nor in_flight nor will. 0 and an owned session. Also on
 * failure @ret_cause says why there was no session, as far as the broker or the network had a say.
 */
int tg_mqtt_once_open(const struct tg_mqtt_options *o, uint64_t deadline_us,
		      enum tg_mqtt_cause *ret_cause, struct tg_mqtt_once **ret,
		      struct tg_fault *reterr) TG_CHECKED;

/* Seconds since 1970 that the broker's certificate proves to be past; 0: it proves nothing. */
int64_t tg_mqtt_once_peer_not_before(const struct tg_mqtt_once *m);

/* Subscribes to both answers of @topic and waits until the broker has granted them. */
int tg_mqtt_once_prepare(struct tg_mqtt_once *m, const char *topic, uint64_t deadline_us,
			 struct tg_fault *reterr) TG_CHECKED;

struct tg_mqtt_reply {
	bool accepted;
	uint8_t *payload; /* owned */
	size_t len;
};
/* Clears the payload, which may hold secrets. */
void tg_mqtt_reply_done(struct tg_mqtt_reply *r);

/* Publishes to a prepared @topic and waits for the answer. 0 also when that is a rejection:
 * @ret->accepted says. */
int tg_mqtt_once_call(struct tg_mqtt_once *m, const char *topic, const void *payload, size_t len,
		      uint64_t deadline_us, struct tg_mqtt_reply *ret,
		      struct tg_fault *reterr) TG_CHECKED;

/* Disconnects in order and frees. Accepts NULL, returns NULL. Blocks about 2 s at most, longer only
 * when Paho hangs. */
struct tg_mqtt_once *tg_mqtt_once_close(struct tg_mqtt_once *m);
TG_DEFINE_CLEANUP(struct tg_mqtt_once *, tg_mqtt_once_close)
