/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/text.h"
#include "config/config.h"
#include "json/json.h"

/*
 * What a message says of a point: a member of its JSON document, its payload
 * as text, a level of its topic. Pure.
 */
struct tg_mqtt_message {
	const char *topic;
	const char *payload;
	size_t len;
	bool retained;
	size_t max; /* longest payload that is looked into */
	/* The document, parsed when the first point wants it. */
	bool tried;
	struct json_t *doc;
	struct tg_fault fault;
};

/* Gives back what the message holds; not the texts. */
void tg_mqtt_message_done(struct tg_mqtt_message *m);
/*
 * Returns false when @m does not speak of @point (a member that is not there: devices tell what changed), else true with
 * value or reason in @out; strings live in @room or @m. Nothing but value, quality and reason is set.
 */
bool tg_mqtt_extract(const struct tg_config_device *dev, const struct tg_config_point *point,
		     struct tg_mqtt_message *m, struct tg_text_room *room, struct tg_sample *out);
