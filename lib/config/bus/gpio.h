/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of GPIO chips and lines. */

struct tg_gpio_read {
	unsigned unused;
};

struct tg_gpio_device {
	unsigned lines;
};

struct tg_gpio_bus {
	char *chip;
};
