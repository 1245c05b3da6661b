/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/generation.h"

struct json_t;

/*
 * The generations as JSON, newest first: what `tidegate identity --history`
 * prints, whether the agent reads the state directory or the command line.
 */

/*
 * Reads the directory. Returns 0 and an owned array, -ENOENT when there is no identity yet, or another -errno. Each has
 * number, state (current, candidate, previous, retired, rejected, ended), method, subject, serial, fingerprint, certificate_id,
 * thing, not_before, not_after, made, ended (null while it lives), reason, and key: whether it is still there.
 */
int tg_history_json(const char *state_dir, struct json_t **ret, struct tg_fault *reterr) TG_CHECKED;
