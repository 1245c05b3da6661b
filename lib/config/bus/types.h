/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/loaded.h"
#include "config/table.h"

/*
 * The keys of the bus types, one set for each: the rows of the table, and
 * what single values cannot tell. A set may serve several types, and rows of
 * different sets may have the same name; only lists and families must then be
 * lists and families everywhere.
 */
struct tg_config_bus_keys {
	const struct tg_config_key *keys;
	size_t n;
	unsigned buses; /* TG_BUS_BITs */
	/* Any may be NULL. They complain at tg_section_place(s, KEY); values that were refused are what they were by default. */
	void (*check_bus)(const struct tg_loaded *l, const struct tg_section *s,
			  const struct tg_config_bus *bus);
	void (*check_device)(const struct tg_loaded *l, const struct tg_section *s,
			     const struct tg_config_device *dev);
	void (*check_point)(const struct tg_loaded *l, const struct tg_section *s,
			    const struct tg_config_point *point);
};

extern const struct tg_config_bus_keys tg_config_modbus_keys, tg_config_i2c_keys,
	tg_config_spi_keys, tg_config_can_keys, tg_config_gpio_keys, tg_config_w1_keys,
	tg_config_hwmon_keys, tg_config_iio_keys, tg_config_serial_keys, tg_config_mqtt_bus_keys,
	tg_config_exec_keys, tg_config_sim_keys;

/* The set of the bus type whose bit is @bus, or NULL. */
const struct tg_config_bus_keys *tg_config_bus_keys_of(unsigned bus);
