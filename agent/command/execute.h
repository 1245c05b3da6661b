/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/bus/errand.h"
#include "agent/command/ledger.h"

/*
 * Carries a command out, on the thread of the bus worker: known already?
 * still in time? convert, enter into the ledger, write, read back, compare,
 * enter the result. And the same without a ledger for outputs that fall to
 * their safe state.
 *
 * May block a few calls of the driver long, and as long as the disk does.
 */
struct tg_execution {
	struct tg_ledger *ledger;
	/* How the wall clock is; any thread. */
	struct tg_command_clock (*clock)(void *user);
	void *user;
};

enum tg_executed {
	TG_EXECUTED_NOT,    /* nothing was sent to the device; the result says why */
	TG_EXECUTED,        /* it was written, or may have been */
	TG_EXECUTED_BEFORE, /* the result is the recorded one */
	TG_EXECUTED_UNDER_WAY /* elsewhere, or before a crash: its result comes from there, and there is none here */
};

/*
 * @c for the point @point of device @device (indices in the configuration of @h). *@out is the result, *@ret_silent
 * whether the device did not answer at all. A device that has been silent is read first, and nothing is written to
 * one that stays so: what is under way in nobody's memory would only surprise when it comes back.
 */
enum tg_executed tg_execute(const struct tg_execution *x, const struct tg_bus_hands *h,
			    const struct tg_command *c, size_t device, size_t point,
			    struct tg_result *out, bool *ret_silent);
/*
 * What was under way when the agent ended without warning: reads the point back, and enters the result, `unknown`. @out has
 * id and names already. @h may be NULL: the point is not there any more.
 */
void tg_execute_read_back(const struct tg_execution *x, const struct tg_bus_hands *h, size_t device,
			  size_t point, struct tg_result *out);
/* Writes the point's safe value, and reads it back. Returns 0, or -errno. */
int tg_execute_safe(const struct tg_bus_hands *h, size_t device, size_t point,
		    struct tg_fault *reterr) TG_CHECKED;
