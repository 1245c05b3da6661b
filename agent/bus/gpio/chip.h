/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <linux/gpio.h>
#include <stdbool.h>

/*
 * A GPIO chip by path, name or label. Numbers of chips change with the order
 * in which they are found, labels do not. Owned by one thread.
 */
struct tg_gpio_chip {
	int fd; /* -1: not open */
	struct gpiochip_info info;
};
#define TG_GPIO_CHIP_NULL                                                                          \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/*
 * @dev: where the devices are, "/dev" but for tests. Returns 0, or -ENOTCONN: it is not there, not ours, or there are two
 * with the same label (words say which).
 */
int tg_gpio_chip_open(const char *dev, const char *name, struct tg_gpio_chip *ret,
		      struct tg_fault *reterr) TG_CHECKED;
/* Whether it is still plugged in. Never fails. */
bool tg_gpio_chip_there(const struct tg_gpio_chip *c);
/* Accepts one that is not open. */
void tg_gpio_chip_close(struct tg_gpio_chip *c);
