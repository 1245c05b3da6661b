/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

/*
 * The `read` of a point on a Modbus bus. Pure.
 *
 *	KIND ADDRESS [TYPE] [order=ORDER] [bit=N|bits=FIRST..LAST]
 *		KIND: coil discrete input holding; ADDRESS from 0, hex with 0x
 *	NUMBER [TYPE] [order=ORDER] [bit=N|bits=FIRST..LAST]
 *		NUMBER: 00001-09999 coil, 10001- discrete, 30001- input, 40001- holding, as in vendors' tables, counted
 *		from 1; with six digits (400001-465536) every register can be named
 *
 * TYPE is a word, or `string LENGTH`. Without it: bool for coils, discrete inputs and with bit=, else uint16. What lies past
 * register 65535 is refused.
 */

/* Returns 0, or -EINVAL with what is wrong in @reterr ("unknown kind 'holdng', did you mean
 * 'holding'?"). */
int tg_modbus_read_parse(const char *text, struct tg_modbus_read *ret,
			 struct tg_fault *reterr) TG_CHECKED;
