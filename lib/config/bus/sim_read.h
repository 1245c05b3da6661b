/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/sim.h"

#include <tidegate/error.h>

/*
 * `read` of points on simulated buses: a form and its options,
 *
 *	constant 21.5 | constant yes
 *	sine period=60s low=0 high=10 | ramp ... | square ... | square period=4s bool
 *	random low=0 high=1 seed=7
 *	counter step=1 start=0 bits=32
 *	text "..." (or without quotes, up to the end)
 *	writes
 *
 * and with each but text bad-every=N. Pure.
 */
#define TG_SIM_PERIOD_MAX_US (UINT64_C(30) * 86400 * 1000000)

/* Returns 0, or -EINVAL with the reason in @reterr. ret->text points into @text. */
int tg_sim_read_parse(const char *text, struct tg_sim_read *ret,
		      struct tg_fault *reterr) TG_CHECKED;
