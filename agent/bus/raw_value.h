/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/raw.h"

#include <tidegate/sample.h>

/*
 * Values in the bytes of chips, in both directions. Pure; any thread.
 */

/*
 * The value that @raw describes in @data of @len bytes. Returns 0 and *@ret (BOOL, INT, UINT or REAL), -ERANGE when @len is
 * too short, -EDOM for a float that is not finite.
 */
int tg_raw_value_get(const struct tg_raw *raw, const uint8_t *data, size_t len,
		     struct tg_value *ret) TG_CHECKED;

/*
 * Puts @value where @raw says; bits outside of its mask stay as they are, so @data holds what the chip has now, or
 * anything where tg_raw_whole(). Returns 0, or -ERANGE when @len is too short or the value does not fit: then @data is untouched.
 */
int tg_raw_value_put(const struct tg_raw *raw, const struct tg_value *value, uint8_t *data,
		     size_t len) TG_CHECKED;

/* Whether the value is all of its bytes. */
bool tg_raw_whole(const struct tg_raw *raw);

/* For people: @len bytes, at most TG_RAW_BYTES_MAX, as "0a ff"; the value in them, or that there is none. Return @out. */
#define TG_RAW_HEX_MAX   (3 * TG_RAW_BYTES_MAX + 1)
#define TG_RAW_SHOWN_MAX 64
const char *tg_raw_hex(const uint8_t *data, size_t len, char out[static TG_RAW_HEX_MAX]);
const char *tg_raw_show(const struct tg_raw *raw, const uint8_t *data, size_t len,
			char out[static TG_RAW_SHOWN_MAX]);
