/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/mqtt/extract.h"
#include "config/bus/mqtt_read.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const reads[] = { "/a",           "/a/0 number",  "/~1 bool",
				     "document hex", "payload",      "payload on=A off=B",
				     "payload hex",  "payload text", "topic:3 text" };

/* A payload, asked for every kind of value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct tg_config_device dev = { .mqtt = { .retained =
								       TG_MQTT_RETAINED_ACCEPT } };
	char *payload = malloc(len ? len : 1);
	struct tg_mqtt_message m = {
		.topic = "a/b/c", .payload = payload, .len = len, .max = 2048
	};

	if (!payload)
		return 0;
	if (len)
		memcpy(payload, data, len);
	for (size_t i = 0; i < TG_ARRAY_SIZE(reads); i++) {
		struct tg_config_point point = { .read = (char *) reads[i] };
		struct tg_sample s = { .quality = TG_STALE };
		struct tg_text_room room;

		if (tg_mqtt_read_parse(reads[i], &point.mqtt, NULL) < 0)
			abort();
		if (!tg_mqtt_extract(&dev, &point, &m, &room, &s))
			continue;
		assert(s.quality == TG_GOOD || (s.quality == TG_BAD && s.reason[0]));
		assert((s.quality == TG_GOOD) == (s.value.type != TG_VALUE_NONE));
		assert(s.value.type != TG_VALUE_REAL || isfinite(s.value.real));
	}
	tg_mqtt_message_done(&m);
	free(payload);
	return 0;
}
