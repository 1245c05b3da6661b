/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/total.h"

#include "base/buffer.h"
#include "base/crc32c.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void line(void *user, const char *name, uint64_t last, uint64_t total)
{
	struct tg_buffer *b = user;
	const struct tg_total t = { .last = last, .total = total };

	assert(strlen(name) <= TG_NAME_MAX);
	tg_totals_put(b, name, &t);
}

/* The first byte says whether the sum is made right, as few inputs would come by it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer in = TG_BUFFER_INIT(1 << 20), out = TG_BUFFER_INIT(1 << 22);
	int r;

	if (len == 0)
		return 0;
	tg_buffer_add(&in, data + 1, len - 1);
	if (data[0] & 1)
		tg_totals_put_tail(&in);
	tg_totals_put_head(&out);
	r = tg_totals_parse(tg_buffer_text(&in), in.len, line, &out);
	assert(r == 0 || r == -EBADMSG);
	return 0;
}
