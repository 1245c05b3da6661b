/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/modbus/engine.h"

/* Writing single points and reading them back, as struct tg_bus_driver has it. Blocks the bus's thread. */

/*
 * By function 5, 6, 15 or 16, as the device's write-function says. What shares a register with other values (bits, int8) is
 * read before and written back with them; who else writes that register in between loses. Reading is repeated as often as the
 * device is configured to; writing never.
 */
int tg_modbus_write(struct tg_bus *bus, const struct tg_config_device *dev,
		    const struct tg_config_point *point, const struct tg_value *raw,
		    struct tg_fault *reterr) TG_CHECKED;
/* A text in @out is in bus->text, valid until the next call. */
int tg_modbus_read_one(struct tg_bus *bus, const struct tg_config_device *dev,
		       const struct tg_config_point *point, struct tg_sample *out,
		       struct tg_fault *reterr) TG_CHECKED;
