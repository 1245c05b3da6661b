/* SPDX-License-Identifier: Apache-2.0 */
#include "udev/can/settings.h"

#include <assert.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void count(void *user, unsigned line, const char *text)
{
	(void) line;
	assert(text[0]);
	(*(unsigned *) user)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tg_can_settings s;
	unsigned complaints = 0;
	char text[160];
	int r = tg_can_settings_read((const char *) data, len, count, &complaints, &s);

	assert(r == (complaints ? -EINVAL : 0));
	if (r < 0)
		return 0;
	assert(s.bit_rate >= 1000 && s.bit_rate <= 1000000);
	assert(!s.data_bit_rate || s.data_bit_rate >= s.bit_rate);
	assert(s.sample_point == 0 || (s.sample_point >= 500 && s.sample_point < 1000));
	assert(tg_can_settings_text(&s, text, sizeof(text))[0]);
	return 0;
}
