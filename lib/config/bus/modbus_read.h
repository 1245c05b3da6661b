/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

/*
 * The `read` of a point on a Modbus bus. Pure.
 *
 *	KIND ADDRESS [TYPE] [order=ORDER] [bit=N]	KIND: coil discrete input holding; ADDRESS
 *from 0, hex with 0x NUMBER       [TYPE] [order=ORDER] [bit=N]	NUMBER: 00001-09999 coil, 10001-
 *discrete, 30001- input, 40001- holding, as in vendors' tables, counted from 1; with six digits
 *(400001-465536) every register can be named
 *
 * Without TYPE: bool for coils, discrete inputs and with bit=, else uint16. What lies past register
 *65535 is refused.
 */

/* Returns 0, or -EINVAL with what is wrong in @reterr ("unknown kind 'holdng', did you mean
 * 'holding'?"). */
int tg_modbus_read_parse(const char *text, struct tg_modbus_read *ret,
			 struct tg_fault *reterr) TG_CHECKED;

/* Registers (or bits of coils and discrete inputs) that a value takes: 1, 2 or 4. Never fails. */
unsigned tg_modbus_read_span(const struct tg_modbus_read *read);
