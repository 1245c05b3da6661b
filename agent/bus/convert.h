/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>
#include <tidegate/sample.h>

/*
 * Between the raw values that drivers deal in and the values that people see:
 * shown = raw * scale + offset, and the way back.
 *
 * Integers stay integers where scale is 1 and offset 0, as a double does not
 * hold those beyond 2^53; a scale that is the inverse of a whole number (0.1,
 * 0.01) divides by that number, which gives the double nearest to the decimal
 * result. Truth values and texts are passed on as they are. Counters are
 * unwrapped before (totals.h).
 *
 * Pure: no I/O, no allocation, no clock. Any thread.
 */

/*
 * Makes the raw value of @s, of the point @p, the shown one. What is not finite, before or after, makes @s bad; a
 * sample that is not good is left alone. Touches value, quality and reason only; reasons are constants. Never fails.
 */
void tg_convert(const struct tg_config_point *p, struct tg_sample *s);

/*
 * The raw value that shows as @shown, for a write. A text in *ret_raw is that of @shown. Numbers come out as integers where they are
 * whole but for what the arithmetic rounds; whether the point can hold the result is the driver's to judge.
 * Returns 0; -ERANGE when @shown is outside min..max of @p or nothing finite, -EINVAL when it is no value.
 */
int tg_convert_back(const struct tg_config_point *p, const struct tg_value *shown,
		    struct tg_value *ret_raw, struct tg_fault *reterr) TG_CHECKED;
