/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/mqtt/link.h"

#include "agent/command/command.h"
#include "agent/mqtt/flight.h"
#include "agent/mqtt/kicks.h"
#include "agent/mqtt/message.h"
#include "agent/mqtt/trial.h"
#include "base/backoff.h"
#include "base/clock.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * The link's inside, for its files: link.c has the thread and what others may
 * ask of it, link_session.c what each step of the state machine does,
 * link_traffic.c what comes from the broker and goes to it, link_events.c what
 * the cloud is told, link_results.c what became of its commands, link_identity.c what becomes of identities. Everything
 * runs on the link's thread.
 */
#define TG_LINK_WINDOW_MAX         256 /* the largest in-flight window that the configuration takes */
#define TG_LINK_RESULT_WINDOW      8   /* results in flight */
/* Status, event and goodbye, and results, beside the packs. */
#define TG_LINK_OWN_PUBLISHES      (3 + TG_LINK_RESULT_WINDOW)
#define TG_LINK_CONNECT_TIMEOUT_US (20 * TG_US_PER_S)
#define TG_LINK_LOOK_US            (30 * TG_US_PER_S)  /* identities are looked for again */
#define TG_LINK_RETIRE_AGAIN_US    (300 * TG_US_PER_S) /* an old key that did not go is told to go again */

/* Cookies below 2^32 are never sequence numbers: epochs start at 1. */
enum { TG_COOKIE_STATUS = 1, TG_COOKIE_NEWS, TG_COOKIE_GOODBYE, TG_COOKIE_NOTE, TG_COOKIE_RESULT };
/* Results have those from TG_COOKIE_RESULT up to here. */
#define TG_COOKIE_RESULT_LAST UINT32_MAX

/* An event for the cloud that waits for its PUBACK. */
struct tg_link_note {
	char *json; /* owned */
	uint64_t number; /* in the spool; 0: it is in memory alone */
	bool kept;	 /* the spool has been given it */
	unsigned tries;
	bool retires; /* with its delivery the previous identity goes; made again after a restart, so not in the spool */
};

/* A result that waits for its PUBACK. */
struct tg_link_result {
	char device[TG_NAME_MAX + 1], id[TG_COMMAND_ID_MAX + 1];
	char *json; /* owned */
	bool executed;
	unsigned tries;  /* sessions that the broker ended while it was in flight */
	uint64_t cookie; /* while it is in flight; 0: it is not */
};

struct tg_link {
	/* fixed at birth */
	struct tg_link_options o;
	struct tg_mailbox *orders, *events, *out, *results_in;
	struct tg_mailbox *notes_in; /* events of earlier runs, from the spool */
	_Atomic unsigned note_number; /* the last one given, of this epoch; any thread */
	pthread_t thread;
	_Atomic bool ended;

	/* the thread's own */
	struct tg_link_setup setup;
	char *status; /* the newest document, NULL before the first */
	bool status_fresh;
	struct tg_mqtt *mqtt;
	struct tg_mqtt *past; /* has said its DISCONNECT, freed once the next one is connected */
	unsigned session;
	unsigned pick; /* of the broker's addresses: the next one after a TCP failure */
	/* Where the broker of that name was when it last proved itself; "": nowhere yet. */
	char last_host[256], last_address[64];
	struct tg_message message;
	uint8_t boot_id[16];
	struct tg_spool_out held; /* could not be published yet; parcel NULL: none */
	unsigned subscriptions; /* that wait for their SUBACK */
	bool status_sent, status_acked, echoed, proved;
	char *echo; /* what was published first in this session, NULL: not to be waited for */
	bool farewell, leaving; /* `offline` is acknowledged; DISCONNECT is on its way */
	bool disconnected;      /* it is out */
	bool missing;           /* an id or an identity: nothing was tried */
	bool away;              /* told to leave the client id to another */
	struct tg_link_note notes[TG_LINK_EVENTS];
	size_t n_notes;
	bool note_in_flight; /* the first of them */
	bool notes_denied;   /* the broker has ended sessions for one, and taken none since */
	struct tg_link_result results[TG_LINK_RESULTS]; /* oldest first */
	size_t n_results;
	uint64_t result_cookie;    /* the last one given */
	uint64_t results_since_us; /* the second that is counted */
	unsigned results_sent;     /* in it */
	uint64_t connect_us, deadline_us, due_us, reported_us;
	uint64_t session_acks, session_packs; /* acknowledged, published */
	struct tg_flight flight; /* packs, event and results that wait for their PUBACK */
	bool reset;   /* the session's end was one */
	bool overdue; /* the session is given up because they wait for too long */
	bool blamed;  /* and that, or its end by the broker, may be for the packs in flight */
	struct tg_backoff backoff;
	struct tg_kicks kicks;
	bool was_proved; /* an earlier session of this run: what is retained at the status topic is younger */
	struct tg_trial trial;
	struct tg_trial_facts facts; /* of this session's end */
	unsigned generation;         /* that this session uses */
	unsigned committed;          /* the current one whose forerunner the cloud may have dropped */
	int64_t life_s;              /* of current */
	uint64_t looked_us, owed_us, retire_us, probation_since_us;
	char blame[TG_FAULT_MAX]; /* the last failure under a new identity */
	char status_topic[TG_MQTT_TOPIC_MAX + 1];
	char command_filter[TG_MQTT_TOPIC_MAX + 1]; /* of this session's subscription */
	struct tg_link_report report;
};

/* Hands the report to the loop. */
void tg_link_tell(struct tg_link *l);
/* Counts a failure and keeps its reason for status and log. */
void tg_link_note_failure(struct tg_link *l, enum tg_mqtt_cause cause, const char *text);
/* Feeds the state machine with @event and does what it says, until it rests. */
void tg_link_advance(struct tg_link *l, enum tg_link_event event);
/* Sends DISCONNECT, whatever is still owed. */
void tg_link_leave(struct tg_link *l);
/*
 * A call has failed for want of a connection. Its end, which says who ended it, is on its way and counts; should it not
 * come soon, the silence does.
 */
void tg_link_await_end(struct tg_link *l);
/* The same while closing, once `offline` and every pack are acknowledged. */
void tg_link_leave_if_settled(struct tg_link *l);
/* What Paho had to say. Events of sessions that are over are dropped. */
void tg_link_on_event(struct tg_link *l, const struct tg_mqtt_event *e);
/* Sends the newest status document, if it has not gone out in this session. */
void tg_link_publish_status(struct tg_link *l);
/* Publishes what the spool has handed out, as far as the window allows. */
void tg_link_publish_packs(struct tg_link *l);
/* Queues an event; owns @json (NULL: out of memory, nothing happens). @retires: see struct tg_link_note. */
void tg_link_note(struct tg_link *l, char *json, bool retires);
/* The number for another event. Any thread. */
uint64_t tg_link_note_number(struct tg_link *l);
/* Queues one that has its number, and owns @n->json; @n->kept says whether it is in the spool. */
void tg_link_add_note(struct tg_link *l, const struct tg_link_note *n);
/* Asks the spool for what earlier runs have left; waits until it takes the order. */
void tg_link_ask_for_notes(struct tg_link *l);
/* Takes in what has come of it. */
void tg_link_take_notes(struct tg_link *l);
/* Publishes the first that waits, if it is not out already. */
void tg_link_publish_notes(struct tg_link *l);
void tg_link_note_acked(struct tg_link *l);
/* The session ended; returns whether an event was in flight, which may be why. */
bool tg_link_note_lost(struct tg_link *l);
void tg_link_notes_done(struct tg_link *l);
/* Whether one waits that retires the previous identity. */
bool tg_link_notes_retire(const struct tg_link *l);
/* The previous identity stays after all: drops what says otherwise. */
void tg_link_notes_stay(struct tg_link *l);

/*
 * Whether an event or a result is in flight that was so when a session ended: packs wait, so that its end, should it come
 * again, has one reason.
 */
bool tg_link_note_on_trial(const struct tg_link *l);
bool tg_link_results_on_trial(const struct tg_link *l);

/* Takes in results that were posted, whatever the state. */
void tg_link_take_results(struct tg_link *l);
/* Publishes those that wait, as far as the window and the rate allow. */
void tg_link_publish_results(struct tg_link *l);
void tg_link_result_acked(struct tg_link *l, uint64_t cookie);
/* The session ended; returns whether results were in flight, which may be why when the broker @ended it. */
bool tg_link_results_lost(struct tg_link *l, bool ended);
void tg_link_results_done(struct tg_link *l);
/* For tg_mailbox_new(). */
void tg_link_drop_result(void *result);

/* A session has ended (facts are there): tells what that shows. Returns whether it was a stable one. */
bool tg_link_note_end(struct tg_link *l, uint64_t now);
/* Whether a session that goes on shows that what was told is over. */
void tg_link_watch_kicks(struct tg_link *l, uint64_t now);
/* A message at our status topic that is not this session's first: ours, or of another client. */
void tg_link_note_status(struct tg_link *l, const struct tg_mqtt_event *e);

/* Takes in what the disk has of identities. */
void tg_link_look(struct tg_link *l);
/* Whether there are identities, and none may be tried yet. */
bool tg_link_paused(struct tg_link *l, uint64_t now);
/* When the next attempt may be made, as far as is known. */
uint64_t tg_link_paused_until(const struct tg_link *l);
/* Whether another identity than this session's is to be used now. */
bool tg_link_is_outdated(const struct tg_link *l, uint64_t now);
/* The identity for this connect: its bundle's path. -ENOENT when there is none. */
int tg_link_choose(struct tg_link *l, char *bundle, size_t size, struct tg_fault *reterr) TG_CHECKED;
/*
 * What is to be trusted beside `ca`: the anchors of the generation that @bundle is of. 0 with owned text, or with NULL when
 * there is none to add; -EBADMSG when the broker could not be judged at all. Tells the report, and the log what is missing.
 */
int tg_link_trust(struct tg_link *l, const char *bundle, char **ret_pem,
		  struct tg_fault *reterr) TG_CHECKED;
/*
 * Judges how a session went or ended and carries out what follows. Returns whether the next connect need not wait for
 * the back-off.
 */
bool tg_link_judge(struct tg_link *l, enum tg_trial_end end);
/* A verdict that the disk did not take, asked for again. */
void tg_link_pay(struct tg_link *l, uint64_t now);
/* Ends a probation that was long enough. */
void tg_link_watch_probation(struct tg_link *l, uint64_t now);
/* The cloud may hear from now on that the previous identity goes: it is not gone back to. */
void tg_link_commit(struct tg_link *l);
/* The previous identity is of no more use. */
void tg_link_retire(struct tg_link *l);
/* For tg_mailbox_new(). */
void tg_link_drop_out(void *out);
