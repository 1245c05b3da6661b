/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/gpio.h"

#include <linux/gpio.h>

/*
 * How often a line went up and down, as told by the kernel's events. The
 * kernel keeps a bounded number of them and throws the oldest away; the gap
 * in their numbers says how many, and they are counted all the same. Where
 * both edges are asked for, they alternate, so the kind of each lost one is
 * known too. Pure; any thread.
 */
struct tg_gpio_edges {
	uint32_t seqno;           /* line_seqno of the last event; the first of a request has 1 */
	uint64_t rising, falling; /* since the driver was opened, lost ones included */
	uint64_t lost;
};

/* A new request of the line begins to number at 1; the counts go on. */
void tg_gpio_edges_restart(struct tg_gpio_edges *e);

/*
 * Counts one event of a line on which the edges @wanted are watched. Returns how many were lost before it. Never fails;
 * an event that is none of those (TG_GPIO_ bits of *@ret_edge 0) counts for nothing.
 */
uint32_t tg_gpio_edges_take(struct tg_gpio_edges *e, unsigned wanted,
			    const struct gpio_v2_line_event *event, unsigned *ret_edge);

/* The sum of the edges @which. Never fails. */
uint64_t tg_gpio_edges_count(const struct tg_gpio_edges *e, unsigned which);
