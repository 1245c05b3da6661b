/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The time of frames that the controller stamped itself.
 *
 * Its clock begins anywhere and runs on its own crystal; the kernel's stamp
 * beside it is late by what the interrupt waited. The smallest distance seen
 * is the best estimate of how the two clocks stand, and is allowed to grow
 * slowly, as crystals differ. Pure; microseconds.
 */
struct tg_can_stamps {
	bool known;
	int64_t offset_us; /* the kernel's clock less the controller's */
	uint64_t last_us;  /* the kernel's stamp at the last frame */
};

/* On the clock of @kernel_us: when the frame came that the controller stamped @controller_us. Not later than @kernel_us. Never fails. */
uint64_t tg_can_stamp(struct tg_can_stamps *s, uint64_t kernel_us, uint64_t controller_us);
