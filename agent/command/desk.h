/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/command/execute.h"
#include "agent/command/safe.h"
#include "agent/fleet.h"
#include "agent/mqtt/link.h"

#include <systemd/sd-event.h>

/*
 * The desk: where commands come in, from the broker and from `tidegate write`,
 * are handed to the bus workers, and their results go out. It also lets outputs
 * fall to their safe state, passes probes on, and looks at what was under way
 * when the agent ended without warning.
 *
 * Everything runs on the loop but tg_desk_deliver(). Bounded everywhere: what
 * does not fit is answered so, and what comes faster than it can be answered is
 * counted and dropped.
 */
struct tg_desk;

#define TG_DESK_TASKS   256 /* commands, safe states and probes at once */
#define TG_DESK_PER_BUS 32
/*
 * Commands of the broker whose results it has not acknowledged, and those on their way: no more are executed, so that each
 * result finds its place in the link.
 */
#define TG_DESK_UNTOLD (TG_LINK_RESULTS * 3 / 4)
#define TG_DESK_INBOX   256 /* messages that the loop has not looked at */
/* Whatever has not begun by then is not done any more. */
#define TG_DESK_TIMEOUT_US (UINT64_C(10) * 1000 * 1000)

struct tg_desk_options {
	sd_event *loop;
	const char *state_dir;
	struct tg_fleet *fleet;
	struct tg_command_clock (*clock)(void *clock_user); /* any thread */
	void *clock_user;
	/* A result for the broker; takes over @json. @executed: it was written, or may have been, so it should not be lost. */
	void (*publish)(void *user, const char *device, const char *id, char *json, bool executed);
	/* What `tidegate write` or `tidegate probe` waits for: JSON, or NULL and why not. */
	void (*answer)(void *user, uint64_t client, const char *json, const struct tg_fault *why);
	void *user;
};

/* For status and metrics; since the start. */
struct tg_desk_state {
	unsigned waiting; /* now */
	uint64_t done, refused, failed, unknown;
	uint64_t dropped; /* unread, or without an answer */
	unsigned safe;    /* outputs in their safe state now */
	unsigned unsafe;  /* that should be, and cannot be set */
};

/* Reads the ledger, so it may block: before the loop runs. Copies @o; what it points at outlives the desk. */
int tg_desk_new(const struct tg_desk_options *o, struct tg_desk **ret) TG_CHECKED;
/* The workers must have ended. Accepts NULL, returns NULL. */
struct tg_desk *tg_desk_free(struct tg_desk *d);
/* A message from the broker for @device. Takes over @payload; -EAGAIN when too many wait: then it stays the caller's. Any thread. */
int tg_desk_deliver(struct tg_desk *d, const char *device, uint8_t *payload, size_t len) TG_CHECKED;
/*
 * The result of @id, which was published as executed, is waited for no more: the broker has acknowledged it (@told; then it
 * may block on the disk, and is not for the loop), or there was no room for it. Any thread.
 */
void tg_desk_gone(struct tg_desk *d, const char *id, bool told);

/* @c, with an id of its own and local set, for @client. The answer comes through options.answer, perhaps before this returns. */
void tg_desk_write(struct tg_desk *d, uint64_t client, const struct tg_command *c);
/* Looks round on @bus, with @device (index, or SIZE_MAX: none). Returns 0: the answer comes, or -errno. */
int tg_desk_probe(struct tg_desk *d, uint64_t client, size_t bus, size_t device,
		  const char *address, struct tg_fault *reterr) TG_CHECKED;
/* The workers of a new configuration run. */
void tg_desk_reconfigured(struct tg_desk *d);
void tg_desk_state(const struct tg_desk *d, struct tg_desk_state *ret);
/* The outputs and when they fell, to be looked at until the loop's next turn. */
const struct tg_safe *tg_desk_safe(const struct tg_desk *d);
