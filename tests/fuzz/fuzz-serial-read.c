/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/serial_read.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_autofree char *text = malloc(len + 1);
	struct tg_serial_bytes bytes;
	struct tg_serial_read read;
	struct tg_fault why = { 0 };
	int r;

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	r = tg_serial_read_parse(text, &read, &why);
	assert(r == 0 || (r == -EINVAL && why.text[0]));
	assert(r < 0 || read.name.len == 0 ||
	       (read.name.at >= text && read.name.at + read.name.len <= text + len));
	assert(r < 0 || read.source != TG_SERIAL_BYTES ||
	       (read.width >= 1 && read.width <= 8 && read.bit < 64));
	r = tg_serial_escape_parse(text, &bytes, &why);
	assert(r == -EINVAL || (bytes.len >= 1 && bytes.len <= sizeof(bytes.data)));
	return 0;
}
