/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/modbus/engine.h"
#include "agent/bus/table.h"

/*
 * `tidegate probe`, as struct tg_bus_driver has it. Blocks the bus's thread.
 *
 * Of a device: the registers from an address on, in every type and order, so
 * that a person who knows what it should be can pick. The address is what
 * `read` takes, or a number, which is a holding register counted from 0.
 * Of the bus: which units answer, all from 1 on, from N on, or N..M.
 */
int tg_modbus_probe(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		    struct tg_table *out, struct tg_fault *reterr) TG_CHECKED;

/*
 * The pure half: fills @out with the @n registers in @wire, 1 to 4 of them, which are at @read; text and bits too.
 */
void tg_modbus_show(const struct tg_modbus_read *read, const uint8_t *wire, unsigned n,
		    struct tg_table *out);
