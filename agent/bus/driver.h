/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>
#include <tidegate/sample.h>

/*
 * What every kind of bus looks like to the worker that drives it.
 *
 * A driver is a const struct in the list of registry.c. One worker thread per
 * physical bus calls it, never two at once; calls may block up to the
 * device's time-out (times retries), which is why they have a thread of their
 * own. Drivers know nothing of schedules, back-off, spool or MQTT.
 */
struct tg_bus;
struct tg_poll;

struct tg_bus_driver {
	const char *name; /* "modbus-tcp": the value of `type` */
	enum tg_bus_type type;

	/*
	 * Returns 0 and an owned bus, or -errno. The bus need not be reachable: a driver that can
	 * reconnect connects in poll.
	 * @cfg outlives the bus.
	 */
	int (*open)(const struct tg_config *cfg, size_t bus, struct tg_bus **ret,
		    struct tg_fault *reterr);
	/*
	 * Prepares block reads and the like for one device. Optional. @ret_plan is handed to poll
	 * and freed by plan_free.
	 */
	int (*plan)(struct tg_bus *bus, const struct tg_config_device *dev, void **ret_plan,
		    struct tg_fault *reterr);
	void (*plan_free)(void *plan);
	/* The longest that one poll of @dev may take when all goes wrong, for the watchdog. Never
	 * fails. */
	uint64_t (*patience_us)(struct tg_bus *bus, const struct tg_config_device *dev, void *plan);
	/*
	 * Reads every point of @dev once: fills out[0 .. dev->n_points - 1], in the order of the
	 * points, each with value or quality and reason, and boot_us of its own acquisition. Text
	 * values and reasons stay valid until the next call on this bus. Returns the number of
	 * retries that it took (0 is the rule) when the device answered at all (single points may
	 * be bad), or -errno when it did not: then every sample is bad, and the worker backs the
	 * device off. -ENOTCONN says that the bus itself is down, and so every device on it.
	 */
	int (*poll)(struct tg_bus *bus, const struct tg_config_device *dev, void *plan,
		    struct tg_sample *out, struct tg_fault *reterr);
	/* Optional; NULL when the bus cannot be written (modbus-tcp: not yet). @value is the raw
	 * one (scale undone). */
	int (*write)(struct tg_bus *bus, const struct tg_config_device *dev,
		     const struct tg_config_point *point, double value, struct tg_fault *reterr);
	void (*close)(struct tg_bus *bus); /* accepts NULL */
};

/* The driver of @type, or NULL when this build has none. */
const struct tg_bus_driver *tg_bus_driver_get(enum tg_bus_type type);
