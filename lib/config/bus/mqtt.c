/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/types.h"
#include "config/rows.h"

#define MQTT TG_BUS_BIT(TG_BUS_MQTT)

static const struct tg_config_key keys[] = {
	POINT("read", text, read, REQUIRED, "what is read", ONLY(MQTT)),
};

const struct tg_config_bus_keys tg_config_mqtt_bus_keys = {
	.keys = keys,
	.n = TG_ARRAY_SIZE(keys),
	.buses = MQTT,
};
