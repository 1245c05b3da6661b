/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

/*
 * The `read` of a point on a GPIO chip. Pure.
 *
 *	line NUMBER|NAME [input|output] [active-low] [pull-up|pull-down|no-pull] [open-drain|open-source]
 *		[debounce=DURATION] [edge=rising|falling|both | count=rising|falling|both]
 *
 * Returns 0, or -EINVAL with what is wrong in @reterr.
 */
int tg_gpio_read_parse(const char *text, struct tg_gpio_read *ret,
		       struct tg_fault *reterr) TG_CHECKED;
