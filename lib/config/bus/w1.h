/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of 1-Wire masters and sensors. */

struct tg_w1_read {
	unsigned unused;
};

struct tg_w1_device {
	char *id;
};

struct tg_w1_bus {
	char *root;
};
