/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

/*
 * The `read` of a point on an SPI bus. Pure.
 *
 *	transfer BYTE... [delay=DURATION] [read N] VALUE	VALUE: raw.h
 *
 * BYTE is hexadecimal as in data sheets, with or without 0x.
 *
 * Returns 0 and *@ret_transfer, *@ret_raw, or -EINVAL with what is wrong in @reterr.
 */
int tg_spi_read_parse(const char *text, struct tg_spi_transfer *ret_transfer,
		      struct tg_raw *ret_raw, struct tg_fault *reterr) TG_CHECKED;
