/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdint.h>

/*
 * Dates of HTTP (RFC 9110 5.6.7) in their three forms: "Sun, 06 Nov 1994 08:49:37 GMT", the RFC 850
 * form "Sunday, 06-Nov-94 08:49:37 GMT" and asctime's "Sun Nov  6 08:49:37 1994". The day of the
 * week is not compared with the date. Pure; not by time_t, which ends in 2038 on 32-bit machines.
 */

/*
 * Seconds since 1970, or -EINVAL. @now_s says which century two digits of a year mean: the latest
 * that is not more than 50 years ahead.
 */
int tg_http_date(const char *text, int64_t now_s, int64_t *ret) TG_CHECKED;

/*
 * Retry-After (RFC 9110 10.2.3) as seconds from @now_s: a number, or a date, 0 when that is past.
 * -EINVAL for anything else, -ERANGE for more than ten years. Dates count from the server's own
 * @date_s where it sent one (0: none), so that our clock has no part in it.
 */
int tg_http_retry_after(const char *text, int64_t now_s, int64_t date_s, int64_t *ret_s) TG_CHECKED;
