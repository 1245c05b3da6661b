/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdint.h>

/*
 * Reads a date-time of RFC 3339, section 5.6, as "2026-11-21T10:15:10Z" or "2026-11-21 11:15:10.25+01:00": whole strings
 * only, years 1970 to 9999, a leap second counts as the second behind it, fractions down to microseconds (more digits are
 * cut). Microseconds since 1970. Returns 0 or -EINVAL. Pure, and 64 bits everywhere.
 */
int tg_rfc3339_parse(const char *s, int64_t *ret_us) TG_CHECKED;
