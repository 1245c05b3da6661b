/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"

/*
 * How an enrolment fails: the class that decides when the agent tries again, and the notes in the
 * journal and the progress.
 */

/* The class of a failure by its -errno. Pure. */
enum tg_enrol_class tg_failure_class(int r);

/*
 * The service said no: notes status and code for the journal and returns the -errno that stands for
 * @class.
 */
int tg_failure_refused(struct tg_enrolment *e, enum tg_enrol_class class, int status,
		       const char *code);

/* Clears what the journal has of an earlier failure. */
void tg_failure_forget(struct tg_journal *j);
/* Puts the failure of @step into the journal in memory, and nowhere else. */
void tg_failure_describe(struct tg_enrolment *e, enum tg_enrol_step step, int r,
			 const struct tg_fault *fault);
/* Notes a failure where the agent and the operator see it, and returns @r. */
int tg_failure_note(struct tg_enrolment *e, enum tg_enrol_step step, int r,
		    const struct tg_fault *fault);
