/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/enrolment.h"

/*
 * The named steps of an enrolment, each durable in identity/pending before the next begins, and what
 * is looked at before a result of an earlier run is trusted again.
 */

/* Of `keep`: the result does not hold, so the step must be taken again. */
#define TG_STEP_GONE 1

struct tg_step {
	/* 0, TG_METHOD_STALE (enrol/method.h), or -errno. */
	int (*take)(struct tg_enrolment *e, struct tg_fault *reterr);
	/* For a step that the journal has as done: 0, TG_STEP_GONE, or -errno. */
	int (*keep)(struct tg_enrolment *e, struct tg_fault *reterr);
};
extern const struct tg_step tg_steps[TG_STEP_COUNT_];

/* What is said of a step that went well, "" for nothing. Nothing secret. */
const char *tg_step_remark(const struct tg_enrolment *e, enum tg_enrol_step step);

/*
 * The last step: writes the generation, which becomes the candidate, unless a link names this very
 * certificate. 0 and its manifest, or -errno.
 */
int tg_step_written(struct tg_enrolment *e, struct tg_manifest *ret,
		    struct tg_fault *reterr) TG_CHECKED;
