/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of CAN interfaces, nodes and signals. */

struct tg_can_read {
	unsigned unused;
};

struct tg_can_device {
	uint32_t source;
};

struct tg_can_bus {
	char *interface;
};
