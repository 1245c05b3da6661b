/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_why.h"

#include <errno.h>
#include <string.h>

static const char *const stage_names[] = {
	[TG_HTTP_STAGE_LOCAL] = "request",
	[TG_HTTP_STAGE_NAME] = "name look-up",
	[TG_HTTP_STAGE_CONNECT] = "connection",
	[TG_HTTP_STAGE_PROXY] = "proxy",
	[TG_HTTP_STAGE_TLS] = "TLS",
	[TG_HTTP_STAGE_REQUEST] = "request",
	[TG_HTTP_STAGE_ANSWER] = "answer",
	[TG_HTTP_STAGE_DONE] = "answer",
};

const char *tg_http_stage_name(enum tg_http_stage stage)
{
	return stage_names[stage];
}

static int why_late(const struct tg_http_why *w, struct tg_fault *reterr)
{
	if (w->stage < TG_HTTP_STAGE_REQUEST && !w->overall)
		return tg_fault_set(reterr, -ETIMEDOUT, "nothing within %u s", w->connect_s);
	return tg_fault_set(reterr, -ETIMEDOUT, "not complete within %u s", w->overall_s);
}

static int why_not_found(const struct tg_http_why *w, struct tg_fault *reterr)
{
	return tg_fault_set(reterr, -EHOSTUNREACH,
			    "the address of %s is not found: is the name right, does a name server "
			    "answer?",
			    w->proxy ? w->proxy : w->host);
}

static int why_no_connection(const struct tg_http_why *w, struct tg_fault *reterr)
{
	const char *error = w->os_error ? strerror(w->os_error) : "nobody answers there";

	if (w->proxy_status && w->proxy_status / 100 != 2)
		return tg_fault_set(reterr, -EHOSTUNREACH, "%s answers %ld to CONNECT", w->proxy,
				    w->proxy_status);
	if (w->stage == TG_HTTP_STAGE_PROXY)
		return tg_fault_set(reterr, -EHOSTUNREACH, "%s does not answer as a proxy should",
				    w->proxy);
	if (w->proxy)
		return tg_fault_set(reterr, -EHOSTUNREACH, "%s: %s", w->proxy, error);
	return tg_fault_set(reterr, -EHOSTUNREACH, "%s", error);
}

static int why_no_answer(const struct tg_http_why *w, struct tg_fault *reterr)
{
	switch (w->end) {
	case TG_HTTP_END_LATE:
		return why_late(w, reterr);
	case TG_HTTP_END_EMPTY:
		return tg_fault_set(reterr, -ECONNRESET, "the server closed without an answer");
	case TG_HTTP_END_SHORT:
		return tg_fault_set(reterr, -ECONNRESET,
				    "it ended before the length that was announced");
	case TG_HTTP_END_BROKEN:
		return tg_fault_set(reterr, -ECONNRESET, "the connection broke: %s", w->said);
	case TG_HTTP_END_LONG:
		return tg_fault_set(reterr, -EMSGSIZE, "a header line is too long");
	case TG_HTTP_END_MEMORY:
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	case TG_HTTP_END_OTHER:
		break;
	}
	return tg_fault_set(reterr, -EPROTO, "not what HTTP allows: %s", w->said);
}

/* Whether TLS has something to say that comes before all else. */
static bool is_of_tls(const struct tg_http_why *w, const struct tg_http_tls *t)
{
	if (w->stage < TG_HTTP_STAGE_TLS)
		return false;
	return w->end != TG_HTTP_END_LATE || t->key_failed || t->peer.error || t->peer.alerted;
}

int tg_http_why(struct tg_http_why *w, const struct tg_http_tls *t, struct tg_fault *reterr)
{
	/* What is not OpenSSL's says no more than that the socket broke. */
	const char *hint = strstr(w->said, "error:") ? w->said : "";
	int r = is_of_tls(w, t) ? tg_http_tls_failure(t, hint, reterr) : 0;

	if (r < 0) {
		w->stage = TG_HTTP_STAGE_TLS;
		return r;
	}
	if (w->end == TG_HTTP_END_LATE)
		return why_late(w, reterr);
	if (w->end == TG_HTTP_END_MEMORY && w->stage < TG_HTTP_STAGE_ANSWER)
		return why_no_answer(w, reterr);
	if (w->stage == TG_HTTP_STAGE_NAME)
		return why_not_found(w, reterr);
	if (w->stage < TG_HTTP_STAGE_TLS)
		return why_no_connection(w, reterr);
	return why_no_answer(w, reterr);
}
