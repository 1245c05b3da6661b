/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Values as people write them in configuration files and on command lines.
 *
 * Whole strings only: leading or trailing white space, a sign where none
 * belongs, or anything behind the value is -EINVAL; a number that does not
 * fit is -ERANGE. Independent of the locale. Pure; outputs are set on success only.
 */
int tg_parse_bool(const char *s, bool *ret) TG_CHECKED;		   /* yes|no|true|false|on|off|1|0 */
int tg_parse_u64(const char *s, uint64_t *ret) TG_CHECKED;	   /* decimal, or hexadecimal with 0x */
int tg_parse_i64(const char *s, int64_t *ret) TG_CHECKED;
int tg_parse_real(const char *s, double *ret) TG_CHECKED;	   /* decimal with exponent; finite */
int tg_parse_duration(const char *s, uint64_t *ret_us) TG_CHECKED; /* 250ms 5s 10m 2h 7d; "0" too; a bare number is -EINVAL */
int tg_parse_size(const char *s, uint64_t *ret_bytes) TG_CHECKED;  /* 512 64K 256M 2G, powers of 1024 */
int tg_parse_percent(const char *s, double *ret) TG_CHECKED;	   /* "66%" gives 66.0; 0..100 */
/* The number of single-character edits between @a and @b (Levenshtein), capped at @cap + 1; for "did you mean". */
unsigned tg_parse_distance(const char *a, const char *b, unsigned cap);
/* The bytes, 1 to 4, of the well-formed UTF-8 character (RFC 3629) at @s, of which @len > 0 may be read; 0: there is none. */
size_t tg_utf8_length(const void *s, size_t len);
