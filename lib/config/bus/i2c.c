/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/types.h"
#include "config/rows.h"

#define I2C TG_BUS_BIT(TG_BUS_I2C)

static const struct tg_config_key keys[] = {
	POINT("read", text, read, REQUIRED, "what is read", ONLY(I2C)),
};

const struct tg_config_bus_keys tg_config_i2c_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = I2C,
};
