/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/identity/renewal.h"
#include "config/config.h"
#include "identity/generation.h"
#include "identity/journal.h"

#include <stdint.h>
#include <systemd/sd-event.h>

/*
 * Sees to it that there is an identity, and that it is renewed in time: runs
 * tidegate-provision when the rules (renewal.h) say so, hears what came of it,
 * and plans the next attempt. The agent itself makes neither keys nor certificates.
 *
 * Where the service does not take the rotation client id, the link is asked to leave
 * its session for as long as the helper needs it.
 *
 * Lives on the loop. Reads small files; writes none.
 */
struct tg_keeper;

enum tg_keeper_state {
	TG_KEEPER_OFF,     /* method = none, or nothing to do the work with */
	TG_KEEPER_SETTLED, /* an identity is there, and nothing has failed since */
	TG_KEEPER_WAITING, /* the next attempt is planned */
	TG_KEEPER_LEAVING, /* the link is leaving its session for the helper */
	TG_KEEPER_RUNNING, /* the helper is at work */
	TG_KEEPER_STUCK,   /* the helper refused its configuration: tried again, and at a reload */
	TG_KEEPER_HOLDING, /* the configuration says to wait for an operator */
	TG_KEEPER_PENDING, /* the service has the request, which somebody there has yet to approve */
};

/* An attempt: the one that runs, or the last that did. */
struct tg_keeper_attempt {
	unsigned number; /* from 1, since start; 0: there was none */
	bool running;
	enum tg_enrol_kind kind;
	enum tg_enrol_credential credential;
	bool own_id;
	enum tg_renewal_reason reason; /* why it was made */
	uint64_t begun_us, ended_us;   /* CLOCK_BOOTTIME */
	/* how it failed; OK while it runs and when it did not */
	enum tg_enrol_class class;
	enum tg_enrol_step step;
	bool rolled_back; /* it brought a certificate, which the broker did not take */
	char text[TG_FAULT_MAX];
};

struct tg_keeper_status {
	enum tg_keeper_state state;
	uint64_t next_us;              /* CLOCK_BOOTTIME of the next attempt; 0: none is planned */
	int64_t next_s;                /* the same on the believed wall clock, seconds since 1970 */
	enum tg_renewal_reason reason; /* why then, or why not */
	char reason_text[96];          /* the same for people */
	bool by_hand;                  /* what is planned is an operator's to do */
	unsigned attempts, failures;   /* since start; in a row */
	unsigned asked;         /* how often in a row the service said that it is pending; 0: it is not */
	const char *asked_text; /* its words, "" where they are not known; until the next call */
	struct tg_keeper_attempt last;
	bool has_current, has_candidate, damaged;
	bool expired; /* current is, as far as the time is known */
	struct tg_manifest current, candidate;
	bool has_journal;
	struct tg_journal journal; /* the token is left out */
};

struct tg_keeper_clock {
	int64_t believed_s, floor_s; /* as in struct tg_renewal_facts */
	bool waits, synchronised;
};

/* What the link tells: the newest of its reports. */
struct tg_keeper_link {
	bool refused, on_probation, suspended;
	uint32_t promotions, roll_backs; /* since start */
	const char *roll_back_reason;
};

struct tg_keeper_options {
	const char *helper;      /* path of tidegate-provision */
	const char *config_path; /* handed to it */
	const char *state_dir;
	/* All on the loop. */
	void (*changed)(void *user); /* an identity has come */
	void (*clock)(void *user, struct tg_keeper_clock *ret);
	/* The link shall leave its session and stay away, or come back: 0, or -errno when it cannot be told now. */
	int (*suspend)(void *user, bool away);
	void *user;
};

/* @loop and the strings of @o outlive the keeper. SIGCHLD is blocked in every thread. Returns 0 or -errno. */
int tg_keeper_new(sd_event *loop, const struct tg_keeper_options *o,
		  struct tg_keeper **ret) TG_CHECKED;
/* Ends a helper that still runs (SIGTERM; its journal lets the next one resume). Accepts NULL. */
struct tg_keeper *tg_keeper_free(struct tg_keeper *k);
/* A new configuration: looks at once whether there is something to do, without a pause after earlier failures. */
int tg_keeper_configure(struct tg_keeper *k, const struct tg_config *cfg) TG_CHECKED;
/* What others know; each makes a plan anew. Never fail. */
void tg_keeper_link(struct tg_keeper *k, const struct tg_keeper_link *l);
void tg_keeper_tpm(struct tg_keeper *k, const char *tpm, bool key_lost);
void tg_keeper_clock_changed(struct tg_keeper *k);
/*
 * Orders. A request that is pending is asked for again, whatever time the service has named.
 *
 * `tidegate enroll`: an attempt now; with @key_lost (the TPM does not know the identity's key) also where there is an
 * identity. Returns 0, -EALREADY when one runs, -EEXIST when there is an identity, -EOPNOTSUPP without a method.
 */
int tg_keeper_enrol_now(struct tg_keeper *k, bool key_lost) TG_CHECKED;
/*
 * `tidegate renew`: an attempt now, due or not. Returns 0, -EALREADY when one runs, -EBUSY while a new certificate is on
 * trial or on probation, -ENOENT without an identity, -EKEYREJECTED when its key is lost and the configuration
 * says to hold, -EOPNOTSUPP without a method.
 */
int tg_keeper_renew_now(struct tg_keeper *k) TG_CHECKED;
/* Everything that status shows; reads the manifests and the journal. */
void tg_keeper_status(struct tg_keeper *k, struct tg_keeper_status *ret);
const char *tg_keeper_state_name(enum tg_keeper_state s);
