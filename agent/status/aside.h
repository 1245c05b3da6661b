/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/spool.h"

/* What was set aside, for `tidegate spool --aside`. Pure. Owned text, or NULL without memory. */
char *tg_status_aside_json(const struct tg_spool_aside *list);
