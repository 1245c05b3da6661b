/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/sample.h>

/*
 * The transactions of one poll of an I2C device: points that read the same are
 * read by one, so that temperature and humidity are of the same measurement.
 * Pure; owned by one thread.
 */
struct tg_i2c_plan {
	bool set_up; /* what `init` says has been written since the device was last silent */
	size_t *transfer_of; /* of each point, index in transfers */
	size_t n_transfers;
	struct tg_i2c_planned {
		const struct tg_i2c_transfer *transfer; /* of the configuration */
		char reason[TG_REASON_MAX + 1];
	} * transfers;
};

/* Returns 0 and an owned plan, or -ENOMEM. @dev outlives it. */
int tg_i2c_plan_new(const struct tg_config_device *dev, struct tg_i2c_plan **ret) TG_CHECKED;
struct tg_i2c_plan *tg_i2c_plan_free(struct tg_i2c_plan *p); /* accepts NULL, returns NULL */
