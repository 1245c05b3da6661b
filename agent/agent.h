/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/control/server.h"
#include "agent/status/status.h"

/*
 * The agent itself: makes the parts in their order, carries news between
 * them on the loop, swaps the configuration, stops everything in order.
 *
 * Everything here runs on the loop's thread.
 */
struct tg_agent;

struct tg_agent_options {
	const char *config_path;
	const char *state_dir;
	const char
		*runtime_dir; /* NULL under systemd: the socket is TG_CONTROL_SOCKET, or passed */
	const char *helper;   /* tidegate-provision */
};

/*
 * Runs until SIGTERM or SIGINT. Returns an exit code. @ret_hurry says that a thread is left behind in a library: the caller must
 * leave by _exit().
 */
int tg_agent_run(const struct tg_agent_options *o, bool *ret_hurry) TG_CHECKED;

/* What the verbs of the control socket need. */
struct tg_control *tg_agent_control(struct tg_agent *a);
/* The configuration that device numbers belong to. */
const struct tg_config *tg_agent_config(const struct tg_agent *a);
struct tg_keeper *tg_agent_keeper(struct tg_agent *a);
struct tg_desk *tg_agent_desk(struct tg_agent *a);
const char *tg_agent_state_dir(const struct tg_agent *a);
sd_event *tg_agent_loop(struct tg_agent *a);
/* The TPM is asked soon how it is, if it has not been just now: somebody wants to know. */
void tg_agent_look_at_tpm(struct tg_agent *a);
/* Valid until the loop's next turn. */
void tg_agent_picture(struct tg_agent *a, struct tg_picture *ret);
/* The list of packs that were set aside is answered to @client. Returns 0, or -EAGAIN. */
int tg_agent_list_aside(struct tg_agent *a, tg_client client) TG_CHECKED;
/* Asks for a poll of device @i now. Returns 0, or -errno: -EOPNOTSUPP when its bus does not run, -EAGAIN. */
int tg_agent_poll_now(struct tg_agent *a, size_t i) TG_CHECKED;
/* Whether it is polled; else it is only heard. */
bool tg_agent_device_is_polled(const struct tg_agent *a, size_t i);
/* How long a poll of device @i may take. */
uint64_t tg_agent_patience_us(const struct tg_agent *a, size_t i);
/*
 * Loads the configuration again. Refused: -EBADMSG with every complaint in @ret_text (owned, one a line), and nothing changes.
 * Taken: 0, with warnings in @ret_text; workers that are in a poll finish it before the new ones start.
 */
int tg_agent_reload(struct tg_agent *a, char **ret_text) TG_CHECKED;
