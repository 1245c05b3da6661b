/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/driver.h"
#include "agent/bus/gpio/chip.h"
#include "agent/bus/gpio/lines.h"

/*
 * What the files of the GPIO driver share. One thread at a time, as driver.h says.
 */
struct tg_bus {
	const struct tg_config_bus *cfg;
	const char *dev; /* where chips are looked for: "/dev" */
	struct tg_gpio_chip chip;
	struct tg_gpio_lines lines;
	int epoll;        /* of the lines with edges */
	size_t watched;   /* lines with edges, held or not */
	uint64_t look_us; /* when the chip is looked for, or looked at, again */
	uint64_t edges, lost, errors;
	char note[TG_REASON_MAX + 1]; /* why the chip is not there; "" when it is */
};

/* For tests: chips are elsewhere. */
void tg_gpio_bus_dev(struct tg_bus *bus, const char *dev);

/* The chip and its lines, opened and requested where they are not yet. Returns 0 or -ENOTCONN with words. */
int tg_gpio_ready(struct tg_bus *bus, struct tg_fault *reterr) TG_CHECKED;

/* As driver.h says. */
int tg_gpio_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		  struct tg_table *out, struct tg_fault *reterr) TG_CHECKED;
