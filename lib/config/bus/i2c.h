/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of I2C adapters, chips and transactions. */

struct tg_i2c_read {
	unsigned unused;
};

struct tg_i2c_device {
	unsigned address;
};

struct tg_i2c_bus {
	char *adapter; /* path */
};
