/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "provisioning/net/http_tls.h"

/*
 * Why a request failed, in words and as an -errno of net/http.h: what happened to the connection,
 * seen with how far it had got. Pure.
 */
enum tg_http_end {
	TG_HTTP_END_LATE,   /* a time-out */
	TG_HTTP_END_EMPTY,  /* closed without an answer */
	TG_HTTP_END_SHORT,  /* closed before the announced length */
	TG_HTTP_END_BROKEN, /* reset, or ended in a way that TLS does not end */
	TG_HTTP_END_LONG,   /* a header line that is too long */
	TG_HTTP_END_MEMORY, /* ours */
	TG_HTTP_END_OTHER,  /* not what HTTP allows; before there was HTTP: no connection */
};

struct tg_http_why {
	enum tg_http_end end;
	enum tg_http_stage stage; /* corrected to TLS where that is to blame */
	const char *said;         /* the HTTP library's words; "": none */
	const char *host;
	const char *proxy; /* NULL: none */
	int os_error;      /* errno of the last connect(); 0: none */
	long proxy_status; /* of the answer to CONNECT; 0: none */
	bool overall;      /* the overall time is up */
	unsigned connect_s, overall_s;
};

/* Returns the -errno. */
int tg_http_why(struct tg_http_why *w, const struct tg_http_tls *t, struct tg_fault *reterr);

/* What is done at a stage, for words. Never fails. */
const char *tg_http_stage_name(enum tg_http_stage stage);
