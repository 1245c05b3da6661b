/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/est_base.h"
#include "identity/journal.h"

/*
 * What EST (RFC 7030) says in URLs, status codes and header lines, apart from what goes over the
 * connection. Pure.
 */
#define TG_EST_URL_MAX TG_EST_BASE_MAX /* with the NUL */

/* Seconds until the same request is sent again: what a server says is kept within these. */
#define TG_EST_WAIT_MIN_S     60
#define TG_EST_WAIT_MAX_S     86400
#define TG_EST_WAIT_UNKNOWN_S 600 /* when it does not say */

enum tg_est_op {
	TG_EST_OP_CACERTS,
	TG_EST_OP_CSRATTRS,
	TG_EST_OP_SIMPLEENROLL,
	TG_EST_OP_SIMPLEREENROLL,
	TG_EST_OP_COUNT_
};
const char *tg_est_op_name(enum tg_est_op op); /* as in the URL. Never NULL. */

/* 0, or -ENAMETOOLONG. */
int tg_est_url(const struct tg_config *c, enum tg_est_op op, char *out, size_t size) TG_CHECKED;

/* Whether a Content-Type, "" for none, may be that of certificates. */
bool tg_est_is_certificates(const char *content_type);

/*
 * What an answer with @status means: TG_ENROL_OK for a 200, TG_ENROL_PENDING for a 202. An answer
 * by which an optional operation is left out (cacerts, csrattrs) is TG_ENROL_OK too.
 */
enum tg_enrol_class tg_est_classify(enum tg_est_op op, int status);
bool tg_est_is_absent(enum tg_est_op op, int status);

/*
 * When to ask again, since 1970, for an answer of @class: 0 when that is ours to choose.
 * @retry_after: the header line, "" for none; @date_s: the answer's own date, 0 for none.
 */
int64_t tg_est_retry_at(enum tg_enrol_class class, const char *retry_after, int64_t date_s,
			int64_t now_s);

/* What an operator can do about an answer with @status, "" for nothing that is known. @password:
 * one was configured. Never NULL. */
const char *tg_est_advice(enum tg_est_op op, int status, bool password);
