/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/status/status.h"

/*
 * The figures of the status as text that Prometheus reads (text exposition
 * format 0.0.4): for `tidegate metrics` and [metrics] textfile. Every name
 * begins with tidegate_; counters end in _total and count from the start of
 * the agent. Names and labels are a contract: doc/metrics.md lists them.
 *
 * Pure. Returns owned text, or NULL without memory.
 */
char *tg_metrics_text(const struct tg_picture *p);
