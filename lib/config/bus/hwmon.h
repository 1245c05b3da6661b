/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of hwmon chips and their channels. */

struct tg_hwmon_read {
	unsigned unused;
};

struct tg_hwmon_device {
	char *chip;
};

struct tg_hwmon_bus {
	char *root;
};
