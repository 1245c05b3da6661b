/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/drivers.h"

static const struct tg_bus_driver *const drivers[] = {
	&tg_can_driver,
	&tg_exec_driver,
	&tg_gpio_driver,
	&tg_hwmon_driver,
	&tg_i2c_driver,
	&tg_iio_driver,
	&tg_modbus_rtu_driver,
	&tg_modbus_tcp_driver,
	&tg_mqtt_driver,
	&tg_serial_driver,
	&tg_sim_driver,
	&tg_spi_driver,
	&tg_w1_driver,
};

const struct tg_bus_driver *tg_bus_driver_get(enum tg_bus_type type)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(drivers); i++) {
		if (drivers[i]->type == type)
			return drivers[i];
	}
	return NULL;
}
