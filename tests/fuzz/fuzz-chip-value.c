/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/i2c/check.h"
#include "agent/bus/raw_value.h"
#include "config/bus/i2c_read.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Bits of a float that is no number have nothing to come back to, and -0 is 0. */
static void round_trip(const struct tg_raw *raw, const struct tg_value *v, const uint8_t *bytes)
{
	struct tg_value back;
	uint8_t again[TG_RAW_BYTES_MAX];

	memcpy(again, bytes, sizeof(again));
	assert(tg_raw_value_put(raw, v, again, sizeof(again)) == 0);
	assert(tg_raw_value_get(raw, again, sizeof(again), &back) == 0);
	assert(back.type == v->type);
	if (v->type == TG_VALUE_REAL)
		assert(back.real == v->real);
	else
		assert(v->type == TG_VALUE_BOOL ? back.b == v->b : back.u == v->u);
}

/* A description of 12 bytes, then what a chip answers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t sizes[] = { 1, 2, 3, 4, 8 };
	uint8_t answer[TG_RAW_BYTES_MAX] = { 0 };
	struct tg_i2c_transfer t = { .n_read = 6 };
	struct tg_value v = { .type = TG_VALUE_NONE };
	struct tg_raw raw = { .at = 0 };
	int r;

	if (len < 12)
		return 0;
	raw.form = (enum tg_raw_form)(data[0] % 4);
	raw.order = (enum tg_raw_order)(data[1] % 4);
	raw.size = sizes[data[2] % sizeof(sizes)];
	if (raw.form == TG_RAW_FLOAT)
		raw.size = data[2] & 1 ? 4 : 8;
	if (raw.size < 4)
		raw.order = data[1] & 1 ? TG_RAW_ABCD : TG_RAW_DCBA;
	raw.at = data[3] % TG_RAW_BYTES_MAX;
	memcpy(&raw.mask, data + 4, 8);
	raw.mask &= raw.size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * raw.size) - 1;
	if (raw.mask == 0)
		raw.mask = 1;
	while (raw.form != TG_RAW_BOOL && data[0] & 0x80 && !(raw.mask >> raw.shift & 1))
		raw.shift++;
	memcpy(answer, data + 12, len - 12 < sizeof(answer) ? len - 12 : sizeof(answer));

	r = tg_raw_value_get(&raw, answer, sizeof(answer), &v);
	assert(r == 0 || r == -ERANGE || r == -EDOM);
	assert(r < 0 || v.type != TG_VALUE_REAL || isfinite(v.real));
	if (r == 0)
		round_trip(&raw, &v, answer);
	t.check = (enum tg_i2c_check)(data[3] >> 6);
	r = tg_i2c_strip(&t, data[2], answer);
	assert(r == 0 || r == -EBADMSG);
	return 0;
}
