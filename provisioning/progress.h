/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/journal.h"

#include <stdbool.h>
#include <stdio.h>

/*
 * What the helper tells while it works: lines for people, or with --json one object a line for the
 * agent:
 *
 *	{"step":"csr","state":"done","ms":12,"text":"CN=gw-7"}
 *	{"step":"issued","state":"failed","ms":80,"class":"refused","status":403,"code":"AccessDenied","text":"..."}
 *	{"step":"issued","state":"pending","ms":80,"class":"pending","status":202,"retry_at":1800000000,...}
 *	{"result":"renewed","generation":8,"base":7,"subject":"CN=...","thing":"gw-7"}
 *
 * state: done; kept (a result of an earlier run that still holds); failed; pending (the service has
 * yet to approve). result: enrolled, renewed, present, failed, pending. Secrets are never told. One thread; writes block as long as the reader does.
 */
struct tg_progress {
	FILE *out;
	bool json;
	uint64_t begun_us; /* of the step under way, CLOCK_BOOTTIME */
};

void tg_progress_begin(struct tg_progress *p);
/* @text: what came of it, "" for nothing to say. */
void tg_progress_done(struct tg_progress *p, enum tg_enrol_step step, bool kept, const char *text);
/* What failed, or waits, is taken from @j: error_class and what stands with it. */
void tg_progress_failed(struct tg_progress *p, const struct tg_journal *j);
/* "failed", or "pending" where @j tells of a wait. Never NULL. */
const char *tg_progress_end(const struct tg_journal *j);
/* A remark between steps; for people only. */
void tg_progress_note(struct tg_progress *p, const char *fmt, ...) TG_PRINTF(2, 3);

struct tg_manifest;
/* @base: the generation that was renewed, or 0. @m may be NULL: only the word. */
void tg_progress_result(struct tg_progress *p, const char *result, unsigned base,
			const struct tg_manifest *m);
