/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/mqtt_read.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_slice(const struct tg_slice *s, const char *text, size_t len)
{
	assert(s->len == 0 || (s->at >= text && s->at + s->len <= text + len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_autofree char *text = malloc(len + 1);
	struct tg_mqtt_read read;
	struct tg_fault why = { 0 };
	int r;

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	r = tg_mqtt_read_parse(text, &read, &why);
	assert(r == 0 || (r == -EINVAL && why.text[0]));
	if (r < 0)
		return 0;
	check_slice(&read.pointer, text, len);
	check_slice(&read.topic, text, len);
	check_slice(&read.form.on, text, len);
	assert(read.source != TG_MQTT_LEVEL || (read.level >= 1 && read.level <= TG_MQTT_LEVELS));
	return 0;
}
