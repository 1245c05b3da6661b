/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/mqtt.h"

#include <tidegate/error.h>

/*
 * The `read` of a point that comes through a local broker. Pure.
 *
 *	/temperature [FORM] [topic=FILTER]   a member of a JSON document, RFC 6901
 *	document [FORM] [topic=FILTER]       the JSON document as a whole, as 21.5 or "on"
 *	payload [FORM] [topic=FILTER]        the payload as text
 *	topic:N [FORM] [topic=FILTER]        level N of the topic, from 1
 *
 * FORM is that of text_form.h; without one a member is what JSON says that it
 * is, a payload is a number and a level is a text. Slices of the result point into @text.
 */

/* Returns 0, or -EINVAL with what is wrong in @reterr. */
int tg_mqtt_read_parse(const char *text, struct tg_mqtt_read *ret,
		       struct tg_fault *reterr) TG_CHECKED;
/* A topic filter (MQTT 3.1.1 section 4.7): + alone in its level, # alone in the last. Returns 0 or -EINVAL. */
int tg_mqtt_filter_check(const char *filter, size_t len, struct tg_fault *reterr) TG_CHECKED;
