/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/cuts/subject.h"

/*
 * Starts the spool on what a cut, a damage or a failing medium has left,
 * drains it, and has the result judged.
 */
#define PROBE_FINDINGS 64u

struct probe {
	struct subject_limits limits;
	struct subject subject; /* of its own directory, used again and again */
	bool damaged;           /* the file was damaged before: that it says so is no finding */
	bool altered;           /* somebody changed it: losses must be told */
	unsigned checks;
	/* of the last check */
	struct verdict_finding findings[PROBE_FINDINGS];
	bool told;
	size_t came; /* packs and gap records */
};

void probe_init(struct probe *p, const struct subject_limits *limits);
void probe_done(struct probe *p);
/*
 * @ledger: facts that hold at 0 count. @log (may be NULL, else zero): gets the operations of this very recovery, and
 * @recovery (empty) the ledger as it went on meanwhile. Returns the number of findings.
 */
size_t probe_check(struct probe *p, const struct image *im, const struct verdict_ledger *ledger,
		   struct medium_log *log, struct verdict_ledger *recovery);
