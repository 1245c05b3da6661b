/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

/*
 * The `read` of a point on an I2C bus, and the `init` of a device. Pure.
 *
 *	[write BYTE...] [delay=DURATION] read N [crc8|crc8-last|pec] VALUE	VALUE: raw.h
 *	write BYTE... [, write BYTE...]...
 *
 * BYTE is hexadecimal as in data sheets, with or without 0x. Without delay=, one transaction with a repeated start.
 */

/* Returns 0 and *@ret_transfer, *@ret_raw, or -EINVAL with what is wrong in @reterr. */
int tg_i2c_read_parse(const char *text, struct tg_i2c_transfer *ret_transfer,
		      struct tg_raw *ret_raw, struct tg_fault *reterr) TG_CHECKED;

/* Fills dev->init. "" is none. Returns 0 or -EINVAL. */
int tg_i2c_init_parse(const char *text, struct tg_i2c_device *ret,
		      struct tg_fault *reterr) TG_CHECKED;
