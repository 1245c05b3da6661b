/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/generation.h"

#include <dirent.h>

/*
 * The directory identity/ while it is worked on: one descriptor for it and one for
 * generations/, and the small steps that generation.c, succession.c, history.c and recover.c are made of.
 *
 * Whoever changes anything holds the lock (flock on the directory itself), so that the agent's
 * recovery cannot take a generation for an orphan that the helper is about to link.
 * Internal to lib/identity. Blocks on the disk.
 */
struct tg_generations {
	int identity, generations; /* owned; -1: none */
};
#define TG_GENERATIONS_NULL                                                                              \
	{                                                                                          \
		-1, -1                                                                             \
	}

/*
 * Where the state directory lets the group in, it may use the key beside the agent (which is of no use without the TPM);
 * certificates are public. The packaged unit's directory lets nobody in.
 */
#define TG_GENERATIONS_KEY_MODE	   0640
#define TG_GENERATIONS_PUBLIC_MODE 0644

#define TG_GENERATIONS_NEW ".new" /* a generation while it is written; hidden from readers */

/* Opens what is there for reading. 0, or -ENOENT when there is no identity directory yet. */
int tg_generations_open(const char *state_dir, struct tg_generations *ret, struct tg_fault *reterr) TG_CHECKED;
/* The same with the lock, waiting for it. */
int tg_generations_lock(const char *state_dir, struct tg_generations *ret, struct tg_fault *reterr) TG_CHECKED;
/* Makes the directories first, durably. */
int tg_generations_make(const char *state_dir, struct tg_generations *ret, struct tg_fault *reterr) TG_CHECKED;
/* Works on TG_GENERATIONS_NULL too. */
void tg_generations_done(struct tg_generations *s);

/* "current", "candidate", "previous". */
const char *tg_slot_name(enum tg_slot slot);

/* The number that @slot points at: 0, -ENOENT when there is no link, -EBADMSG when it is no link to
 * a generation. */
int tg_generations_slot(const struct tg_generations *s, enum tg_slot slot, unsigned *ret,
		  struct tg_fault *reterr) TG_CHECKED;
/* Points @slot at @number by rename; durable. */
int tg_generations_point(const struct tg_generations *s, enum tg_slot slot, unsigned number,
		   struct tg_fault *reterr) TG_CHECKED;
/* Removes the link, durably; 0 also when there is none. */
int tg_generations_clear(const struct tg_generations *s, enum tg_slot slot, struct tg_fault *reterr) TG_CHECKED;

/*
 * Reads generation @number. @whole: its files must be there and fit the manifest's digest; else the
 * manifest is enough. 0, -EBADMSG when something is missing or damaged, or another -errno when it
 * could not be looked at.
 */
int tg_generations_load(const struct tg_generations *s, unsigned number, bool whole, struct tg_manifest *ret,
		  struct tg_fault *reterr) TG_CHECKED;
/* Unlinks key.pem and bundle.pem of @number, durably; what is gone already is no error. */
int tg_generations_strip(const struct tg_generations *s, unsigned number, struct tg_fault *reterr) TG_CHECKED;

/* Whether @r, of reading a file, says that it is missing or no such file: not the disk's fault. Pure. */
bool tg_generations_is_damage(int r);
/*
 * Makes bundle.pem of @number anew of chain.pem and key.pem, or them of it, when it or they are damaged or gone. 0
 * also when too little is left for that; -errno when the disk does not let it be done.
 */
int tg_generations_mend(const struct tg_generations *s, unsigned number, struct tg_fault *reterr) TG_CHECKED;
/*
 * Writes down how @number ended, durably. Never fails: a disk without room must keep nobody from giving up a
 * bad identity, and what follows does not depend on it.
 */
void tg_generations_end(const struct tg_generations *s, unsigned number, enum tg_outcome_state state,
		  const char *reason, int64_t now_s);
/* How @number ended; TG_OUTCOME_NONE also when that is not readable. */
struct tg_outcome tg_generations_outcome(const struct tg_generations *s, unsigned number);
/* It lives after all: removes the outcome. 0 also when there is none. */
int tg_generations_revive(const struct tg_generations *s, unsigned number, struct tg_fault *reterr) TG_CHECKED;

#define TG_SLOTS 3
/*
 * What current, candidate and previous name; 0 for none. -errno when a link cannot be read: it must not make an
 * orphan of what it names.
 */
int tg_generations_linked(const struct tg_generations *s, unsigned ret[static TG_SLOTS],
		  struct tg_fault *reterr) TG_CHECKED;
/* Removes the oldest directories beyond TG_GENERATION_HISTORY that no link names. */
int tg_generations_prune(const struct tg_generations *s, struct tg_fault *reterr) TG_CHECKED;

/* "000007". */
#define TG_NUMBER_NAME 8
void tg_generations_number_name(unsigned number, char out[static TG_NUMBER_NAME]);
/* The number of a directory's name, 0 when it is not one. */
unsigned tg_generations_number(const char *name);
/* A stream over a directory of its own, from the start; NULL with errno set. */
DIR *tg_generations_list(int dirfd);
TG_DEFINE_CLEANUP(DIR *, closedir)
/* Removes directory @name under @dirfd and the files in it (no deeper). 0 also when it is not
 * there. */
int tg_generations_remove_dir(int dirfd, const char *name, struct tg_fault *reterr) TG_CHECKED;
/* SHA-256 of @data in lower-case hex. 0 or -EIO. */
int tg_generations_digest(const void *data, size_t len, char out[static 65]) TG_CHECKED;
