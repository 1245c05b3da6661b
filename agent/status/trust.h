/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/status/status.h"

struct json_t;

/*
 * Whom the broker must lead to: the file that the configuration names, and what the identity in use
 * brought. @brief: without the path. Owned, or NULL without memory. Pure. Internal to agent/status.
 */
struct json_t *tg_status_trust(const struct tg_picture *p, bool brief);
