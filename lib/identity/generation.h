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
 * The helper writes generations and makes them candidates; the agent promotes
 * or rolls back. Blocks on the disk. Not for the loop thread, except reading.
 */
#define TG_GENERATION_FILE_MAX (64u * 1024)

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
};

/*
 * Writes a new generation directory whole (hidden name, files, fsync, rename, fsync) and points
 * `candidate` at it.
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
/* The text of that file: 0 and owned, -ENOENT when the slot or the file is not there, or another
 * -errno. */
int tg_generation_text(const char *state_dir, enum tg_slot slot, const char *file, char **ret,
		       struct tg_fault *reterr) TG_CHECKED;
/*
 * candidate becomes current, current becomes previous; previous' key.pem and bundle.pem are
 * unlinked when @forget_previous. Repeatable: after a cut in between, calling it again finishes;
 * without a candidate only the forgetting is left to do (tg_generation_recover() does not do that
 * part). -ENOENT when there is neither candidate nor current.
 */
int tg_generation_promote(const char *state_dir, bool forget_previous,
			  struct tg_fault *reterr) TG_CHECKED;
/* Forgets the candidate: link, key and bundle; chain and manifest stay as history. */
int tg_generation_roll_back(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
/*
 * Start-up: removes half-written directories, links to what is missing or damaged, keys that no
 * link names; finishes a promotion that counted already, undoes one that did not. Returns 0 (also
 * when there is no identity directory), or -errno when something could not be looked at.
 */
int tg_generation_recover(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
