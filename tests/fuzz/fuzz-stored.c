/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pack/stored.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes are refused, or are a pack that survives being stored again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL, *again = NULL;
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_STORED_MAX);
	int r = tg_stored_read(data, size, &p);

	if (r < 0) {
		assert(r == -EBADMSG && !p);
		return 0;
	}
	r = tg_stored_write(&b, p);
	assert(r == 0);
	r = tg_stored_read((const uint8_t *) b.data, b.len, &again);
	assert(r == 0 && again->len == p->len && memcmp(again->bytes, p->bytes, p->len) == 0);
	return 0;
}
