/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/encode/encode.h"
#include "agent/pack/parcel.h"

#include <assert.h>
#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_and_parse(const struct tg_pack *pack, enum tg_format format)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer out = TG_BUFFER_INIT(16u << 20);
	json_t *root;

	tg_encoder_get(format)->encode(pack, pack->seq % 2 ? TG_STREAM_REPLAY : TG_STREAM_LIVE,
				       "urn:dev:\"\\\x01\xff:", &out);
	assert(tg_buffer_error(&out) == 0);
	root = json_loadb(out.data, out.len, 0, NULL);
	assert(root);
	json_decref(root);
}

/* Whatever the spool may hand out is printed as JSON that a strict reader takes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	struct tg_unpacked u;

	if (tg_parcel_from_bytes(data, size, &p) < 0 || tg_parcel_unpack(p, &u) < 0)
		return 0;
	encode_and_parse(&u.pack, TG_FORMAT_SENML_JSON);
	encode_and_parse(&u.pack, TG_FORMAT_JSON);
	tg_unpacked_done(&u);
	return 0;
}
