/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

#include "agent/command/desk.h"
#include "agent/control/verbs.h"
#include "agent/identity/expiry.h"
#include "agent/fleet.h"
#include "agent/status/spool_news.h"
#include "agent/status/textfile.h"
#include "config/specifier.h"

/*
 * The agent's inside, for its four files: agent.c looks after time and
 * configuration and answers the verbs, agent_news.c takes in what the threads
 * tell, agent_keeper.c says to the keeper of the identity what it must know,
 * agent_start.c starts and stops everything in order. The loop's thread alone,
 * but for the callbacks that say otherwise.
 */
struct tg_agent {
	const struct tg_agent_options *o;
	int lock; /* fd of STATE/lock, held while we run */
	struct tg_config *cfg;
	struct tg_specifiers spec;
	uint64_t started_us;
	uint8_t boot_id[16];

	sd_event *loop;
	sd_event_source *tick, *news_io, *tap_io;
	struct tg_mailbox *news, *tap;

	struct tg_tpm *tpm;
	char *tcti; /* as at the start: the link's thread reads it while configurations come and go */
	bool provider_ready; /* the link's thread alone looks at it after the start */
	struct tg_timekeeping *time;
	struct tg_spool *spool;
	struct tg_pipeline *pipeline;
	struct tg_link *link;
	struct tg_tpm_watch *watch;
	struct tg_keeper *keeper;
	struct tg_claim claim;
	struct tg_expiry expiry;
	struct tg_fleet *fleet;
	struct tg_desk *desk;
	struct tg_control *control;
	struct tg_verbs *verbs;
	struct tg_textfile *textfile;

	/* the newest of what was told */
	struct tg_link_report link_report;
	struct tg_spool_state spool_state;
	struct tg_spool_news spool_news;
	struct tg_tpm_report tpm_report;
	uint64_t tpm_asked_us; /* out of turn */
	const char *stuck;
	char identity_lost[TG_FAULT_MAX]; /* why the identity that was there is given up; "": it is not */
	uint64_t status_us;
	bool status_due;
	bool link_due;    /* has not got its configuration yet */
	uint64_t lost_us; /* since when Paho has not given a session back; 0: it has */
	char line[TG_STATUS_LINE_MAX + 1]; /* last told to systemd */
};

/* Called on the threads that report; they only post. @user: the struct tg_agent. */
void tg_agent_on_device_state(void *user, const struct tg_device_state *state);
void tg_agent_on_bus_state(void *user, const struct tg_bus_state *state);
void tg_agent_on_spool_state(void *user, const struct tg_spool_state *state);
void tg_agent_on_aside(void *user, uint64_t client, struct tg_spool_aside *list);
void tg_agent_on_link_report(void *user, const struct tg_link_report *report);
void tg_agent_on_tpm_report(void *user, const struct tg_tpm_report *report);

/* For tg_mailbox_new(). */
void tg_agent_drop_news(void *news);

/* Called by the loop; @user: the struct tg_agent. */
int tg_agent_on_news_io(sd_event_source *s, int fd, uint32_t events, void *user);
int tg_agent_on_tap_io(sd_event_source *s, int fd, uint32_t events, void *user);
int tg_agent_on_tick(sd_event_source *s, uint64_t usec, void *user);
int tg_agent_on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *user);
void tg_agent_on_clock(void *user, const struct tg_time_change *change);
void tg_agent_on_fleet(void *user);    /* the devices of a new configuration run */
void tg_agent_on_identity(void *user); /* the helper has written one */

/* Gives the link a fresh status document for the status topic. */
void tg_agent_publish_status(struct tg_agent *a);
/* Gives the link configuration and ids; tried again by the tick when it is busy. */
void tg_agent_configure_link(struct tg_agent *a);
/* Works %i out of configuration and TPM; returns whether it has changed. */
bool tg_agent_expand_id(struct tg_agent *a);
/* Makes a->keeper. Returns 0 or -errno. */
int tg_agent_start_keeper(struct tg_agent *a) TG_CHECKED;
/* What the link's newest report means for the identity. */
void tg_agent_tell_keeper(struct tg_agent *a);
/* Raises the clock's floor to what our own certificates prove. */
void tg_agent_keep_floor(struct tg_agent *a);
