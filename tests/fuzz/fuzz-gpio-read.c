/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/gpio_read.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_autofree char *text = malloc(len + 1);
	struct tg_gpio_read read;
	struct tg_fault why;
	int r;

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	r = tg_gpio_read_parse(text, &read, &why);
	assert(r == 0 || (r == -EINVAL && why.text[0]));
	if (r < 0)
		return 0;
	assert(strlen(read.line.name) <= TG_GPIO_NAME_MAX && read.line.offset <= 65535);
	assert(!(read.edges && read.count) && (read.edges | read.count) <= 3);
	assert(!read.line.output || !(read.edges | read.count | read.line.debounce_us));
	return 0;
}
