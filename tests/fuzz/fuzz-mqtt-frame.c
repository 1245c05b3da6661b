/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/frame.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* However the bytes are split, the answer is the same; no packet that passes is larger than the bound. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_mqtt_frame whole = { 0 }, single = { 0 }, uneven = { 0 };
	char words[TG_MQTT_FRAME_WORDS_MAX];
	bool good = tg_mqtt_frame_feed(&whole, data, len);
	size_t step = len ? data[0] % 7u + 1 : 1;

	for (size_t i = 0; i < len; i++)
		if (tg_mqtt_frame_feed(&single, data + i, 1))
			assert(single.left <= TG_MQTT_PACKET_MAX && single.packets <= i);
	for (size_t i = 0; i < len; i += step)
		(void) tg_mqtt_frame_feed(&uneven, data + i, len - i < step ? len - i : step);
	assert(good == (whole.fault == TG_MQTT_FRAME_GOOD));
	assert(whole.fault == single.fault && whole.fault == uneven.fault);
	assert(whole.left == single.left && whole.left == uneven.left);
	assert(whole.packets == single.packets && whole.packets == uneven.packets);
	assert(strlen(tg_mqtt_frame_words(&whole, words)) < sizeof(words));
	return 0;
}
