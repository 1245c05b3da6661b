/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of SPI devices and transfers. */

struct tg_spi_read {
	unsigned unused;
};

struct tg_spi_device {
	unsigned bits;
};

struct tg_spi_bus {
	char *path;
};
