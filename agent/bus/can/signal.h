/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/sample.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * From the bytes of a frame or of a J1939 group to the raw value of a signal. Pure.
 */

/* The bits of @f, which lie within @data (tg_can_field_bytes()) and are at most 64. Never fails. */
uint64_t tg_can_bits(const struct tg_can_field *f, const uint8_t *data);

/*
 * What @data say of @read. Returns whether they say anything: multiplexed signals are not in every frame. Then @out has
 * a value, or bad quality and a reason: "frame of 4 bytes, 8 are needed", "not available". Texts and reasons are in
 * @room or constant.
 */
bool tg_can_signal(const struct tg_can_read *read, const uint8_t *data, size_t len,
		   char room[static TG_TEXT_MAX + 1], struct tg_sample *out);
