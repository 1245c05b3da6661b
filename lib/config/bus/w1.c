/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/types.h"
#include "config/rows.h"

#define W1 TG_BUS_BIT(TG_BUS_W1)

static const struct tg_config_key keys[] = {
	POINT("read", text, read, REQUIRED, "what is read", ONLY(W1)),
};

const struct tg_config_bus_keys tg_config_w1_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = W1,
};
