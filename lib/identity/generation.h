/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>
#include <tidegate/identity.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Identity generations on disk (DESIGN section 4): a directory written once,
 * and three symbolic links replaced by rename. Every function leaves, at any
 * instant of a power cut, one usable identity or none, never half of one.
 *
 * The helper writes generations and makes them candidates; the agent promotes,
 * rolls back, demotes and retires. Blocks on the disk. Not for the loop thread, except reading.
 */
#define TG_GENERATION_FILE_MAX    (64u * 1024)
#define TG_GENERATION_ANCHORS_MAX (256u * 1024) /* of anchors.pem: the whole public list has 220 K */

enum tg_slot { TG_SLOT_CURRENT, TG_SLOT_CANDIDATE, TG_SLOT_PREVIOUS };

/* The manifest: what is known of a generation without parsing certificates. */
struct tg_manifest {
	unsigned number;
	char method[16];   /* "aws-fleet" */
	char subject[256]; /* one line, RFC 2253 order */
	char issuer[256];
	char serial[65];               /* hex */
	char fingerprint[65];          /* SHA-256 of the leaf, hex */
	int64_t not_before, not_after; /* seconds since 1970 */
	int64_t made;                  /* wall clock when it was written */
	uint32_t parent;               /* of the TPM key */
	char tpm[17];                  /* %t of the TPM that holds the key */
	char thing[129];               /* the name that the service gave, "" for none */
	char certificate_id[65];       /* the service's, "" for none */
};

struct tg_generation_files {
	const char *key_pem, *chain_pem;
	/*
	 * What the authority said to trust, with this certificate; NULL: it said nothing. It is no
	 * part of the identity: a generation without it, or with a damaged one, is whole.
	 */
	const char *anchors_pem;
};

/* How a generation ended: the file `outcome` in its directory, none while it lives. */
enum tg_outcome_state {
	TG_OUTCOME_NONE,
	TG_OUTCOME_RETIRED,  /* did its work, and was followed by another */
	TG_OUTCOME_REJECTED, /* rolled back: the broker did not take it, or its files are damaged */
};
#define TG_OUTCOME_REASON 512 /* with the NUL; longer ones are cut */
struct tg_outcome {
	enum tg_outcome_state state;
	int64_t time; /* seconds since 1970 */
	char reason[TG_OUTCOME_REASON];
};
/* "none", "retired", "rejected". Never NULL. */
const char *tg_outcome_name(enum tg_outcome_state s);

#define TG_GENERATION_HISTORY     16 /* directories that are kept, beside those that a link names */
#define TG_GENERATION_HISTORY_MAX (TG_GENERATION_HISTORY + 3)
struct tg_generation_entry {
	struct tg_manifest manifest;
	struct tg_outcome outcome;
	bool current, candidate, previous; /* the links that name it */
	bool whole;                        /* its key is there and fits */
};

/*
 * Writes a new generation directory whole (hidden name, files, fsync, rename, fsync) and points
 * `candidate` at it; a candidate that it takes the place of loses its key.
 * @m->number is set to the new number. @chain_pem ends in a newline. Returns 0 or -errno.
 */
int tg_generation_write(const char *state_dir, const struct tg_generation_files *files,
			struct tg_manifest *m, struct tg_fault *reterr) TG_CHECKED;
/*
 * Reads the manifest that @slot points at. Returns 0, -ENOENT when the slot is empty, -EBADMSG when
 * what it points at is not whole (a file is missing, the manifest is damaged).
 */
int tg_generation_read(const char *state_dir, enum tg_slot slot, struct tg_manifest *ret,
		       struct tg_fault *reterr) TG_CHECKED;
/* The path of @file in @slot, "STATE/identity/generations/000007/key.pem" with the link resolved.
 */
int tg_generation_path(const char *state_dir, enum tg_slot slot, const char *file, char *out,
		       size_t size) TG_CHECKED;
/* The text of that file: 0 and owned, -ENOENT when the slot or the file is not there, -EFBIG when it is longer than one of
 * its name may be, or another -errno. */
int tg_generation_text(const char *state_dir, enum tg_slot slot, const char *file, char **ret,
		       struct tg_fault *reterr) TG_CHECKED;
/*
 * candidate becomes current, current becomes previous, and keeps its key: until it is retired the
 * new one is on probation. @forget_previous: retires it at once. Repeatable: after a cut in
 * between, calling it again finishes; without a candidate only the forgetting is left to do
 * (tg_generation_recover() does not do that part). -ENOENT when there is neither candidate nor
 * current.
 */
int tg_generation_promote(const char *state_dir, bool forget_previous,
			  struct tg_fault *reterr) TG_CHECKED;
/*
 * Forgets the candidate: link, key and bundle; chain and manifest stay as history, with @reason and
 * @now_s. 0 also when there is none.
 */
int tg_generation_roll_back(const char *state_dir, const char *reason, int64_t now_s,
			    struct tg_fault *reterr) TG_CHECKED;
/*
 * Whether current is on probation: 1 when previous still has its key, which is the only mark of it;
 * 0 when not, or -errno when it could not be looked at.
 */
int tg_generation_on_probation(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
/*
 * The probation was not passed: previous is current again, the failed one's key and bundle go, what
 * it was rejected for stays. -ENOENT when there is no previous with its key; nothing has changed then.
 */
int tg_generation_demote(const char *state_dir, const char *reason, int64_t now_s,
			 struct tg_fault *reterr) TG_CHECKED;
/* The probation was passed: previous' key and bundle go. 0 also when there is none. */
int tg_generation_retire(const char *state_dir, int64_t now_s, struct tg_fault *reterr) TG_CHECKED;
/*
 * The generations that are known, newest first: at most @max, whose number goes to @ret_n. What has
 * no readable manifest is left out. -ENOENT when there is no identity directory.
 */
int tg_generation_history(const char *state_dir, struct tg_generation_entry *out, size_t max,
			  size_t *ret_n, struct tg_fault *reterr) TG_CHECKED;
/*
 * Start-up: removes half-written directories, links to what is missing or damaged, keys that no
 * link names, generations beyond the history; makes a damaged bundle anew from key and chain;
 * finishes what was decided (a promotion that counted, a demotion, a retirement, a roll-back) and
 * undoes what was not. May run beside the agent. Returns 0 (also when there is no identity
 * directory), or -errno when something could not be looked at.
 */
int tg_generation_recover(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
