/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pack/parcel.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes are refused, or are a pack that is written as the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL, *again = NULL;
	struct tg_unpacked u;
	int r;

	r = tg_parcel_from_bytes(data, size, &p);
	if (r < 0) {
		assert(r == -EBADMSG && !p);
		return 0;
	}
	r = tg_parcel_unpack(p, &u);
	assert(r == 0 && u.pack.n_samples > 0 && u.pack.seq == p->seq);
	assert(u.pack.device == tg_parcel_device(p));
	r = tg_parcel_new(&u.pack, &again);
	assert(r == 0 && again->len == size && memcmp(again->bytes, data, size) == 0);
	tg_unpacked_done(&u);
	return 0;
}
