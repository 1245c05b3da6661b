/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/command/desk.h"
#include "agent/identity/claim.h"
#include "agent/identity/keeper.h"
#include "agent/news.h"
#include "agent/timekeeping/timekeeping.h"

/*
 * The whole story as one JSON object: for `tidegate status`, and retained at
 * the status topic. Pure but for the keeper's view that the caller fetched.
 *
 * Every member is always there; what is not known is null. Times are ages in
 * seconds or ISO 8601 in UTC.
 */
struct tg_picture {
	const struct tg_config *cfg;
	const struct tg_specifiers *spec;
	const char *config_path;
	uint64_t started_us, now_us; /* CLOCK_BOOTTIME */
	int64_t wall_us;
	uint8_t boot_id[16];
	struct tg_time_state time;
	struct tg_keeper_status keeper;
	const struct tg_claim *claim;
	struct tg_link_report link;
	struct tg_spool_state spool;
	struct tg_tpm_report tpm;
	const struct tg_config
		*fleet; /* the configuration of the devices that run: cfg, or the one before */
	const struct tg_device_state *devices; /* one for each of them */
	const struct tg_bus_state *buses; /* one for each bus of fleet */
	struct tg_desk_state commands;
	const struct tg_safe *safe; /* outputs with a safe state; NULL: none */
	const char *identity_lost;	       /* why an identity was given up, or ""; told while there is none */
	const char *stuck;                     /* the thread that shows no progress, or NULL */
};

/* Devices that a retained status document names one by one; with more, only those that are not well. */
#define TG_STATUS_DEVICES 64
/* Likewise of buses. */
#define TG_STATUS_BUSES 16

/*
 * Returns owned JSON text, or NULL without memory. @brief: for the status topic, with at most TG_STATUS_DEVICES devices and no
 * paths of this machine.
 */
char *tg_status_json(const struct tg_picture *p, bool brief);
/* The identity part alone: `tidegate identity`. */
char *tg_status_identity_json(const struct tg_picture *p);
/* The spool with its bounds: `tidegate spool`. */
char *tg_status_spool_json(const struct tg_picture *p);
/* What those want who wait for an enrolment or a renewal, and ask often. */
char *tg_status_progress_json(const struct tg_picture *p);
/* Longest text of tg_status_line(), in bytes: five reasons, each cut. */
#define TG_STATUS_LINE_MAX 600
/*
 * One line for systemd's STATUS= and logs, of at most @size bytes: the identity, the link, the devices, what waits, and what is
 * wrong with which part. Printable ASCII, whatever peers have said.
 */
void tg_status_line(const struct tg_picture *p, char *out, size_t size);

/* Internal to agent/status: "off" without a broker; how many devices are so. Pure. */
const char *tg_status_link_state(const struct tg_picture *p);
size_t tg_status_count(const struct tg_picture *p, enum tg_device_health h);
/* "ok", "degraded", "dead", "unknown". Never NULL. */
const char *tg_device_health_name(enum tg_device_health h);
