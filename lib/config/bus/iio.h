/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of IIO devices and their channels. */

struct tg_iio_read {
	unsigned unused;
};

struct tg_iio_device {
	char *chip;
};

struct tg_iio_bus {
	char *root;
};
