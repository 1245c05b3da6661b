/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/enrol/est_codec.h"

#include "provisioning/net/http_date.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const op_names[TG_EST_OP_COUNT_] = {
	[TG_EST_OP_CACERTS] = "cacerts",
	[TG_EST_OP_CSRATTRS] = "csrattrs",
	[TG_EST_OP_SIMPLEENROLL] = "simpleenroll",
	[TG_EST_OP_SIMPLEREENROLL] = "simplereenroll",
};

const char *tg_est_op_name(enum tg_est_op op)
{
	return (unsigned) op < TG_EST_OP_COUNT_ ? op_names[op] : "?";
}

int tg_est_url(const struct tg_config *c, enum tg_est_op op, char *out, size_t size)
{
	char base[TG_EST_URL_MAX];
	int r = tg_est_base(c, base, sizeof(base)), n;

	if (r < 0)
		return r;
	n = snprintf(out, size, "%s/%s", base, tg_est_op_name(op));
	return n < 0 || (size_t) n >= size ? -ENAMETOOLONG : 0;
}

/*
 * "application/pkcs7-mime; smime-type=certs-only" (RFC 7030 section 4.2.3), with or without the
 * parameter (RFC 8951 section 3.2.2), or one of the older names of the same. A page for people is no
 * answer, whatever its status; where nothing is said, what is in it decides.
 */
bool tg_est_is_certificates(const char *content_type)
{
	static const char *const types[] = {
		"application/pkcs7-mime",           "application/x-pkcs7-mime", "application/pkcs7",
		"application/x-pkcs7-certificates", "application/octet-stream",
	};
	size_t len = strcspn(content_type, "; \t");

	for (size_t i = 0; i < TG_ARRAY_SIZE(types); i++)
		if (strlen(types[i]) == len && strncasecmp(content_type, types[i], len) == 0)
			return true;
	return !*content_type;
}

/*
 * What a server wants in a request it need not say; its certificates it must (RFC 7030 section
 * 3.2.2), so where they are not found there is no EST server.
 */
bool tg_est_is_absent(enum tg_est_op op, int status)
{
	switch (op) {
	case TG_EST_OP_CACERTS:
		return status == 204 || status == 501;
	case TG_EST_OP_CSRATTRS:
		return status == 204 || status == 404 || status == 405 || status == 501;
	case TG_EST_OP_SIMPLEENROLL:
	case TG_EST_OP_SIMPLEREENROLL:
	case TG_EST_OP_COUNT_:
		break;
	}
	return false;
}

enum tg_enrol_class tg_est_classify(enum tg_est_op op, int status)
{
	bool enrols = op == TG_EST_OP_SIMPLEENROLL || op == TG_EST_OP_SIMPLEREENROLL;

	if (status == 200 || tg_est_is_absent(op, status))
		return TG_ENROL_OK;
	if (status == 202 && enrols)
		return TG_ENROL_PENDING;
	if (status < 300)
		return TG_ENROL_BAD_ANSWER;
	/* Time-out, too early, too many requests. */
	if (status == 408 || status == 425 || status == 429)
		return TG_ENROL_RETRY;
	/* Not implemented is no accident. */
	return status >= 500 && status != 501 ? TG_ENROL_RETRY : TG_ENROL_REFUSED;
}

int64_t tg_est_retry_at(enum tg_enrol_class class, const char *retry_after, int64_t date_s,
			int64_t now_s)
{
	int64_t wait = 0;
	int r = *retry_after ? tg_http_retry_after(retry_after, now_s, date_s, &wait) : -EINVAL;

	if (class != TG_ENROL_PENDING && class != TG_ENROL_RETRY)
		return 0;
	if (r == -ERANGE)
		wait = TG_EST_WAIT_MAX_S;
	else if (r < 0 && class == TG_ENROL_RETRY)
		return 0;
	else if (r < 0)
		wait = TG_EST_WAIT_UNKNOWN_S;
	if (wait < TG_EST_WAIT_MIN_S)
		wait = TG_EST_WAIT_MIN_S;
	if (wait > TG_EST_WAIT_MAX_S)
		wait = TG_EST_WAIT_MAX_S;
	return now_s + wait;
}

const char *tg_est_advice(enum tg_est_op op, int status, bool password)
{
	if (status >= 300 && status < 400)
		return "no redirection is followed: put the place it names in url, if it is yours";
	switch (status) {
	case 400:
	case 422:
		return "the server does not take the request: look at subject and dns-name, and at "
		       "its "
		       "rules";
	case 401:
		return password ? "the server does not take username and password-file, or wants a "
				  "certificate"
				: "the server wants a user name and a password (username, "
				  "password-file) or a certificate (certificate, key)";
	case 403:
		return "the server knows who asks and does not allow it: look at its rules for "
		       "this "
		       "name";
	case 404:
	case 405:
	case 501:
		return op == TG_EST_OP_SIMPLEREENROLL ? "this server may not know the operation: "
							"renew-by = simpleenroll; or "
							"look at url and label"
						      : "there is no EST server at this place, or "
							"it does not know the "
							"label: look at url and label";
	default:
		return "";
	}
}
