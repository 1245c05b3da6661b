/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The speed that the other side of a pseudo-terminal has set, with or without a name: bits a second; 0: none. */
unsigned line_speed_of(int fd);
