/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * Outputs between two configurations. A line that is given back to the kernel
 * may fall to an input at once (pinctrl-bcm2835 does so), and a relay with
 * it; so a bus that is closed leaves its outputs here, and the bus of the next
 * configuration takes them over. Whoever is not fetched within
 * TG_GPIO_PARK_US is given back.
 *
 * The only state of the process that the driver has. Any thread; never blocks for long.
 */
#define TG_GPIO_PARK_MAX 64
#define TG_GPIO_PARK_US  UINT64_C(30000000)

/* Takes @line over. @chip is the chip's name and label, as its struct gpiochip_info has them. */
void tg_gpio_park(const char *chip, const char *label, uint32_t offset, int line, uint64_t now_us);
/* Hands a line out again, or -1. */
int tg_gpio_unpark(const char *chip, const char *label, uint32_t offset);
/* Gives back what nobody fetched. */
void tg_gpio_park_sweep(uint64_t now_us);
