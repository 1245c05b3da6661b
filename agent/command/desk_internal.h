/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/command/desk.h"

#include "agent/command/desk_task.h"
#include "base/clock.h"

#include <tidegate/log.h>

/*
 * The desk's inside, for its files: desk.c takes in and hands out,
 * desk_results.c says what came of it. The loop's thread alone.
 */
#define TG_DESK_LEFT_MAX 64 /* results of the run before that are told; the last ones */

struct tg_desk_left {
	struct tg_result r;
	bool done;
};

struct tg_desk {
	struct tg_desk_options o;
	struct tg_ledger *ledger;
	struct tg_execution execution;
	struct tg_mailbox *inbox, *back;
	sd_event_source *inbox_io, *back_io, *timer;
	struct tg_config *cfg; /* of the workers; NULL before the first */
	uint64_t *quiet_until; /* for each of its devices */
	struct tg_safe safe;
	struct tg_task *tasks; /* all that are out */
	unsigned n_tasks;
	struct tg_desk_state state;
	struct tg_log_limit log_limit, refused_limit;
	struct tg_desk_left *left; /* of the run before, until the first configuration */
	size_t n_left;
	_Atomic unsigned untold;   /* results of executed commands that the link has */
	_Atomic uint64_t overflow; /* messages that found the inbox full */
};

/* Counts and logs @r, and tells whoever has given the command. */
void tg_desk_tell(struct tg_desk *d, uint64_t client, const struct tg_result *r,
		  enum tg_executed executed);
/* The same for a command that did not get to its device. */
void tg_desk_refuse(struct tg_desk *d, uint64_t client, const struct tg_command *c,
		    enum tg_command_status status, const char *why);
/* What came of @t, which has come back; frees it. */
void tg_desk_finish(struct tg_desk *d, struct tg_task *t);
/* The same for a safe state alone; @t stays. */
void tg_desk_finish_safe(struct tg_desk *d, struct tg_task *t);
/* Takes @t from the list, and frees it. */
void tg_desk_forget(struct tg_desk *d, struct tg_task *t);
/* A command that was under way when the agent ended, or that was done and nobody knows it. */
void tg_desk_look_at_left(struct tg_desk *d, const struct tg_desk_left *left);
/* The point that @c names in the configuration that runs, or NULL with the reason. */
const struct tg_config_point *tg_desk_find(const struct tg_desk *d, const struct tg_command *c,
					   size_t *ret_device, size_t *ret_point,
					   struct tg_fault *reterr);
