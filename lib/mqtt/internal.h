/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "mqtt/attempt.h"
#include "mqtt/session.h"

#include <MQTTAsync.h>
#include <pthread.h>

/*
 * A session as its two files see it: session.c (what the caller does) and
 * callbacks.c (what Paho does). Internal to lib/mqtt.
 *
 * Paho's callbacks run on its own threads with its global lock held. They take
 * the session's lock, change a few words and post. The session's lock is never
 * held while Paho is called.
 */
enum tg_mqtt_state {
	TG_MQTT_STATE_NEW,
	TG_MQTT_STATE_CONNECTING,
	TG_MQTT_STATE_UP,
	TG_MQTT_STATE_LEAVING,
	TG_MQTT_STATE_DOWN,
};

struct tg_mqtt_slot {
	struct tg_mqtt *m;
	uint64_t cookie;
	bool used;
};

struct tg_mqtt {
	MQTTAsync handle;
	struct tg_mailbox *events;
	struct tg_mqtt_attempt attempt;
	unsigned session, pick;
	char *ca_file, *anchors_pem;  /* one may be NULL */
	char *chain_file, *key_file;  /* key_file: NULL when the chain's file has it */
	char last_address[INET6_ADDRSTRLEN]; /* "": not known */
	char *will_topic;
	void *will_payload;
	size_t will_len;
	uint64_t connect_timeout_us;
	int keep_alive_s;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t given_back;
	enum tg_mqtt_state state;
	bool muted;  /* tg_mqtt_free() was called: no more events */
	bool broken; /* an event found no room */
	bool destroyed, abandoned;
	int dropped;
	unsigned in_flight, in_flight_max;
	struct tg_mqtt_slot slots[];
};

static inline void tg_mqtt_lock(struct tg_mqtt *m)
{
	(void) pthread_mutex_lock(&m->lock);
}

static inline void tg_mqtt_unlock(struct tg_mqtt *m)
{
	(void) pthread_mutex_unlock(&m->lock);
}

/* CONNECT_FAILED for what went wrong before Paho was asked. */
void tg_mqtt_fail_early(struct tg_mqtt *m, enum tg_mqtt_cause cause, const struct tg_fault *fault);

/* For Paho. The context of each is the session; of the two about a publish, its slot. */
void tg_mqtt_on_connected(void *context, MQTTAsync_successData *data);
void tg_mqtt_on_connect_failed(void *context, MQTTAsync_failureData *data);
void tg_mqtt_on_lost(void *context, char *cause);
int tg_mqtt_on_message(void *context, char *topic, int topic_len, MQTTAsync_message *msg);
int tg_mqtt_on_tls_error(const char *line, size_t len, void *context);
void tg_mqtt_on_published(void *context, MQTTAsync_successData *data);
void tg_mqtt_on_publish_failed(void *context, MQTTAsync_failureData *data);
void tg_mqtt_on_subscribed(void *context, MQTTAsync_successData *data);
void tg_mqtt_on_subscribe_failed(void *context, MQTTAsync_failureData *data);
void tg_mqtt_on_disconnected(void *context, MQTTAsync_successData *data);
void tg_mqtt_on_disconnect_failed(void *context, MQTTAsync_failureData *data);
