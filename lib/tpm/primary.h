/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tpm/conn.h"

/*
 * The two primary keys that every TPM makes again, the same each time, from
 * templates of the TCG: storage root key (owner hierarchy) and endorsement key.
 * TPM thread only.
 */

/* Makes the ECC P-256 endorsement key (template L-2) as a transient object, which the caller flushes. @ret_pub is owned, may be NULL. */
int tg_tpm_ek_create(struct tg_tpm_conn *c, ESYS_TR *ret, TPM2B_PUBLIC **ret_pub, struct tg_fault *reterr) TG_CHECKED;

/* Makes the SRK as a transient object, which the caller flushes: the same key each time, until the TPM is cleared. -EACCES when @session does not authorise it. */
int tg_tpm_srk_create(struct tg_tpm_conn *c, ESYS_TR session, ESYS_TR *ret, struct tg_fault *reterr) TG_CHECKED;

/* Whether @parent holds the SRK: 0, -ESTALE when the handle is free, -EEXIST when it holds something else. */
int tg_tpm_srk_check(struct tg_tpm_conn *c, TPM2_HANDLE parent, struct tg_fault *reterr) TG_CHECKED;
