/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/sample.h>

/*
 * What a simulated point shows at an instant.
 *
 * Pure: no clock, no I/O, no allocation. One of these for each point, kept by
 * the driver from open to close.
 */
struct tg_sim_state {
	uint64_t readings;     /* so far */
	bool written;          /* a command has set it */
	struct tg_value value; /* to this; a text is the driver's */
};

/*
 * One more reading of a point with @read, @elapsed_us after the bus was opened, of a device that was written to @writes
 * times. Sets value, quality and reason of @out; a text is the one in @read or in @state, copied to @room. Never fails.
 */
void tg_sim_value(const struct tg_sim_read *read, struct tg_sim_state *state, uint64_t elapsed_us,
		  uint64_t writes, char room[static TG_TEXT_MAX + 1], struct tg_sample *out);
