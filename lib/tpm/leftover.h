/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <stdbool.h>

/*
 * What a failure may have left loaded in the TPM, to be taken out before the
 * next command: where there is no resource manager nobody else does it, and a
 * TPM has as few as three slots. Pure; conn.c does the work.
 *
 * A key is known by its name. A primary key has none as long as the TPM has not
 * answered; it is known by the template that it was to be made from.
 */
#define TG_TPM_LEFTOVERS 4 /* a command leaves one, a job a key and its parent; slots are three */

struct tg_tpm_leftover {
	TPM2B_NAME name;              /* size 0: not known */
	const TPM2B_PUBLIC *template; /* then this; borrowed for ever */
};

struct tg_tpm_leftovers {
	struct tg_tpm_leftover items[TG_TPM_LEFTOVERS];
	unsigned n;
};

/* Notes one more; what was noted already, or does not fit, is dropped. */
void tg_tpm_leftover_name(struct tg_tpm_leftovers *l, const TPM2B_NAME *name);
void tg_tpm_leftover_primary(struct tg_tpm_leftovers *l, const TPM2B_PUBLIC *template);
/* Whether the object with this name and public area is in the list; a primary key is struck off, as there is one at most. */
bool tg_tpm_leftover_is(struct tg_tpm_leftovers *l, const TPM2B_NAME *name,
			const TPM2B_PUBLIC *pub);

/* Whether @pub is as @template says, but for the point, which is each TPM's own. */
bool tg_tpm_from_template(const TPM2B_PUBLIC *pub, const TPM2B_PUBLIC *template);
