/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/worker.h"

#include "agent/bus/gather.h"
#include "agent/bus/schedule.h"
#include "agent/bus/totals.h"
#include "base/mailbox.h"

#include <tidegate/log.h>

#include <pthread.h>
#include <stdatomic.h>

/*
 * The inside of a worker, for its files: worker.c is the thread and its
 * mailbox, worker_poll.c asks devices, worker_hear.c takes what comes unasked,
 * worker_tell.c works out health and tells of it. The worker's thread alone,
 * from its start to its end.
 */
#define TG_WORKER_LOG_BURST     4 /* lines of one kind in the window; what flaps fills no journal */
#define TG_WORKER_LOG_WINDOW_US UINT64_C(600000000)

/* The reason of a sample that no driver has touched. */
extern const char tg_worker_not_read[];

struct tg_worker_device {
	const struct tg_config_device *cfg;
	void *plan;
	bool asked; /* it is polled */
	struct tg_schedule schedule;
	struct tg_gather gather; /* where the driver listens */
	struct tg_totals totals; /* of its counters */
	struct tg_device_state state;
	struct tg_log_limit log_limit, babble_limit;
	bool bus_down; /* the last poll failed for the bus, not for the device */
};

struct tg_worker {
	struct tg_worker_setup setup;
	const struct tg_config_bus *bus_cfg;
	const struct tg_bus_driver *driver;
	struct tg_bus *bus;
	struct tg_worker_device *devices;
	size_t n_devices;
	bool some_unasked;         /* devices that are only heard */
	struct tg_sample *samples; /* of one poll or pack */
	struct tg_bus_watch watch;
	struct tg_log_limit bus_limit;
	uint64_t dropped, told_us; /* the bus, last */
	uint64_t rest_us;          /* no listening before this */
	struct tg_mailbox *requests;
	uint64_t patience_us;
	_Atomic uint64_t progress_us;
	atomic_bool stop, ended;
	pthread_t thread;
	bool started;
};

/* --- worker_poll.c --- */

enum tg_poll_reason {
	TG_POLL_DUE,
	TG_POLL_WANTED, /* somebody wants it now */
	TG_POLL_SCOUT,  /* to see whether the bus is back: silent when it is not */
};
void tg_worker_poll(struct tg_worker *w, struct tg_worker_device *d, enum tg_poll_reason why);
/* The polled device that is due first, or NULL. */
struct tg_worker_device *tg_worker_earliest(const struct tg_worker *w);
/* The device @index of the configuration, or NULL. */
struct tg_worker_device *tg_worker_find(const struct tg_worker *w, size_t index);

/* Makes the raw value of the point @i what people see: total, scale. */
void tg_worker_convert(struct tg_worker_device *d, size_t i, struct tg_sample *s);

/* --- worker_hear.c --- */

/* The descriptor to wait for, -1: none now; and when to listen all the same. */
int tg_worker_listen_fd(struct tg_worker *w, uint64_t now_us, uint64_t *ret_wake_us);
void tg_worker_listen(struct tg_worker *w);
/* When a pack of something heard is due. */
uint64_t tg_worker_gather_us(const struct tg_worker *w);
/* Hands on what is due. */
void tg_worker_gather(struct tg_worker *w);
/* The newest of all points of a device that is not polled. */
void tg_worker_offer(struct tg_worker *w, struct tg_worker_device *d);

/* --- worker_tell.c --- */

/* A try of the bus ended with @r for @reason, see bus_watch.h: tells, and wakes who waits for it. */
void tg_worker_note_bus(struct tg_worker *w, int r, const char *reason);
/* After a poll with the result @r; @n samples are in w->samples. */
void tg_worker_judge_poll(struct tg_worker *w, struct tg_worker_device *d, int r,
			  const char *reason);
/* Health of a device that is only heard. */
void tg_worker_judge_gather(struct tg_worker *w, struct tg_worker_device *d);
/* Logs what changed since @before, and reports. */
void tg_worker_tell_device(struct tg_worker *w, struct tg_worker_device *d,
			   enum tg_device_health before);
/* Reports the bus, at most once a second unless @now. */
void tg_worker_tell_bus(struct tg_worker *w, bool now);
