/* SPDX-License-Identifier: Apache-2.0 */

/* Apart, as the kernel's struct termios2 and the C library's termios.h do not agree with each other. */
#include "tests/fakes/line/speed.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <sys/ioctl.h>

unsigned line_speed_of(int fd)
{
	struct termios2 t;

	return ioctl(fd, TCGETS2, &t) == 0 ? t.c_ospeed : 0;
}
