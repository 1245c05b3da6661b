/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/types.h"
#include "config/rows.h"

#define CAN TG_BUS_BIT(TG_BUS_CAN)

static const struct tg_config_key keys[] = {
	POINT("read", text, read, REQUIRED, "what is read", ONLY(CAN)),
};

const struct tg_config_bus_keys tg_config_can_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = CAN,
};
