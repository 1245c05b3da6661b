/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <linux/gpio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The kernel's GPIO character devices, version 2 of their ABI (linux/gpio.h, kernel 5.10 or newer). Thin: each function
 * is one call of the kernel, returns 0 or -errno, and does not block beyond what the chip takes (I2C expanders:
 * milliseconds). A line has a descriptor of its own, so that single ones can be taken, kept and given back.
 */
int tg_gpio_chip_info(int chip, struct gpiochip_info *ret) TG_CHECKED;
int tg_gpio_line_info(int chip, uint32_t offset, struct gpio_v2_line_info *ret) TG_CHECKED;

/* How a line is to be: GPIO_V2_LINE_FLAG_ bits, neither input nor output for "as it is". */
struct tg_gpio_setup {
	uint64_t flags;
	uint32_t debounce_us; /* 0: none */
	bool active;          /* of an output */
	uint32_t events; /* of an input: how many edges the kernel keeps for us; 0: its default */
};

/* @ret_fd is owned by the caller. -EBUSY: somebody has the line. */
int tg_gpio_request(int chip, uint32_t offset, const struct tg_gpio_setup *setup,
		    int *ret_fd) TG_CHECKED;
/* Changes a line that is held. An output gets setup->active in the same step. */
int tg_gpio_configure(int line, const struct tg_gpio_setup *setup) TG_CHECKED;
int tg_gpio_get(int line, bool *ret_active) TG_CHECKED;
int tg_gpio_set(int line, bool active) TG_CHECKED;
/* Edges that wait, at most @n. Returns how many, 0 when there are none, or -errno. Never blocks. */
int tg_gpio_take_events(int line, struct gpio_v2_line_event *out, size_t n) TG_CHECKED;
