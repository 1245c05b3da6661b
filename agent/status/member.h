/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct json_t;

/*
 * Members of JSON objects as all documents about the gateway have them: what
 * is not known is null, times are ISO 8601 in UTC. Pure; results are owned, and
 * NULL without memory, which tg_member_put() passes on: the object then lacks
 * the member. Internal to agent/status.
 */
struct json_t *tg_member_text(const char *s); /* null for NULL and "" */
struct json_t *tg_member_number(uint64_t v);
struct json_t *tg_member_date(int64_t wall_s); /* null for 0 */
/* Steals @value. */
void tg_member_put(struct json_t *object, const char *key, struct json_t *value);
