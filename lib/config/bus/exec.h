/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of programs that print readings. */

struct tg_exec_read {
	unsigned unused;
};

struct tg_exec_device {
	char *command;
};

struct tg_exec_bus {
	char *directory;
};
