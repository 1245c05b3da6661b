/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/text_form.h"

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of a local broker, topics and members. */

enum tg_mqtt_source {
	TG_MQTT_POINTER, /* a member of a JSON document, by JSON pointer (RFC 6901) */
	TG_MQTT_PAYLOAD, /* the payload as text */
	TG_MQTT_LEVEL,   /* a level of the topic, from 1 */
};
enum tg_mqtt_retained { TG_MQTT_RETAINED_ACCEPT, TG_MQTT_RETAINED_IGNORE, TG_MQTT_RETAINED_STALE };

#define TG_MQTT_LEVELS 32 /* of a topic */

struct tg_mqtt_read {
	enum tg_mqtt_source source;
	struct tg_slice pointer; /* as written, with its escapes; "" is the whole document */
	unsigned level;
	struct tg_text_form form;
	struct tg_slice topic; /* filter of its own; len 0: the device's */
};

struct tg_mqtt_device {
	char *topic; /* filter */
	enum tg_mqtt_retained retained;
	unsigned qos;
};

struct tg_mqtt_bus {
	char *host;
	uint16_t port;
	char *username, *password_file;
	char *ca, *certificate, *key; /* ca: TLS */
	char *client_id;              /* "": the broker gives one */
	bool clean_session;
	uint64_t keep_alive_us, connect_timeout_us;
	uint64_t max_payload;
};
