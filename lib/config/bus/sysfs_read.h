/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/hwmon.h"
#include "config/bus/iio.h"
#include "config/word.h"

#include <tidegate/error.h>

/*
 * `read` of points on buses of type hwmon and iio. Pure.
 *
 *	hwmon	KIND N [ATTRIBUTE] in one word, as the kernel's files: temp1, temp1_input, in0_max, power1_average, pwm2
 *		KIND[_ATTRIBUTE] label=TEXT, up to the end: temp label=Core 0
 *	iio	the channel, as the kernel's files have it: in_voltage0, in_temp, in_accel_x; _raw and _input may follow
 */

/* The kinds of hwmon channels by the words of the kernel's files. */
extern const struct tg_word tg_hwmon_kinds[];

/* Both return 0, or -EINVAL with the reason in @reterr. ret->label points into @text. */
int tg_hwmon_read_parse(const char *text, struct tg_hwmon_read *ret,
			struct tg_fault *reterr) TG_CHECKED;
int tg_iio_read_parse(const char *text, struct tg_iio_read *ret,
		      struct tg_fault *reterr) TG_CHECKED;
