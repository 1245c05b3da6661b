/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/frame.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define INPUT_MAX 4096

/* However the bytes are split, the same ones pass; none of the packets that do is larger than the bound. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_mqtt_frame whole = { 0 }, single = { 0 };
	static uint8_t at_once[INPUT_MAX], one_by_one[INPUT_MAX];
	char words[TG_MQTT_FRAME_WORDS_MAX];
	size_t n, kept = 0;

	if (len > INPUT_MAX)
		return 0;
	memcpy(at_once, data, len);
	n = tg_mqtt_frame_pass(&whole, at_once, len);
	for (size_t i = 0; i < len; i++) {
		one_by_one[kept] = data[i];
		kept += tg_mqtt_frame_pass(&single, one_by_one + kept, 1);
		assert(single.left <= TG_MQTT_CUT_MAX && single.packets <= i + 1);
	}
	assert(whole.fault == single.fault && whole.packets == single.packets);
	assert(whole.left == single.left && whole.skip == single.skip);
	assert(whole.fault ? n == 0 : n == kept && memcmp(at_once, one_by_one, n) == 0);
	assert(strlen(tg_mqtt_frame_words(&whole, words)) < sizeof(words));
	return 0;
}
