/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of serial lines and what is said on them. */

struct tg_serial_read {
	unsigned unused;
};

struct tg_serial_device {
	char *talker;
};

struct tg_serial_bus {
	char *port;
};
