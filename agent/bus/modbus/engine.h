/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/driver.h"
#include "agent/bus/modbus/plan.h"
#include "agent/bus/modbus/transport.h"

/*
 * Modbus, whatever carries it: block reads with retries, exceptions and
 * their meaning, values. Both Modbus drivers are this engine with a
 * transport each; commands (command.c) and probes (probe.c) share its bus.
 *
 * Blocks the bus's thread, which alone may call it.
 */
#define TG_MODBUS_BUSY_PAUSE_US                                                                    \
	UINT64_C(100000) /* before a device that said "busy" is asked again */

struct tg_bus {
	const struct tg_modbus_transport *transport;
	struct tg_modbus_link *link;
	const struct tg_config_bus *cfg;
	uint64_t requests, errors;           /* since open */
	char reason[TG_REASON_MAX + 1];      /* of a failed poll or read_one */
	char text[TG_MODBUS_STRING_MAX + 1]; /* of read_one */
	struct tg_modbus_answer answer;      /* to the last request */
};

/* As struct tg_bus_driver has them. */
int tg_modbus_open(const struct tg_modbus_transport *transport, const struct tg_config *cfg,
		   size_t bus, struct tg_bus **ret, struct tg_fault *reterr) TG_CHECKED;
int tg_modbus_plan(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
		   struct tg_fault *reterr) TG_CHECKED;
void tg_modbus_plan_done(void *plan);
uint64_t tg_modbus_patience_us(struct tg_bus *bus, const struct tg_config_device *dev, void *plan);
int tg_modbus_poll(struct tg_bus *bus, const struct tg_config_device *dev, void *plan,
		   unsigned retries, struct tg_sample *out, struct tg_fault *reterr) TG_CHECKED;
void tg_modbus_describe(struct tg_bus *bus, struct tg_bus_note *out);
void tg_modbus_close(struct tg_bus *bus);

/*
 * One request, counted, without retries; the answer is in bus->answer. Returns as transact(), with a text for exceptions
 * too; what a gateway says of a silent device (exceptions 10 and 11) is still an exception.
 */
int tg_modbus_ask(struct tg_bus *bus, const struct tg_modbus_request *q, uint64_t timeout_us,
		  struct tg_fault *reterr) TG_CHECKED;
/* Exceptions that say "later": 5 and 6; and that say that nobody is there: 10 and 11. Never fail. */
bool tg_modbus_is_busy(int exception);
bool tg_modbus_is_absent(int exception);
