/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/status/status.h"

struct json_t;

/*
 * The parts of the status document that are about the identity: what it is,
 * what is done to get one or the next, how far a change is. Owned objects, or NULL
 * without memory. Pure. Internal to agent/status.
 */
struct json_t *tg_status_identity(const struct tg_picture *p);
struct json_t *tg_status_enrolment(const struct tg_picture *p);
struct json_t *tg_status_rotation(const struct tg_picture *p);
struct json_t *tg_status_claim(const struct tg_picture *p);
