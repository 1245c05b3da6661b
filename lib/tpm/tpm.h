/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The TPM as the rest of the tree sees it: one object, one thread of its own
 * that alone calls ESYS, commands as jobs with a deadline.
 *
 * Opened lazily at the first job; thrown away and opened anew after any
 * transport error; RC_RETRY, YIELDED and TESTING are repeated with growing
 * pauses within the deadline. A job that does not come back leaves its caller
 * with -ETIMEDOUT and the thread in `hung` until the TPM answers; jobs
 * meanwhile fail at once, but for one now and then that tries it with a new
 * thread (at most three are left behind). No handle stays in the TPM after a job.
 *
 * Functions that talk to the TPM block up to the time-out and may be called
 * from any thread but the loop. Errors, from one converter (rc.c):
 *	-ENODEV		TPM missing or transport broken
 *	-EBUSY		still busy, or testing itself, at the deadline
 *	-ETIMEDOUT	no answer at all within the deadline
 *	-EKEYREJECTED	locked out by its dictionary-attack logic
 *	-ESTALE		TPM cleared or replaced: no such SRK, or the blob is another TPM's
 *	-ENOSPC		no room for objects or sessions
 *	-EACCES		wrong or missing authorisation
 *	-EEXIST		the parent handle holds something else than the TCG SRK
 *	-EIO		anything else; the text has code and words
 */
struct tg_tpm;
struct tg_tpm_key;

#define TG_TPM_SRK_DEFAULT 0x81000001u
#define TG_TPM_POINT_BYTES 65 /* uncompressed P-256 point */
#define TG_TPM_SIGNATURE_MAX 72
#define TG_TPM_PEM_MAX 4096 /* a TSS2 PEM of ours is about 400 bytes */

struct tg_tpm_options {
	const char *tcti;	/* "device:/dev/tpmrm0"; never NULL, never "" */
	uint64_t timeout_us;	/* of one job, retries included */
	const char *owner_auth; /* for making the SRK; proved to the TPM, never sent; NULL: empty */
};

/*
 * Copies @o. Touches no TPM. Sets TSS2_LOG in the environment where it is not set, so that the library does not write to
 * standard error beside us: call before there are other threads. Returns 0, -EINVAL (owner_auth longer than 64 bytes) or -ENOMEM.
 */
int tg_tpm_new(const struct tg_tpm_options *o, struct tg_tpm **ret, struct tg_fault *reterr) TG_CHECKED;
/* Accepts NULL. Waits for a job under way up to the time-out, then leaves a hung thread behind, detached. */
struct tg_tpm *tg_tpm_free(struct tg_tpm *t);
TG_DEFINE_CLEANUP(struct tg_tpm *, tg_tpm_free)
/*
 * Threads of all objects that have not ended. When some are left behind at the end of the process, it has to end by _exit():
 * one that wakes up would find OpenSSL taken down.
 */
unsigned tg_tpm_threads(void);

struct tg_tpm_state {
	bool hung;		  /* a job has been with the TPM for longer than the time-out */
	unsigned stuck;		  /* threads left behind with a command that is never answered */
	int error;		  /* -errno of the last job, 0 when it went well */
	char text[TG_FAULT_MAX];  /* of the last failure */
	uint64_t jobs, failures;  /* since start */
	uint64_t last_ok_us;	  /* CLOCK_BOOTTIME; 0: never */
};
/* A copy of what is known; asks nothing. Any thread, never blocks. */
void tg_tpm_state(struct tg_tpm *t, struct tg_tpm_state *ret);

/*
 * What the TPM says of itself: maker, firmware, dictionary-attack counters.
 */
struct tg_tpm_info {
	char manufacturer[5], vendor[17];
	uint32_t firmware[2];
	uint32_t lockout_counter, lockout_max;
	uint32_t lockout_recovery_s; /* until one failure is forgotten */
	bool in_lockout;
	unsigned transient_free; /* TPM2_PT_HR_TRANSIENT_AVAIL */
};
int tg_tpm_info(struct tg_tpm *t, struct tg_tpm_info *ret, struct tg_fault *reterr) TG_CHECKED;

/*
 * %t: the first 16 hex digits of SHA-256 over the public area of the ECC P-256 endorsement key (TCG EK template L-2).
 */
int tg_tpm_identity(struct tg_tpm *t, char ret_id[static 17], struct tg_fault *reterr) TG_CHECKED;

/*
 * Makes the SRK at persistent handle @parent from the TCG ECC P-256 template (noDA) when the handle is free;
 * compares its public area with the template when it is not, and never overwrites (-EEXIST). -EINVAL for a handle that is
 * not the owner's (0x81000000 to 0x817fffff).
 */
int tg_tpm_ensure_srk(struct tg_tpm *t, uint32_t parent, struct tg_fault *reterr) TG_CHECKED;

/*
 * Makes an EC P-256 signing key under the SRK at @parent with exactly the attributes fixedTPM fixedParent sensitiveDataOrigin
 * userWithAuth noDA sign, reads them back, and returns it as TSS2 PEM (owned text, NUL-terminated).
 */
int tg_tpm_create_key(struct tg_tpm *t, uint32_t parent, char **ret_pem, struct tg_fault *reterr) TG_CHECKED;

/*
 * Signs @digest (SHA-256, 384 or 512: 32, 48 or 64 bytes; else -EINVAL) and returns the DER ECDSA signature, which has been
 * verified: a TPM or a bus that falsifies it gives -EIO.
 */
int tg_tpm_sign(struct tg_tpm *t, const struct tg_tpm_key *key, const uint8_t *digest, size_t digest_len,
		uint8_t ret_sig[static TG_TPM_SIGNATURE_MAX], size_t *ret_len, struct tg_fault *reterr) TG_CHECKED;

/* Asks the TPM whether it can load @key: 0, or why not (-ESTALE: made by another TPM, or before a clear). */
int tg_tpm_check_key(struct tg_tpm *t, const struct tg_tpm_key *key, struct tg_fault *reterr) TG_CHECKED;

/*
 * The same, and when the TPM refuses @key, whether that is for good. A TPM that is away, busy or hung never says so (-errno).
 *	0			it can be used
 *	TG_TPM_KEY_LOST		the TPM was cleared or is another one: no TPM will ever load this key again
 *	TG_TPM_KEY_PARENT_GONE	the key is good, but its parent is not at its handle: tg_tpm_ensure_srk() puts it back
 *	-EACCES			refused; whether for good only the owner authorisation could tell
 */
enum { TG_TPM_KEY_LOST = 1, TG_TPM_KEY_PARENT_GONE };
int tg_tpm_judge_key(struct tg_tpm *t, const struct tg_tpm_key *key, struct tg_fault *reterr) TG_CHECKED;

/*
 * The TSS2 PRIVATE KEY codec (draft-bottomley-tpm2-keys; OID 2.23.133.10.1.3). Pure: no TPM, no I/O.
 *
 * Exact: PEM armour around one DER object, nothing behind it, sizes checked before use, and only what reads back byte for byte.
 * Keys of other programs are taken when they can sign as ours do: EC P-256 under a persistent parent (0x81......), sign and
 * userWithAuth set, not restricted. In a bundle the certificates around the key are skipped.
 * Returns 0 and an owned key, or -EBADMSG (what is wrong is in @reterr), -ENOENT (no TSS2 key in there), -EFBIG, -EOPNOTSUPP (a TSS2 key of a
 * kind that we do not use: RSA, password, RH_OWNER parent), -ENOMEM.
 */
int tg_tpm_key_from_pem(const char *pem, size_t len, struct tg_tpm_key **ret, struct tg_fault *reterr) TG_CHECKED;
/* The text that tg_tpm_key_from_pem() reads back to the same key. 0 and owned text, or -ENOMEM. */
int tg_tpm_key_to_pem(const struct tg_tpm_key *key, char **ret_pem) TG_CHECKED;
/* Uncompressed point, 0x04 first. Valid as long as @key. */
const uint8_t *tg_tpm_key_point(const struct tg_tpm_key *key);
uint32_t tg_tpm_key_parent(const struct tg_tpm_key *key);
struct tg_tpm_key *tg_tpm_key_ref(struct tg_tpm_key *key);
struct tg_tpm_key *tg_tpm_key_unref(struct tg_tpm_key *key); /* accepts NULL, returns NULL */
TG_DEFINE_CLEANUP(struct tg_tpm_key *, tg_tpm_key_unref)
