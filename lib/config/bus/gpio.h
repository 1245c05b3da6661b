/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a configuration says of GPIO chips and lines. */
#define TG_GPIO_NAME_MAX 31 /* of a line or a chip, as in linux/gpio.h */

enum tg_gpio_bias { TG_GPIO_BIAS_AS_IS, TG_GPIO_PULL_UP, TG_GPIO_PULL_DOWN, TG_GPIO_NO_PULL };
enum tg_gpio_drive { TG_GPIO_PUSH_PULL, TG_GPIO_OPEN_DRAIN, TG_GPIO_OPEN_SOURCE };

/* Edges, as bits. "Rising" is from inactive to active, whatever the level. */
#define TG_GPIO_RISING  1u
#define TG_GPIO_FALLING 2u

/* How a line is requested: points that share a line must agree in it. */
struct tg_gpio_line {
	char name[TG_GPIO_NAME_MAX + 1]; /* "" for one that is known by its number */
	uint32_t offset;                 /* its number on the chip */
	bool output, active_low;
	enum tg_gpio_bias bias;
	enum tg_gpio_drive drive;
	uint32_t debounce_us; /* 0: none */
};

struct tg_gpio_read {
	struct tg_gpio_line line;
	unsigned edges; /* that are told at once; 0: only the level at each poll */
	unsigned count; /* that are counted; the value is the count, not the level */
};

struct tg_gpio_device {
	unsigned unused;
};

struct tg_gpio_bus {
	char *chip; /* /dev/gpiochip0, gpiochip0, or a label as pinctrl-bcm2711 */
};
