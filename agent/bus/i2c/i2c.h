/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/driver.h"
#include "agent/bus/i2c/adapter.h"

/*
 * What the files of the I2C driver share. One thread at a time, as driver.h says.
 */
struct tg_bus {
	const struct tg_config *cfg;
	const struct tg_config_bus *bus_cfg;
	size_t index;
	const struct tg_i2c_roots *roots;
	uint64_t requests, errors;
	char note[TG_REASON_MAX + 1]; /* the last trouble of the adapter; "" when it is there */
};

/* For tests: the same driver on other files. */
void tg_i2c_bus_roots(struct tg_bus *bus, const struct tg_i2c_roots *roots);

/* The whole of @t with a chip that was selected; @answer has the payload. @ret_us: when. Returns 0 or -errno with words. */
int tg_i2c_run(struct tg_bus *bus, struct tg_i2c_adapter *a, unsigned address,
	       const struct tg_i2c_transfer *t, uint8_t answer[static TG_RAW_BYTES_MAX],
	       uint64_t *ret_us, struct tg_fault *reterr) TG_CHECKED;

/* As driver.h says. */
int tg_i2c_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		 struct tg_table *out, struct tg_fault *reterr) TG_CHECKED;
