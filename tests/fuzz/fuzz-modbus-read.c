/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/modbus_read.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_autofree char *text = malloc(len + 1);
	struct tg_modbus_read read;
	struct tg_fault why;
	int r;

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	r = tg_modbus_read_parse(text, &read, &why);
	assert(r == 0 || (r == -EINVAL && why.text[0]));
	assert(r < 0 || read.address + tg_modbus_read_span(&read) <= 65536);
	assert(r < 0 || (read.bit >= -1 && read.bit <= (read.n_bits ? 63 : 15)));
	assert(r < 0 || read.n_bits == 0 || read.bit + (int) read.n_bits <= 16 * (int) tg_modbus_read_span(&read));
	assert(r < 0 || read.length <= TG_MODBUS_STRING_MAX);
	return 0;
}
