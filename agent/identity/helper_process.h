/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/journal.h"

#include <tidegate/error.h>

#include <stdbool.h>
#include <systemd/sd-event.h>

/*
 * One run of tidegate-provision as a child of the loop. It parses what a
 * service on the network sends, so it may crash or hang: its end is told
 * whatever it was, and one that runs for too long is ended, by SIGTERM and then
 * by SIGKILL. Its journal lets the next run go on where it was.
 *
 * The loop's thread; SIGCHLD is blocked in every thread. Never blocks, but for
 * tg_helper_process_free().
 */
struct tg_helper_process;

struct tg_helper_order {
	const char *path, *config_path, *state_dir;
	enum tg_enrol_kind kind;
	enum tg_enrol_credential credential;
	bool own_id;          /* under the link's client id */
	int64_t floor_s;      /* seconds since 1970 that have certainly passed */
	bool synchronised;    /* the wall clock is, to our knowledge */
	uint64_t patience_us; /* from its start to SIGTERM */
};

enum tg_helper_end {
	TG_HELPER_EXITED, /* with code */
	TG_HELPER_KILLED, /* by signal code, not ours */
	TG_HELPER_HUNG,   /* it was ended after patience_us */
};
/* Called once, on the loop. The callee may free the process. */
typedef void (*tg_helper_ended_fn)(void *user, enum tg_helper_end end, int code);

/* From SIGTERM to SIGKILL: it may sit in a call to the TPM, which is better finished. */
#define TG_HELPER_GRACE_US UINT64_C(5000000)

/* @loop outlives it, @o does not have to. Returns 0 and the running child, or -errno. */
int tg_helper_process_start(sd_event *loop, const struct tg_helper_order *o,
			    tg_helper_ended_fn ended, void *user,
			    struct tg_helper_process **ret) TG_CHECKED;
/*
 * Ends a child that still runs, without calling `ended`; blocks for a fifth of a second at most. Accepts NULL. Returns
 * NULL.
 */
struct tg_helper_process *tg_helper_process_free(struct tg_helper_process *h);
