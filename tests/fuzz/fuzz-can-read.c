/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/can_read.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_autofree char *text = malloc(len + 1);
	struct tg_can_read read;
	struct tg_fault why;
	int r;

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	r = tg_can_read_parse(text, &read, &why);
	assert(r == 0 || (r == -EINVAL && why.text[0]));
	if (r < 0)
		return 0;
	assert(read.id <= 0x1fffffff && (read.extended || read.id <= 0x7ff));
	assert(tg_can_field_bytes(&read.field) <= (read.j1939 ? TG_J1939_SIZE : TG_CAN_FRAME));
	assert(read.kind == TG_CAN_TEXT || (read.field.length >= 1 && read.field.length <= 64));
	assert(read.n_mux <= TG_CAN_MUX && read.source >= TG_CAN_ANY && read.source <= 253);
	return 0;
}
