/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tpm/leftover.h"
#include "tpm/rc.h"

#include <tidegate/error.h>

#include <tss2/tss2_esys.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * One ESYS context over one TCTI, as the TPM thread holds it. Not
 * thread-safe: used by that thread alone (tg_tpm_conn_abandon() apart).
 *
 * Made on demand, thrown away once it is `lost`. What a failure left loaded in
 * the TPM outlives it; the next use removes that first.
 */
struct tg_tpm_conn {
	const char *tcti;
	TSS2_TCTI_CONTEXT *transport;
	ESYS_CONTEXT *esys;
	_Atomic int fd;		/* of the transport, when it has one that stays open; else -1 */
	bool lost;		/* no further command makes sense on this context */
	uint64_t deadline_us;	/* of the job under way, CLOCK_BOOTTIME */
	TPM2_HANDLE parent;	/* the handle behind parent_tr; 0: none yet */
	ESYS_TR parent_tr;
	struct tg_tpm_leftovers leftovers; /* of ours that may still be loaded */
};

/* What the TPM needs to load a key, and the name it will have once loaded. */
struct tg_tpm_blob {
	TPM2_HANDLE parent;
	TPM2B_PUBLIC pub;
	TPM2B_PRIVATE priv;
	TPM2B_NAME name;
};

void tg_tpm_conn_init(struct tg_tpm_conn *c, const char *tcti);
/* Opens what is not open, removes what an earlier failure left in the TPM. Returns 0 or -errno. */
int tg_tpm_conn_ready(struct tg_tpm_conn *c, struct tg_fault *reterr) TG_CHECKED;
/* Closes everything in order; what may be left in the TPM is remembered. */
void tg_tpm_conn_close(struct tg_tpm_conn *c);
/*
 * In the child of a fork: forgets the context without a word to the TPM, whose
 * other end belongs to the parent, and closes the child's copy of the fd.
 */
void tg_tpm_conn_abandon(struct tg_tpm_conn *c);

/* An ESYS_TR for the persistent object @handle, remembered while the context lives. Owned by @c. */
int tg_tpm_conn_parent(struct tg_tpm_conn *c, TPM2_HANDLE handle, ESYS_TR *ret, struct tg_fault *reterr) TG_CHECKED;
/*
 * Loads a key. Makes room by flushing leftovers of that very name when the TPM is full. The caller flushes
 * what it got with tg_tpm_conn_flush().
 */
int tg_tpm_conn_load(struct tg_tpm_conn *c, const struct tg_tpm_blob *b, ESYS_TR *ret,
		     struct tg_fault *reterr) TG_CHECKED;
/* Takes a transient object or session out of the TPM; accepts ESYS_TR_NONE. */
void tg_tpm_conn_flush(struct tg_tpm_conn *c, ESYS_TR object);

/* The number of transient objects that this connection sees; for tests and diagnosis. Returns the TPM's code. */
TSS2_RC tg_tpm_conn_transients(struct tg_tpm_conn *c, TPML_HANDLE *ret);

struct tg_tpm_pause {
	uint64_t next_us; /* 0 before the first */
};
/* After @rc: sleeps and returns true when the command is to be sent again within the deadline. Marks @c lost if it is. */
bool tg_tpm_conn_again(struct tg_tpm_conn *c, TSS2_RC rc, struct tg_tpm_pause *p);

/* Every ESYS call that reaches the TPM goes through here, so that none forgets the retries. Gives the last TSS2_RC. */
#define TG_TPM_TRY(c, call)                                                                        \
	({                                                                                         \
		struct tg_tpm_pause pause_ = { 0 };                                                \
		TSS2_RC rc_;                                                                       \
		do                                                                                 \
			rc_ = (call);                                                              \
		while (tg_tpm_conn_again((c), rc_, &pause_));                                      \
		rc_;                                                                               \
	})

/* No session in this place of an ESYS call. */
#define TG_TPM_NONE ESYS_TR_NONE
/* What ESYS allocates. Esys_Free() is free() under another name. */
#define tg_autoesys tg_cleanup(tg_esys_freep)
static inline void tg_esys_freep(void *p)
{
	Esys_Free(*(void **) p);
}
