/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "tls/alert.h"
#include "tls/peer.h"

#include <tidegate/error.h>

#include <openssl/x509_vfy.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/*
 * One row for each way in which a certificate can be wrong. A sentence is made
 * of: whose certificate, for whom it is, what is wrong, the detail, what to do.
 */
enum detail {
	DETAIL_NONE,
	DETAIL_TEXT,   /* what was noted: issuer, extension, key or digest */
	DETAIL_DATE,   /* when, and what time it was taken to be */
	DETAIL_HOST,   /* the name or address that we wanted ... */
	DETAIL_WANTED, /* ... as it should stand in the certificate */
};

struct wording {
	int error;
	enum detail detail;
	const char *wrong, *advice;
};

#define OWN_LIST "the system's own list of authorities does not count"

static const struct wording nameless = {
	X509_V_ERR_HOSTNAME_MISMATCH,
	DETAIL_WANTED,
	"has no alternative names, and its common name does not count",
	"have it issued with subjectAltName",
};
static const struct wording address = {
	X509_V_ERR_IP_ADDRESS_MISMATCH,
	DETAIL_HOST,
	"is not for the address",
	"no match among its alternative names: use one of them, or have it issued with the address",
};
/* Said of the authority that the chain leads to. */
static const struct wording unknown_end = {
	X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
	DETAIL_TEXT,
	"which is not in ca",
	"is it the right ca? " OWN_LIST,
};

static const struct wording wordings[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, DETAIL_DATE, "has expired",
	  "it must be renewed, unless this clock is wrong" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, DETAIL_DATE, "is not valid yet",
	  "its authority's clock is wrong, or this one" },
	{ X509_V_ERR_HOSTNAME_MISMATCH, DETAIL_HOST, "is not for the name",
	  "no match among its alternative names: use one of them, or have it issued with this "
	  "one" },
	{ X509_V_ERR_INVALID_PURPOSE, DETAIL_NONE, "is not meant for TLS servers",
	  "its extended key usage, key usage or basic constraints forbid it; serverAuth is "
	  "wanted" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, DETAIL_NONE, "is signed by itself and not in ca",
	  "have it issued by an authority, or put it into ca" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, DETAIL_TEXT,
	  "comes from an authority that was not sent along and is not in ca",
	  "does the chain lack an intermediate, or is it the wrong ca? " OWN_LIST },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, DETAIL_TEXT, "is in ca without its own issuer",
	  "put the root certificate into ca, too" },
	{ X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, DETAIL_TEXT,
	  "has a critical extension that is not known here", "have it issued without" },
	{ X509_V_ERR_PATH_LENGTH_EXCEEDED, DETAIL_NONE,
	  "allows fewer authorities below it than there are",
	  "look at the path length in its basic constraints" },
	{ X509_V_ERR_PERMITTED_VIOLATION, DETAIL_NONE,
	  "is for a name that an authority above it may not certify",
	  "that one's name constraints permit others only" },
	{ X509_V_ERR_EXCLUDED_VIOLATION, DETAIL_NONE,
	  "is for a name that is excluded for an authority above it",
	  "look at that one's name constraints" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, DETAIL_TEXT, "has too weak a key",
	  "RSA needs 2048 bits, an elliptic curve 224" },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, DETAIL_TEXT, "has too weak a key",
	  "RSA needs 2048 bits, an elliptic curve 224" },
	{ X509_V_ERR_CA_MD_TOO_WEAK, DETAIL_TEXT, "is signed with too weak a digest",
	  "SHA-256 or better is needed" },
	{ X509_V_ERR_INVALID_CA, DETAIL_NONE, "is not that of an authority",
	  "its basic constraints or key usage say so, yet it has issued another" },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, DETAIL_TEXT, "bears no signature of its issuer",
	  "is there another authority of the same name in ca?" },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, DETAIL_NONE, "comes with too long a chain",
	  "at most 16 certificates are looked at" },
	{ X509_V_ERR_APPLICATION_VERIFICATION, DETAIL_NONE, "could not be judged",
	  "built wrongly, or the host name is none" },
};

static bool is_address(const char *host)
{
	struct in6_addr ip;

	return strchr(host, ':') || inet_pton(AF_INET, host, &ip) == 1;
}

/* The authority that the chain leads to, sent along or not; NULL when it is not that one that is
 * missing. */
static const char *end_of(const struct tg_tls_peer *p)
{
	if (p->error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN)
		return p->name;
	if (p->error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY && p->depth > 0)
		return p->detail;
	return NULL;
}

static const struct wording *find(const struct tg_tls_peer *p)
{
	bool name = p->error == X509_V_ERR_HOSTNAME_MISMATCH ||
		    p->error == X509_V_ERR_IP_ADDRESS_MISMATCH;

	if (name && p->nameless)
		return &nameless;
	if (name && is_address(p->host))
		return &address;
	for (size_t i = 0; i < TG_ARRAY_SIZE(wordings); i++)
		if (wordings[i].error == p->error)
			return &wordings[i];
	return NULL;
}

static const char *detail_text(const struct tg_tls_peer *p, const struct wording *w, char *out,
			       size_t size)
{
	char date[32], now[32];

	out[0] = '\0';
	switch (w->detail) {
	case DETAIL_NONE:
		break;
	case DETAIL_TEXT:
		if (p->detail[0])
			(void) snprintf(out, size, " (%s)", p->detail);
		break;
	case DETAIL_HOST:
		(void) snprintf(out, size, " %s", p->host);
		break;
	case DETAIL_WANTED:
		(void) snprintf(out, size, " (%s:%s)", is_address(p->host) ? "IP" : "DNS", p->host);
		break;
	case DETAIL_DATE:
		(void) snprintf(out, size, " (%s; judged at %s)",
				tg_clock_iso(p->date_s * (int64_t) TG_US_PER_S, date),
				tg_clock_iso(p->judged_s * (int64_t) TG_US_PER_S, now));
		break;
	}
	return out;
}

static const char *who(const struct tg_tls_peer *p)
{
	return p->who ? p->who : "server";
}

static void say_certificate(const struct tg_tls_peer *p, char *out, size_t size)
{
	const struct wording *w = find(p);
	char raw[TG_TLS_WORDS_MAX + 2 * TG_TLS_NAME_MAX], detail[2 * TG_TLS_NAME_MAX + 64];
	const char *end = end_of(p);
	char whose[64];

	if (p->depth > 0)
		(void) snprintf(whose, sizeof(whose), "an authority above the %s", who(p));
	else
		(void) snprintf(whose, sizeof(whose), "the %s's certificate", who(p));
	if (end)
		(void) snprintf(raw, sizeof(raw), "the %s's chain ends in '%s', %s: %s", who(p),
				end, unknown_end.wrong, unknown_end.advice);
	else if (w)
		(void) snprintf(raw, sizeof(raw), "%s (%s) %s%s: %s", whose, p->name, w->wrong,
				detail_text(p, w, detail, sizeof(detail)), w->advice);
	else
		(void) snprintf(raw, sizeof(raw), "%s (%s) was refused: %s", whose, p->name,
				X509_verify_cert_error_string(p->error));
	tg_printable(out, size, raw, strlen(raw));
}

static void say_alert(const struct tg_tls_peer *p, uint8_t alert, char *out, size_t size)
{
	const char *text = tg_tls_alert_text(alert);

	if (tg_tls_alert_is_about_us(alert))
		(void) snprintf(out, size, "the %s refused our certificate: %s (TLS alert %u)",
				who(p), text, alert);
	else if (alert == 70)
		(void) snprintf(out, size,
				"the %s broke TLS off: %s (alert 70): it speaks neither TLS 1.2 "
				"nor 1.3, older ones are not taken",
				who(p), text);
	else
		(void) snprintf(out, size, "the %s broke TLS off: %s (alert %u)", who(p), text,
				alert);
}

const char *tg_tls_peer_words(const struct tg_tls_peer *p, char *out, size_t size)
{
	out[0] = '\0';
	if (p->error)
		say_certificate(p, out, size);
	else if (p->alerted)
		say_alert(p, p->alert, out, size);
	return out;
}

static bool has(const char *reason, const char *part)
{
	return strstr(reason, part);
}

static void say_reason(const struct tg_tls_peer *p, const char *reason, char *out, size_t size)
{
	char shown[TG_TLS_WORDS_MAX / 2];
	uint8_t alert;

	if (tg_tls_alert_find(reason, &alert))
		say_alert(p, alert, out, size);
	else if (!*reason || has(reason, "unexpected eof"))
		(void) snprintf(out, size, "closed in the TLS handshake%s",
				p->passed ? ", after our certificate was sent" : "");
	else if (has(reason, "unsupported protocol") || has(reason, "version too low"))
		(void) snprintf(out, size,
				"the %s speaks neither TLS 1.2 nor 1.3, older ones are not taken",
				who(p));
	else if (has(reason, "wrong version number") || has(reason, "packet length too long"))
		(void) snprintf(out, size, "what answers there does not speak TLS");
	else
		(void) snprintf(out, size, "TLS failed: %s",
				tg_printable(shown, sizeof(shown), reason, strlen(reason)));
}

const char *tg_tls_handshake_words(const struct tg_tls_peer *p, const char *reason, char *out,
				   size_t size)
{
	tg_tls_peer_words(p, out, size);
	if (!out[0])
		say_reason(p, reason ? reason : "", out, size);
	return out;
}
