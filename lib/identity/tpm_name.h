/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>
#include <tidegate/identity.h>

#include <stdbool.h>

/*
 * %t as it was last taken from the TPM, kept in the state directory: the gateway knows
 * its own name while the TPM is away. One line of 16 hex digits.
 */
#define TG_TPM_NAME 17 /* with the NUL */

/* 0, -ENOENT when none is kept, -EBADMSG when the file is damaged (take it from the TPM anew). */
int tg_tpm_name_read(const char *state_dir, char ret[static TG_TPM_NAME],
		     struct tg_fault *reterr) TG_CHECKED;
/*
 * Keeps @name, durably; writes nothing when it is kept already. @ret_changed (may be NULL) says
 * whether another name was kept before: the TPM was replaced.
 */
int tg_tpm_name_write(const char *state_dir, const char *name, bool *ret_changed,
		      struct tg_fault *reterr) TG_CHECKED;
