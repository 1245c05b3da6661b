/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a configuration says of the kernel's industrial I/O devices (Documentation/ABI/testing/sysfs-bus-iio). */

#define TG_IIO_CHANNEL_MAX 63

struct tg_iio_read {
	char channel[TG_IIO_CHANNEL_MAX + 1]; /* "in_voltage0", without _raw or _input */
};

struct tg_iio_device {
	char *chip; /* as its file `name` says */
	char *at; /* which of several: the name of the device it belongs to, "1-0076"; "": there is one */
};

struct tg_iio_bus {
	char *root; /* where sysfs is mounted */
};
