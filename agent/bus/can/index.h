/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <linux/can.h>
#include <linux/can/j1939.h>

#include <stddef.h>

/*
 * Which points of a bus a frame concerns, and what the kernel need not wake us for. Pure but for its memory.
 */
struct tg_can_entry {
	uint32_t key; /* CAN identifier with CAN_EFF_FLAG, or PGN */
	int source;   /* J1939 address, or TG_CAN_ANY */
	const struct tg_config_device *dev;
	size_t point;
};

struct tg_can_index {
	struct tg_can_entry *frames, *groups; /* sorted by key */
	size_t n_frames, n_groups;
};

/* The points of bus @bus of @cfg, which outlives it. Returns 0 or -ENOMEM. */
int tg_can_index_init(struct tg_can_index *x, const struct tg_config *cfg, size_t bus) TG_CHECKED;
void tg_can_index_done(struct tg_can_index *x);

/* Those of @n @entries with @key: their number, and the first in *@ret. Never fails. */
size_t tg_can_index_find(const struct tg_can_entry *entries, size_t n, uint32_t key,
			 const struct tg_can_entry **ret);

/*
 * The filters for data frames of the points: for CAN_RAW those with an identifier and, with @groups, those with a PGN; for
 * J1939 those with a PGN. Return their number; a single one for everything where more than @max were needed.
 */
size_t tg_can_index_filters(const struct tg_can_index *x, bool groups, struct can_filter *out,
			    size_t max);
size_t tg_can_index_group_filters(const struct tg_can_index *x, struct j1939_filter *out, size_t max);
