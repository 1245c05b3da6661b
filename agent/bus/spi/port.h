/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/spi.h"

#include <tidegate/error.h>

/*
 * One chip through the kernel's /dev/spidevB.C (Documentation/spi/spidev.rst,
 * linux/spi/spidev.h). Words of 8 bits, which put the same on the wire as wider
 * ones sent high byte first. Blocks for as long as the transfer takes. Owned by one thread.
 */

/* Opens @path and sets mode and polarity for @chip. Returns a descriptor, or -ENOTCONN or -EINVAL with words. */
int tg_spi_open(const char *path, const struct tg_spi_device *chip,
		struct tg_fault *reterr) TG_CHECKED;

/*
 * Shifts out t->bytes, then t->n_read zeros, under one chip select, and fills @answer with tg_spi_answer(t) bytes. Returns 0,
 * -ENOTCONN when the device is gone, or -errno with words.
 */
int tg_spi_transfer(int fd, const struct tg_spi_device *chip, const struct tg_spi_transfer *t,
		    uint8_t answer[static TG_RAW_BYTES_MAX], struct tg_fault *reterr) TG_CHECKED;
