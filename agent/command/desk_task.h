/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/table.h"
#include "agent/command/execute.h"
#include "base/mailbox.h"

#include <stdatomic.h>

/*
 * One errand of the desk, on its way to a bus worker and back. The desk makes
 * it, the worker carries it out or drops it, and either way it comes back
 * through the mailbox. Internal to the desk.
 */
enum tg_task_kind { TG_TASK_WRITE, TG_TASK_READ_BACK, TG_TASK_SAFE, TG_TASK_PROBE };

/* Who got to it first, the worker or the deadline. */
enum tg_task_stage { TG_STAGE_WAITING, TG_STAGE_RUNNING, TG_STAGE_GIVEN_UP };

#define TG_TASK_ADDRESS_MAX 128

struct tg_task {
	struct tg_errand errand; /* first: the worker knows nothing else */
	struct tg_mailbox *back; /* takes struct tg_task * */
	const struct tg_execution *execution;
	enum tg_task_kind kind;
	_Atomic int stage;
	const struct tg_config *cfg; /* that the worker has; to be compared, not followed */
	size_t bus, device, point;   /* in it */
	uint64_t client;             /* who waits on the control socket; 0: nobody */
	uint64_t deadline_us;
	struct tg_command command;
	char address[TG_TASK_ADDRESS_MAX + 1]; /* of a probe */

	/* what came of it */
	bool dropped; /* the worker ended first */
	bool silent;
	enum tg_executed executed;
	struct tg_result result;
	int error; /* of safe states and probes */
	struct tg_fault why;
	struct tg_table table; /* of a probe */

	struct tg_task *next; /* in the desk's list */
};

/* Owned; freed by tg_task_free(). NULL without memory. */
struct tg_task *tg_task_new(enum tg_task_kind kind, struct tg_mailbox *back,
			    const struct tg_execution *x);
struct tg_task *tg_task_free(struct tg_task *t); /* accepts NULL, returns NULL */
/* Whether it can still be kept from being carried out; then it will not be. The desk's thread. */
bool tg_task_give_up(struct tg_task *t);
