/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/mqtt/link_fsm.h"
#include "agent/mqtt/trial.h"
#include "agent/pipeline/pipeline.h"
#include "agent/spool/spool.h"
#include "config/specifier.h"
#include "mqtt/session.h"

#include <tidegate/error.h>

/*
 * The link: keeps one session with the broker under the newest identity,
 * publishes what the spool hands out, tells the spool what was acknowledged.
 *
 * Its own thread owns Paho, whose calls can block in DNS or in a TPM
 * signature. All functions but _new and _free only post a message.
 *
 * A candidate identity is tried before the current one: after CONNACK, SUBACK
 * and one PUBACK under it, it is promoted here; refused, it is rolled back,
 * as long as there is a current one to go back to.
 */
struct tg_link;

#define TG_LINK_REASON_MAX 256

/* Whom the broker must lead to, beside the file that the configuration names. */
#define TG_LINK_TRUST_NAMES 4
struct tg_link_trust {
	bool from_enrolment; /* the generation's own anchors are wanted */
	size_t n;            /* so many are there */
	/* The first of them: subject, end. */
	struct tg_link_anchor {
		char name[128];
		int64_t not_after;
	} anchors[TG_LINK_TRUST_NAMES];
	char problem[TG_LINK_REASON_MAX]; /* why there are none; "" when there are */
};

struct tg_link_report {
	enum tg_link_state state;
	enum tg_link_identity identity;
	enum tg_link_standing standing;
	bool on_probation; /* current is, until previous is retired */
	bool suspended;    /* told to stay away, and has left: nobody uses the client id */
	bool wants_status; /* a session has begun: send the status document */
	uint32_t promotions, roll_backs, retirements; /* since start; demotions are roll-backs, too */
	char roll_back_reason[TG_LINK_REASON_MAX];    /* of the last one */
	uint64_t since_us;           /* CLOCK_BOOTTIME of the last change of state */
	uint64_t next_us;            /* next attempt while offline; 0: not planned */
	uint64_t connects, failures; /* since start */
	uint64_t published, acknowledged;
	uint64_t commands_ignored; /* retained, or of no device */
	unsigned results_waiting;
	uint64_t results_dropped;
	unsigned events_waiting;
	int64_t peer_not_before; /* latest notBefore of a broker whose certificate proved it; 0: none */
	enum tg_mqtt_cause cause; /* of the last failure */
	char error[TG_FAULT_MAX]; /* "" after a good session has begun */
	/* What several sessions have shown, until it is over; "": nothing. */
	char problem[TG_LINK_REASON_MAX];
	uint64_t instance; /* of this start of the agent, at random: tells it from others that have its client id */
	char endpoint[300], client_id[129];
	struct tg_link_trust trust; /* of the last attempt */
	uint64_t progress_us; /* of the thread's last turn, for the watchdog */
};
/* Called on the link's thread on each change and at least once a second; must only post. */
typedef void (*tg_link_report_fn)(void *user, const struct tg_link_report *report);

/* How status and will name the instance. */
#define TG_LINK_INSTANCE_MAX 17
const char *tg_link_instance(uint64_t instance, char out[static TG_LINK_INSTANCE_MAX]);

struct tg_link_setup {
	struct tg_config *cfg;     /* one reference, taken over on success */
	struct tg_specifiers spec; /* without device */
};

struct tg_link_options {
	const char *state_dir;
	struct tg_spool *spool;
	uint32_t epoch; /* of this start: events are numbered by it, as packs are */
	tg_pipeline_clock_fn clock;
	/* The time at which brokers' certificates are judged, in seconds since 1970. Called on the link's thread. */
	int64_t (*believed_s)(void *clock_user);
	void *clock_user;
	/* Called on the link's thread before each connect: makes TPM keys usable, or says why not. May block. */
	int (*prepare)(void *user, struct tg_fault *reterr);
	tg_link_report_fn report;
	/*
	 * Called on the link's thread with a message on the command topic: the device that the topic names, and the payload,
	 * which is taken over by who returns 0. Must only post.
	 */
	int (*command)(void *user, const char *device, uint8_t *payload, size_t len);
	/*
	 * Called on the link's thread when the result of an executed command is not waited for any more: the broker has it
	 * or does not want it (@told), or there was no room. May block on the disk.
	 */
	void (*result_gone)(void *user, const char *id, bool told);
	void *user;
};

/* Copies @o; what it points at outlives the link. */
int tg_link_new(const struct tg_link_options *o, struct tg_link **ret,
		struct tg_fault *reterr) TG_CHECKED;
/* A configuration, or an id that has become known. A session that is no longer right is closed in order and made anew. */
int tg_link_configure(struct tg_link *l, const struct tg_link_setup *setup) TG_CHECKED;
/* Look at the generations again: a new candidate, or a new current. */
int tg_link_identity_changed(struct tg_link *l) TG_CHECKED;
/* Retained at the status topic. Takes over @json on success. */
int tg_link_status(struct tg_link *l, char *json) TG_CHECKED;
/*
 * Leaves the session in order and stays away (report: suspended), or comes back: for a helper that
 * needs the client id. Readings go to the spool meanwhile. Repeating it changes nothing.
 */
int tg_link_suspend(struct tg_link *l, bool away) TG_CHECKED;
/*
 * Published once at status-topic + "/events", QoS 1, not retained: kept until the broker has acknowledged it, over
 * sessions and starts of the agent (it is in the spool before this returns to the loop's next step), among at most
 * TG_LINK_EVENTS others (the oldest goes). Takes over @json on success.
 */
#define TG_LINK_EVENTS TG_SPOOL_EVENTS
int tg_link_event(struct tg_link *l, char *json) TG_CHECKED;
/*
 * The result of a command, as JSON, published at the command topic of @device + "/result", QoS 1, not retained: kept until
 * the broker has acknowledged it, over sessions, among at most TG_LINK_RESULTS others. Where there are too many, those of
 * commands that were not @executed go first, then the oldest. Takes over @json on success.
 */
#define TG_LINK_RESULTS 128
int tg_link_result(struct tg_link *l, const char *device, const char *id, char *json,
		   bool executed) TG_CHECKED;
/* How long one turn of the thread may last. */
uint64_t tg_link_patience_us(void);
/* Says goodbye and ends the thread within @timeout_us; a thread that hangs in a library is left behind (-ETIMEDOUT). */
int tg_link_stop(struct tg_link *l, uint64_t timeout_us) TG_CHECKED;
struct tg_link *tg_link_free(struct tg_link *l);
