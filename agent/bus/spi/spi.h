/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/driver.h"

/*
 * What the files of the SPI driver share. One thread at a time, as driver.h says.
 */
struct tg_bus {
	const struct tg_config_bus *cfg;
	uint64_t requests, errors;
	char note[TG_REASON_MAX + 1]; /* why the device is not there; "" when it is */
};

/* As driver.h says. */
int tg_spi_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		 struct tg_table *out, struct tg_fault *reterr) TG_CHECKED;
