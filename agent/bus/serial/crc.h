/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/bus/serial.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Check values of binary frames, by name. Source: the catalogue of parametrised
 * CRC algorithms (reveng.sourceforge.io/crc-catalogue), whose check values are
 * the tests'. sum8 is the sum and xor8 the exclusive or of all bytes. Pure.
 */

/* The check value of @len bytes; 0 for none. Never fails. */
uint32_t tg_serial_check(enum tg_serial_crc crc, const uint8_t *data, size_t len);
/* The same as bytes, as @order wants them and the algorithm usually has them: tg_serial_crc_size() of them. */
void tg_serial_check_bytes(const struct tg_serial_bus *cfg, uint32_t value, uint8_t out[static 4]);
