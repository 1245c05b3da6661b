/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of simulated buses. */

struct tg_sim_read {
	unsigned unused;
};

struct tg_sim_device {
	bool unused;
};

struct tg_sim_bus {
	bool unused;
};
