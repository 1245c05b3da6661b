/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/sim_read.h"

#include <tidegate/sample.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_autofree char *text = malloc(len + 1);
	struct tg_sim_read read;
	struct tg_fault why;
	int r;

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	r = tg_sim_read_parse(text, &read, &why);
	assert(r == 0 || (r == -EINVAL && why.text[0]));
	assert(r < 0 || (read.bits >= 1 && read.bits <= 64));
	assert(r < 0 || read.form > TG_SIM_SQUARE || read.form < TG_SIM_SINE || read.period_us > 0);
	assert(r < 0 || read.form != TG_SIM_TEXT ||
	       (read.text >= text && read.text_len <= TG_TEXT_MAX &&
		read.text + read.text_len <= text + len));
	return 0;
}
