/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/sample.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a controller says of itself and its bus in error frames
 * (linux/can/error.h; ISO 11898-1 has the states). Pure.
 */
enum tg_can_mode { TG_CAN_ACTIVE, TG_CAN_WARNING, TG_CAN_PASSIVE, TG_CAN_OFF };

struct tg_can_state {
	enum tg_can_mode mode;
	bool counted; /* tx and rx, the controller's error counters, are known */
	unsigned tx, rx;
	uint64_t errors, bus_offs, restarts;
	const char *last; /* the last fault on the bus, constant; NULL: none */
};

/*
 * Takes one error frame, @id with its classes. Returns how many times frames were lost in the controller (0 or 1).
 */
unsigned tg_can_state_take(struct tg_can_state *s, uint32_t id, const uint8_t data[static 8]);

/* "error-active", "error-warning", "error-passive", "bus-off". Constant, never fails. */
const char *tg_can_mode_text(enum tg_can_mode mode);
/* "error-passive, tx 128 rx 0; 3 bus-offs; last: no acknowledgement"; "" when there is nothing to say. Never fails. */
void tg_can_state_text(const struct tg_can_state *s, char out[static TG_REASON_MAX + 1]);
