/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/i2c.h"

#include <tidegate/cleanup.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Checksums of what chips answer. Pure; any thread.
 */

/* CRC of 8 bits, most significant bit first, nothing reflected, no final xor, over @len bytes from @crc on. Never fails. */
uint8_t tg_crc8(uint8_t polynomial, uint8_t crc, const uint8_t *data, size_t len);

/* What follows two bytes to a Sensirion chip. Never fails. */
uint8_t tg_i2c_word_crc(const uint8_t word[static 2]);
/* What ends a write of SMBus with packet error code. Never fails. */
uint8_t tg_i2c_write_pec(unsigned address, const uint8_t *bytes, size_t n);

/*
 * Checks the t->n_read bytes of @answer and moves those that are no checksum together at its start: tg_i2c_payload(t) of them.
 * @address is the chip's, which SMBus counts in. Returns 0, or -EBADMSG: a checksum is wrong.
 */
int tg_i2c_strip(const struct tg_i2c_transfer *t, unsigned address, uint8_t *answer) TG_CHECKED;
