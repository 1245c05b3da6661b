/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tpm/tpm.h"

/*
 * Makes TSS2 PEM keys usable by everything in this process that uses OpenSSL's
 * default library context (Paho, libcurl, our own CSR code): `default` is
 * loaded first, then either our built-in provider "tidegate" or the packaged
 * tpm2-openssl. No property query is set.
 *
 * Call once, before the first TLS use and before threads that use OpenSSL.
 */

/* @tpm outlives every use of OpenSSL in the process. Returns 0 or -errno. */
int tg_provider_builtin(struct tg_tpm *tpm, struct tg_fault *reterr) TG_CHECKED;

/*
 * Loads the packaged provider `tpm2` for @tcti. Returns 0, -EOPNOTSUPP when its version is below 1.3.0 (the text says
 * why it is refused), -ENOENT when it is not installed, -ENODEV when it cannot reach the TPM.
 */
int tg_provider_tpm2(const char *tcti, struct tg_fault *reterr) TG_CHECKED;

/* Empties OpenSSL's error queue of this thread into @reterr: the innermost reason first. Returns -EIO, or the TPM's own -errno when that is the cause. */
int tg_provider_error(struct tg_fault *reterr, const char *what);
