/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/encode/encode.h"

#include "agent/encode/json.h"

#include <assert.h>

const struct tg_encoder *tg_encoder_get(enum tg_format format)
{
	/* It has none, and the loader refuses it. */
	assert(format != TG_FORMAT_SENML_CBOR);

	switch (format) {
	case TG_FORMAT_JSON:
		return &tg_encoder_flat_json;
	case TG_FORMAT_SENML_JSON:
	case TG_FORMAT_SENML_CBOR:
		break;
	}
	return &tg_encoder_senml_json;
}
