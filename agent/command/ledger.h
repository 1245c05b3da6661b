/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/command/command.h"

/*
 * The ledger of commands: STATE/commands remembers which ids were executed and
 * with what result, over power cuts, so that no id is executed twice.
 *
 * A command is entered, and on stable storage, before its value goes to the
 * device; its result is entered before it is told. So after a crash in
 * between an id stands there without a result: whether the value was written
 * nobody knows, and it is not written again.
 *
 * One line for each step, appended, with a checksum; what a power cut has torn
 * is cut away at the next start. Ids are kept for TG_LEDGER_AGE_S, the last
 * TG_LEDGER_KEEP of them at most. What only refuses a command is not entered:
 * nobody wears out the card by asking for nonsense.
 *
 * Any thread, but not the loop's: calls block as long as the disk does.
 */
struct tg_ledger;

#define TG_LEDGER_FILE  "commands"
#define TG_LEDGER_KEEP  10000
#define TG_LEDGER_AGE_S (INT64_C(7) * 24 * 3600)

/* What is known of an id, beside -errno. */
enum tg_ledger_known {
	TG_LEDGER_NEW = 0,
	TG_LEDGER_UNDER_WAY = 1, /* entered, and no result yet */
	TG_LEDGER_KNOWN = 2,     /* the result is there */
};

/* Reads the file of @state_dir. One that cannot be read is told by the calls below, not here. Returns 0 or -ENOMEM. */
int tg_ledger_new(const char *state_dir, struct tg_ledger **ret) TG_CHECKED;
struct tg_ledger *tg_ledger_free(struct tg_ledger *l); /* accepts NULL, returns NULL */
TG_DEFINE_CLEANUP(struct tg_ledger *, tg_ledger_free)

/*
 * @now_s in all: seconds since 1970, or 0 when the clock cannot be believed; then no id is too old.
 *
 * What is known of @id; with TG_LEDGER_KNOWN, *@ret is the result.
 */
int tg_ledger_find(struct tg_ledger *l, const char *id, int64_t now_s, struct tg_result *ret,
		   struct tg_fault *reterr) TG_CHECKED;
/* Enters @c. TG_LEDGER_NEW: it is on stable storage, and may be executed; else as tg_ledger_find(), or -errno: it may not. */
int tg_ledger_begin(struct tg_ledger *l, const struct tg_command *c, int64_t now_s,
		    struct tg_result *ret, struct tg_fault *reterr) TG_CHECKED;
/* Enters the result of what was begun. On failure the id counts as executed all the same, with an unknown result. */
int tg_ledger_end(struct tg_ledger *l, const struct tg_result *r, int64_t now_s,
		  struct tg_fault *reterr) TG_CHECKED;
/* Whoever waits for the result of @id has it; said again after a power cut, perhaps. Never fails. */
void tg_ledger_told(struct tg_ledger *l, const char *id);
/*
 * What the run before has left, oldest first: begun without a result (@done is false; of @r id, device, point and origin are
 * set), or with one that the broker has not acknowledged. Before the first command.
 */
typedef void (*tg_ledger_left_fn)(void *user, const struct tg_result *r, bool done);
void tg_ledger_each_left(struct tg_ledger *l, tg_ledger_left_fn fn, void *user);
