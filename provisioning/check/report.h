/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <stdio.h>

/*
 * What --check found, a line each: for people
 *
 *	fail  cacerts       est.example: the server's certificate has expired;
 *have it renewed
 *
 * or with --json one object a line, and the sum last:
 *
 *	{"check":"cacerts","state":"fail","text":"...","advice":"..."}
 *	{"result":"failed","ok":9,"warn":1,"fail":1}
 *
 * Secrets are never told. One thread; writes block as long as the reader does.
 */
enum tg_finding { TG_FINDING_OK, TG_FINDING_WARN, TG_FINDING_FAIL, TG_FINDING_COUNT_ };

struct tg_report {
	FILE *out;
	bool json;
	unsigned n[TG_FINDING_COUNT_];
};

/* @what: a word; @advice: what to do, "" where nothing has to be done or the
 * text says it. */
void tg_report(struct tg_report *r, enum tg_finding finding, const char *what, const char *advice,
	       const char *fmt, ...) TG_PRINTF(5, 6);
/* The last line. Returns whether nothing has failed. */
bool tg_report_end(struct tg_report *r);
