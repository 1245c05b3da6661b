/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/driver.h"

/*
 * Something that is done once on a bus worker's thread, between two polls: a
 * command is written, an output falls to its safe state, a probe looks round.
 * What it is, the worker does not know.
 *
 * Whoever posts an errand owns it, and gives it away until one of its two
 * functions was called; that is called once.
 */

/* What the worker lends it while it runs. */
struct tg_bus_hands {
	const struct tg_bus_driver *driver;
	struct tg_bus *bus;
	const struct tg_config *cfg;
	/* Why the device @device (index in @cfg) does not answer, "" when it does or nobody has asked yet. */
	const char *(*silence)(const struct tg_bus_hands *h, size_t device);
	/* Says that the thread is alive, before each call that may take as long as the driver's patience. */
	void (*progress)(const struct tg_bus_hands *h);
	void *worker;
};

struct tg_errand {
	/* On the worker's thread. May block, a few calls of the driver long. */
	void (*run)(struct tg_errand *e, const struct tg_bus_hands *h);
	/* Instead, when the worker ends first: on whatever thread frees it. Must only post. */
	void (*drop)(struct tg_errand *e);
};
