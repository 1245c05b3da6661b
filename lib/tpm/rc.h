/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * TSS2_RC to ours: the only place that knows what the codes mean. Pure.
 *
 * A code has a layer (which library made it) in bits 16 to 23. The resource
 * managers pass the TPM's own codes on under their layers, so those count as
 * the TPM's here; any other layer means that transport or library state can no
 * longer be trusted.
 */

/* Returns the -errno for @rc (not 0) from the list in tpm.h; the text begins with @what and ends with the code in hex. */
int tg_tpm_rc_fault(uint32_t rc, const char *what, struct tg_fault *reterr);

/* The TPM asks for the same command again a little later. */
bool tg_tpm_rc_is_retry(uint32_t rc);
/* Transport or library failed, or the TPM was reset below us: the context has to be made anew. */
bool tg_tpm_rc_is_lost(uint32_t rc);
/* No object at a persistent handle. */
bool tg_tpm_rc_is_no_object(uint32_t rc);
/* No room for one more transient object. */
bool tg_tpm_rc_is_full(uint32_t rc);
