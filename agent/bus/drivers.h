/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/driver.h"

/* The drivers of this build; registry.c lists them. */
extern const struct tg_bus_driver tg_can_driver;
extern const struct tg_bus_driver tg_modbus_rtu_driver, tg_modbus_tcp_driver;
extern const struct tg_bus_driver tg_gpio_driver;
extern const struct tg_bus_driver tg_i2c_driver;
extern const struct tg_bus_driver tg_hwmon_driver, tg_iio_driver, tg_w1_driver;
extern const struct tg_bus_driver tg_exec_driver;
extern const struct tg_bus_driver tg_sim_driver;
extern const struct tg_bus_driver tg_spi_driver;
extern const struct tg_bus_driver tg_serial_driver;
extern const struct tg_bus_driver tg_mqtt_driver;
