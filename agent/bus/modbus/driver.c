/* SPDX-License-Identifier: Apache-2.0 */

/* The drivers of `type = modbus-tcp` and `type = modbus-rtu`: the engine with a transport each. */
#include "agent/bus/drivers.h"
#include "agent/bus/modbus/command.h"
#include "agent/bus/modbus/engine.h"
#include "agent/bus/modbus/probe.h"

static int open_tcp(const struct tg_config *cfg, size_t bus, struct tg_bus **ret,
		    struct tg_fault *reterr)
{
	return tg_modbus_open(&tg_modbus_tcp, cfg, bus, ret, reterr);
}

static int open_rtu(const struct tg_config *cfg, size_t bus, struct tg_bus **ret,
		    struct tg_fault *reterr)
{
	return tg_modbus_open(&tg_modbus_rtu, cfg, bus, ret, reterr);
}

const struct tg_bus_driver tg_modbus_tcp_driver = {
	.name = "modbus-tcp",
	.type = TG_BUS_MODBUS_TCP,
	.open = open_tcp,
	.plan = tg_modbus_plan,
	.plan_free = tg_modbus_plan_done,
	.patience_us = tg_modbus_patience_us,
	.poll = tg_modbus_poll,
	.write = tg_modbus_write,
	.read_one = tg_modbus_read_one,
	.probe = tg_modbus_probe,
	.describe = tg_modbus_describe,
	.close = tg_modbus_close,
};

const struct tg_bus_driver tg_modbus_rtu_driver = {
	.name = "modbus-rtu",
	.type = TG_BUS_MODBUS_RTU,
	.open = open_rtu,
	.plan = tg_modbus_plan,
	.plan_free = tg_modbus_plan_done,
	.patience_us = tg_modbus_patience_us,
	.poll = tg_modbus_poll,
	.write = tg_modbus_write,
	.read_one = tg_modbus_read_one,
	.probe = tg_modbus_probe,
	.describe = tg_modbus_describe,
	.close = tg_modbus_close,
};
