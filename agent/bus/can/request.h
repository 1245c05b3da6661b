/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Which J1939 groups are asked for, and when: many come only on request
 * (hours of operation, totals, identifications). The request, PGN 59904, goes
 * to all nodes: those that have the group answer, and long ones come as a
 * broadcast (J1939-21, 5.4.2), for which nobody has to own an address. Pure
 * but for its memory; microseconds on CLOCK_BOOTTIME.
 */
#define TG_CAN_REQUEST_LEN 3

struct tg_can_request {
	uint32_t pgn;
	uint64_t every_us, next_us;
};

struct tg_can_requests {
	struct tg_can_request *items; /* each group once, with the shortest interval */
	size_t n;
	uint8_t address; /* ours */
};

/* Of the points of bus @bus of @cfg. Returns 0 or -ENOMEM. */
int tg_can_requests_init(struct tg_can_requests *q, const struct tg_config *cfg, size_t bus) TG_CHECKED;
void tg_can_requests_done(struct tg_can_requests *q);
/* The bus is there: all groups are asked for soon, one after the other. */
void tg_can_requests_restart(struct tg_can_requests *q, uint64_t now_us);
/* When the next one is due; UINT64_MAX: never. */
uint64_t tg_can_requests_next_us(const struct tg_can_requests *q);
/* One that is due at @now_us. Returns 1, the identifier and the data of its frame, or 0. */
int tg_can_requests_take(struct tg_can_requests *q, uint64_t now_us, uint32_t *ret_id,
			 uint8_t ret_data[static TG_CAN_REQUEST_LEN]);
