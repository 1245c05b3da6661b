/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/check/report.h"
#include "provisioning/enrolment.h"
#include "provisioning/options.h"

/*
 * --check: everything that an enrolment needs, looked at in the order in which
 * it is needed, and how the last one failed.
 *
 * Asks for no certificate, makes no key, writes nothing. Where an identity is
 * current, its certificate is shown to the server, as a renewal would do; else
 * the bootstrap credential. One thread; blocks on TPM, network and disk, each
 * within the time-outs of an enrolment.
 */
void tg_check(struct tg_enrolment *e, const struct tg_options *o, struct tg_report *report);

/* --- what the files of this folder share --- */

struct tg_check {
	struct tg_enrolment *e;   /* borrowed */
	struct tg_report *report; /* borrowed */
	bool has_current;         /* a generation that a renewal would be based on */
	bool has_tpm;             /* it has answered, so e->names are complete */
	bool can_sign;            /* keys in the TPM can be used by OpenSSL */
	bool cannot_open;         /* for a file of which a finding tells, so the server is not asked */
};

/* check_files.c: trust anchors and bootstrap credential, as far as files tell.
 */
void tg_check_files(struct tg_check *c);
/* check_server.c: name, connection, and the method's session. */
void tg_check_server(struct tg_check *c);
/* check_last.c: the identity that is there, and the last attempt. */
void tg_check_identity(struct tg_check *c);
void tg_check_last(struct tg_check *c);

/* The calendar day of @s (seconds since 1970) to @out, which is returned. */
#define TG_CHECK_DAY 32
const char *tg_check_day(int64_t s, char out[static TG_CHECK_DAY]);
