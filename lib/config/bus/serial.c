/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/types.h"
#include "config/rows.h"

#define SERIAL TG_BUS_BIT(TG_BUS_SERIAL)

static const struct tg_config_key keys[] = {
	POINT("read", text, read, REQUIRED, "what is read", ONLY(SERIAL)),
};

const struct tg_config_bus_keys tg_config_serial_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = SERIAL,
};
