/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <stddef.h>

/*
 * Where the operations of [enrolment.est] are: what the helper asks, and notes in its journal as the
 * service that it has asked, and what the agent knows a service by that wants to be left alone.
 */
#define TG_EST_BASE_MAX 1024 /* with the NUL */

/*
 * `url`, with the well-known path when it has none of its own, and `label`; no slash at the end.
 * 0, or -ENAMETOOLONG. Pure.
 */
int tg_est_base(const struct tg_config *c, char *out, size_t size) TG_CHECKED;
