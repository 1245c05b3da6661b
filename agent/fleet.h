/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/worker.h"

#include <systemd/sd-event.h>

/*
 * All bus workers of the running configuration, and the state of their
 * devices. A new configuration takes over when the old workers have finished
 * the poll they are in, without blocking the loop.
 *
 * Everything here runs on the loop's thread.
 */
struct tg_fleet;

/* Called on the loop when a new configuration has taken over: device numbers mean something else from now. */
typedef void (*tg_fleet_took_over_fn)(void *user);

/* What its workers need; cfg and bus are not used. state_dir outlives it. */
int tg_fleet_new(sd_event *loop, const struct tg_worker_setup *setup,
		 tg_fleet_took_over_fn took_over, struct tg_fleet **ret) TG_CHECKED;
/* Workers must have ended (tg_fleet_stop() returned 0). Accepts NULL. */
struct tg_fleet *tg_fleet_free(struct tg_fleet *f);
/* Stops the workers, and starts those of @cfg as soon as the last has ended. Returns 0 or -ENOMEM. */
int tg_fleet_configure(struct tg_fleet *f, struct tg_config *cfg) TG_CHECKED;
/* Stops for good; blocks up to @timeout_us. Returns 0, or -ETIMEDOUT when a worker is still in a poll. Accepts NULL. */
int tg_fleet_stop(struct tg_fleet *f, uint64_t timeout_us) TG_CHECKED;

int tg_fleet_poll_now(struct tg_fleet *f, size_t device) TG_CHECKED;
/* As tg_worker_errand(), for the worker of @bus; also -EOPNOTSUPP when it does not run. */
int tg_fleet_errand(struct tg_fleet *f, size_t bus, struct tg_errand *e) TG_CHECKED;
/* How long a poll of @device may take; 0 when its bus does not run. */
uint64_t tg_fleet_patience_us(const struct tg_fleet *f, size_t device);
/* The configuration of the workers that run now: the one that device numbers belong to. NULL before the first. */
const struct tg_config *tg_fleet_config(const struct tg_fleet *f);
/* One for each of its devices. */
const struct tg_device_state *tg_fleet_states(const struct tg_fleet *f);
/* One for each of its buses. */
const struct tg_bus_state *tg_fleet_buses(const struct tg_fleet *f);
/* Take a state in; return whether the health of the device, or the condition of the bus, has changed. */
bool tg_fleet_note(struct tg_fleet *f, const struct tg_device_state *state);
bool tg_fleet_note_bus(struct tg_fleet *f, const struct tg_bus_state *state);
/* The number of the device @name: 0, or -ENOENT when no worker has it (any more). */
int tg_fleet_device(const struct tg_fleet *f, const char *name, size_t *ret) TG_CHECKED;
/* The name of a bus whose worker shows no progress, or NULL. */
const char *tg_fleet_stuck(const struct tg_fleet *f, uint64_t now_us);
