/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"
#include "provisioning/options.h"

/*
 * What comes before the first step: the time, the TPM, and the names that depend on it.
 */

/* What the files, the agent and the identity that is there say of the time. */
void tg_begin_time(struct tg_enrolment *e, const struct tg_options *o);
/* A TPM that nothing has been asked of yet, to e->tpm. Blocks on the disk only. */
int tg_begin_tpm(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;
/* %t from the TPM itself, and %i with it. Writes nothing. */
int tg_begin_names(struct tg_enrolment *e, struct tg_fault *reterr) TG_CHECKED;

/*
 * Files that root leaves in the agent's directory the agent cannot use, and the agent could lead
 * root elsewhere by a link: -EACCES for root where the directory is somebody else's.
 */
int tg_begin_owner(const char *state_dir, struct tg_fault *reterr) TG_CHECKED;
