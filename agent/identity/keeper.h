/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"
#include "identity/generation.h"
#include "identity/journal.h"

#include <stdint.h>
#include <systemd/sd-event.h>

/*
 * Sees to it that there is an identity: runs tidegate-provision when none is
 * there and the method can make one, and again after a failure, sooner or
 * later according to what failed. The agent itself makes neither keys nor
 * certificates.
 *
 * Lives on the loop. Reads small files; writes none.
 */
struct tg_keeper;

enum tg_keeper_state {
	TG_KEEPER_OFF,     /* method = none, or nothing to do the work with */
	TG_KEEPER_SETTLED, /* a current or candidate identity is there */
	TG_KEEPER_WAITING, /* the next attempt is planned */
	TG_KEEPER_RUNNING, /* the helper is at work */
	TG_KEEPER_STUCK,   /* the helper refused its configuration: a reload tries again */
};

struct tg_keeper_status {
	enum tg_keeper_state state;
	uint64_t next_us; /* WAITING: CLOCK_BOOTTIME of the next attempt */
	unsigned attempts;
	bool has_current, has_candidate, damaged;
	struct tg_manifest current, candidate;
	bool has_journal;
	struct tg_journal journal; /* the token is left out */
};

/* Called on the loop when an identity has come. */
typedef void (*tg_keeper_changed_fn)(void *user);

struct tg_keeper_options {
	const char *helper;      /* path of tidegate-provision */
	const char *config_path; /* handed to it */
	const char *state_dir;
};

/* @loop and the strings of @o outlive the keeper. SIGCHLD is blocked in every thread. Returns 0 or -errno. */
int tg_keeper_new(sd_event *loop, const struct tg_keeper_options *o, tg_keeper_changed_fn changed,
		  void *user, struct tg_keeper **ret) TG_CHECKED;
/* Ends a helper that still runs (SIGTERM; its journal lets the next one resume). Accepts NULL. */
struct tg_keeper *tg_keeper_free(struct tg_keeper *k);
/* A new configuration: looks at once whether there is something to do. */
int tg_keeper_configure(struct tg_keeper *k, const struct tg_config *cfg) TG_CHECKED;
/*
 * `tidegate enroll`: an attempt now; with @key_lost (the TPM does not know the identity's key) also where there is an
 * identity. Returns 0, -EALREADY when one runs, -EEXIST when there is an identity, -EOPNOTSUPP without a method.
 */
int tg_keeper_enrol_now(struct tg_keeper *k, bool key_lost) TG_CHECKED;
/* Everything that status shows; reads the manifests and the journal. */
void tg_keeper_status(struct tg_keeper *k, struct tg_keeper_status *ret);
const char *tg_keeper_state_name(enum tg_keeper_state s);

/* The pause after an attempt that failed with @class, the @failures-th in a row; @rnd is uniform. Pure. */
uint64_t tg_keeper_pause_us(enum tg_enrol_class class, unsigned failures, uint64_t rnd);
