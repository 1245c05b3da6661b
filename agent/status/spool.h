/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/status/status.h"

struct json_t;

/*
 * What the spool holds, what it has lost, and what a power cut could cost. Owned, or NULL without memory. Pure. Internal to
 * agent/status.
 */
struct json_t *tg_status_spool(const struct tg_picture *p);
