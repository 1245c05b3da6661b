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
 * own. Drivers know nothing of schedules, back-off, spool or MQTT, nor of
 * scale, offset, units and counters: they read and write *raw* values.
 *
 * A bus is asked (poll), or speaks unasked (listen), or both.
 */
struct tg_bus;
struct tg_table; /* table.h */

/* Whom a driver tells what came unasked, during listen(). */
struct tg_bus_ear {
	/* @point is the index in dev->points. Of @s value or quality and reason, and boot_us, count; all is copied. */
	void (*heard)(void *user, const struct tg_config_device *dev, size_t point,
		      const struct tg_sample *s);
	/* @n units of input were thrown away unread (overrun, babble). */
	void (*dropped)(void *user, uint64_t n);
	void *user;
};

/* How a bus is, for status and metrics. */
struct tg_bus_note {
	char text[TG_REASON_MAX +
		  1]; /* "error-passive, tx 128 rx 0"; "" when there is nothing to say */
	uint64_t requests, errors; /* or frames, lines, messages; since open */
};

struct tg_bus_driver {
	const char *name; /* "modbus-tcp": the value of `type` */
	enum tg_bus_type type;

	/*
	 * Returns 0 and an owned bus, or -errno. The bus need not be reachable: a driver that can
	 * reconnect connects in poll or listen.
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
	/* The longest that one call for @dev may take when all goes wrong, for the watchdog. Never
	 * fails. */
	uint64_t (*patience_us)(struct tg_bus *bus, const struct tg_config_device *dev, void *plan);
	/*
	 * Whether @dev is polled, where that differs from device to device or from configuration to configuration
	 * (a program that runs at an interval, or is kept running). Optional: without it, every device is when poll is
	 * there. What is heard of a device that is polled too is published beside its polls, and its health is that of
	 * its polls. Asked once, after plan. Never fails.
	 */
	bool (*asked)(struct tg_bus *bus, const struct tg_config_device *dev);
	/*
	 * Whether the raw value of @point counts since the bus was opened, as pulses of an input do: then its total is kept
	 * over restarts, and the first value after open is all new. Optional: without it, what counts is what the
	 * configuration says (counter = BITS). Never fails.
	 */
	bool (*counts)(const struct tg_config_point *point);
	/*
	 * Reads every point of @dev once: fills out[0 .. dev->n_points - 1], in the order of the
	 * points, each with value or quality and reason, and boot_us of its own acquisition. Text
	 * values and reasons stay valid until the next call on this bus. @retries is how often a
	 * request may be repeated: dev->retries, or 0 for a device that is backed off. Returns the number of
	 * retries that it took (0 is the rule) when the device answered at all (single points may
	 * be bad), or -errno when it did not: then every sample is bad, and the worker backs the
	 * device off. -ENOTCONN says that the bus itself is down, and so every device on it.
	 * NULL for a bus that only speaks unasked.
	 */
	int (*poll)(struct tg_bus *bus, const struct tg_config_device *dev, void *plan,
		    unsigned retries, struct tg_sample *out, struct tg_fault *reterr);

	/*
	 * Buses that speak unasked have both of these, others none.
	 *
	 * The descriptor that becomes readable when listen has something to do (epoll where there are several), or
	 * -1; *ret_wake_us: when it is called all the same, CLOCK_BOOTTIME. Asked before each wait; never fails.
	 */
	int (*listen_fd)(struct tg_bus *bus, uint64_t *ret_wake_us);
	/*
	 * Takes what is there, at most TG_LISTEN_MAX units of it, and never waits. Returns 0, or -ENOTCONN: the
	 * bus is down and so every device on it, until a later call returns 0.
	 */
	int (*listen)(struct tg_bus *bus, const struct tg_bus_ear *ear, struct tg_fault *reterr);

	/*
	 * Sets one point with write = yes. Optional. @raw is of the type that read_one gives (numbers may be of any
	 * number type), within min and max. Returns 0 when the device confirmed it, -ERANGE when the point cannot hold
	 * it, or -errno; a write is never repeated by a driver after it may have reached the device.
	 */
	int (*write)(struct tg_bus *bus, const struct tg_config_device *dev,
		     const struct tg_config_point *point, const struct tg_value *raw,
		     struct tg_fault *reterr);
	/* Reads one point, as after a write. Returns 0 with good or bad quality in @out, or -errno. There when write is. */
	int (*read_one)(struct tg_bus *bus, const struct tg_config_device *dev,
			const struct tg_config_point *point, struct tg_sample *out,
			struct tg_fault *reterr);

	/*
	 * Looks round for `tidegate probe NAME [ADDRESS]`. Optional. @dev is NULL when NAME is the bus, @address "" when
	 * it is not given. At most TG_PROBE_US. Returns 0 and @out filled, -EINVAL for an address that is none (with
	 * an example of a right one), or -errno.
	 */
	int (*probe)(struct tg_bus *bus, const struct tg_config_device *dev, const char *address,
		     struct tg_table *out, struct tg_fault *reterr);
	/* Optional; never blocks, never fails. */
	void (*describe)(struct tg_bus *bus, struct tg_bus_note *out);
	void (*close)(struct tg_bus *bus); /* accepts NULL */
};

#define TG_LISTEN_MAX 256               /* frames, lines, messages, edges of one call of listen */
#define TG_PROBE_US   UINT64_C(8000000) /* of one probe */

/* The driver of @type, or NULL when this build has none. */
const struct tg_bus_driver *tg_bus_driver_get(enum tg_bus_type type);
