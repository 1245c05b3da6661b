/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* What a configuration says of programs that print readings. */

#define TG_EXEC_WORDS 32 /* of a command */

struct tg_exec_read {
	unsigned unused; /* a point's `read` is the name that the program prints */
};

struct tg_exec_device {
	char *command; /* words, split by exec_command.h; the first is an absolute path */
	bool running;  /* kept running, instead of run at each `every` */
};

struct tg_exec_bus {
	char *directory; /* where programs run */
};
