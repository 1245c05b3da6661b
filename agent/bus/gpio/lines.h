/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/gpio/chip.h"
#include "agent/bus/gpio/edges.h"
#include "config/config.h"

/*
 * The lines of one chip that the points of a bus need: each once, however many
 * points look at it, with the kernel's descriptor while the chip is there.
 * Owned by the bus's thread.
 */
struct tg_gpio_point {
	const struct tg_config_device *dev;
	size_t point;               /* index in dev->points */
	struct tg_gpio_point *next; /* of the same line */
};

struct tg_gpio_held {
	struct tg_gpio_line cfg;
	unsigned wanted; /* TG_GPIO_ bits of edges that some point wants */
	bool initial;    /* of an output that is not one yet */
	uint32_t offset; /* on this chip; valid while fd >= 0 */
	int fd;          /* -1: not held */
	uint64_t again_us;
	char reason[TG_REASON_MAX + 1]; /* why it is not held */
	struct tg_gpio_edges edges;
	struct tg_gpio_point *points;
};

struct tg_gpio_lines {
	struct tg_gpio_held *items;
	size_t n, cap;
};

/*
 * The line of @dev's point @index, made when it is not there yet. Returns 0 and its index, -EINVAL when another point wants
 * the same line otherwise, or -ENOMEM.
 */
int tg_gpio_lines_add(struct tg_gpio_lines *l, const struct tg_config_device *dev, size_t index,
		      size_t *ret, struct tg_fault *reterr) TG_CHECKED;

/*
 * Requests what is not held, and watches those with edges through @epoll (data: the index). Lines that cannot be had have
 * their reason, and are tried again after some seconds. An output that is one already, or was left by the
 * configuration before, keeps its value.
 */
void tg_gpio_lines_request(struct tg_gpio_lines *l, const struct tg_gpio_chip *chip, int epoll,
			   uint64_t now_us);

/* Gives all back. Outputs are parked where @keep says so and @chip is there. */
void tg_gpio_lines_release(struct tg_gpio_lines *l, const struct tg_gpio_chip *chip, bool keep,
			   uint64_t now_us);
void tg_gpio_lines_done(struct tg_gpio_lines *l);
