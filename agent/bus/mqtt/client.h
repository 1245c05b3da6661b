/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A subscriber at a local broker, on libmosquitto; MQTT 3.1.1.
 *
 * Not Paho, which carries the link to the cloud: it has one lock for all clients of a process, and a local
 * broker that hangs would freeze the link. Without a thread of its own: whoever
 * owns the client waits for tg_mqtt_client_fd() and calls tg_mqtt_client_turn(), which never waits
 * but for the resolver when the host is a name (as long as /etc/resolv.conf says).
 *
 * Doubt costs the connection: after any failure the library's object is thrown away and a new one made for the next attempt.
 * The addresses of the host are tried in turn; then there is a pause, of RETRY_US where the broker is away, longer where it
 * refuses us or misbehaves.
 *
 * libmosquitto does not bound what it receives, and reads on while there is something to read. A
 * message costs the connection once TG_MQTT_CLIENT_BYTES of it have come and the broker pauses: one
 * that a local broker sends without any pause can take memory up to its own limit, which
 * message_size_limit of mosquitto.conf sets. A broker that sends messages faster than they can be
 * read loses the connection, too.
 */
#define TG_MQTT_CLIENT_BYTES (8u * 1024 * 1024)
#define TG_MQTT_CLIENT_US                                                                          \
	UINT64_C(                                                                                  \
		2000000) /* from one attempt to the next: a broker that is back is found within 5 s */

struct tg_mqtt_client;

struct tg_mqtt_subscription {
	char *filter; /* owned by whoever made the array */
	unsigned qos;
	bool refused; /* by the broker, in this session */
};

/* During tg_mqtt_client_turn(). @payload is @len bytes, not terminated; all is the client's. */
typedef void (*tg_mqtt_message_fn)(void *user, const char *topic, const char *payload, size_t len,
				   bool retained);

/* @cfg and the @n @subs are kept. Connects nowhere yet. Returns 0 and an owned client, or -ENOMEM. */
int tg_mqtt_client_new(const struct tg_mqtt_bus *cfg, struct tg_mqtt_subscription *subs, size_t n,
		       tg_mqtt_message_fn fn, void *user, struct tg_mqtt_client **ret,
		       struct tg_fault *reterr) TG_CHECKED;
/* Says good-bye where it can. Accepts NULL, returns NULL. */
struct tg_mqtt_client *tg_mqtt_client_free(struct tg_mqtt_client *c);
/* The descriptor that becomes readable when there is something to do, or -1, and *ret_wake_us: when there is all the same. */
int tg_mqtt_client_fd(struct tg_mqtt_client *c, uint64_t *ret_wake_us);
/*
 * Does what there is to do. Returns 0, also while the first attempt is under way, or -ENOTCONN and why: from the first
 * failure until the broker has accepted us again.
 */
int tg_mqtt_client_turn(struct tg_mqtt_client *c, struct tg_fault *reterr);
/* Another subscription for a while, for a look round; @fn and @user take the place of the client's. NULL ends it. -ENOTCONN. */
int tg_mqtt_client_look(struct tg_mqtt_client *c, const char *filter, tg_mqtt_message_fn fn,
			void *user) TG_CHECKED;
/* Whether the broker has accepted us. Never fails. */
bool tg_mqtt_client_is_up(const struct tg_mqtt_client *c);
/* Whether @filter covers @topic (MQTT 3.1.1 section 4.7). Never fails. */
bool tg_mqtt_client_matches(const char *filter, const char *topic);
