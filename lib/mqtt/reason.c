/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/attempt.h"

#include <openssl/x509_vfy.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * From what was seen of a failed attempt to one cause and one sentence. The
 * order of the questions matters: what the broker said outranks what we
 * concluded, and what happened first outranks its consequences.
 */

struct alert {
	uint8_t number;
	bool about_us; /* the broker judged our certificate */
	const char *text;
};

static const struct alert alerts[] = {
	{ 10, false, "unexpected message" },
	{ 20, false, "bad record MAC" },
	{ 22, false, "record overflow" },
	{ 40, false, "handshake failure" },
	{ 42, true, "bad certificate" },
	{ 43, true, "unsupported certificate" },
	{ 44, true, "certificate revoked" },
	{ 45, true, "certificate expired" },
	{ 46, true, "certificate unknown" },
	{ 47, false, "illegal parameter" },
	{ 48, true, "unknown CA" },
	{ 49, true, "access denied" },
	{ 50, false, "decode error" },
	{ 51, true, "decrypt error" },
	{ 70, false, "protocol version" },
	{ 71, false, "insufficient security" },
	{ 80, false, "internal error" },
	{ 86, false, "inappropriate fallback" },
	{ 109, false, "missing extension" },
	{ 110, false, "unsupported extension" },
	{ 112, false, "unrecognized name" },
	{ 115, false, "unknown PSK identity" },
	{ 116, true, "certificate required" },
	{ 120, false, "no application protocol (ALPN)" },
};

static const struct alert *find_alert(uint8_t number)
{
	for (size_t i = 0; i < TG_ARRAY_SIZE(alerts); i++)
		if (alerts[i].number == number)
			return &alerts[i];
	return NULL;
}

const char *tg_mqtt_alert_text(uint8_t alert)
{
	const struct alert *found = find_alert(alert);

	return found ? found->text : "alert";
}

/* --- OpenSSL's lines ---------------------------------------------------------------------- */

/*
 * The reason in a line "thread:error:code:library:function:reason:file:line:data" (OpenSSL 3 leaves
 * function empty): the text between the fifth colon and the sixth.
 */
static bool find_reason(const char *line, size_t len, const char **ret, size_t *ret_len)
{
	const char *at = line, *end = line + len;

	for (int i = 0; i < 5; i++) {
		at = memchr(at, ':', (size_t) (end - at));
		if (!at)
			return false;
		at++;
	}
	*ret = at;
	at = memchr(at, ':', (size_t) (end - at));
	if (!at)
		return false;
	*ret_len = (size_t) (at - *ret);
	return *ret_len > 0;
}

void tg_mqtt_reason_note(struct tg_mqtt_attempt *a, const char *line, size_t len)
{
	const char *reason;
	size_t reason_len;
	bool tpm;

	if (!find_reason(line, len, &reason, &reason_len))
		return;
	tpm = reason_len >= 3 && memcmp(reason, "TPM", 3) == 0;
	if (a->tls_text[0] && (a->tpm || !tpm))
		return;
	a->tpm = tpm;
	tg_printable(a->tls_text, sizeof(a->tls_text), reason, reason_len);
}

/* --- the sentences ------------------------------------------------------------------------ */

static void say(const struct tg_mqtt_attempt *a, char *text, size_t size, const char *fmt, ...)
	TG_PRINTF(4, 5);

static void say(const struct tg_mqtt_attempt *a, char *text, size_t size, const char *fmt, ...)
{
	char raw[768];
	va_list ap;
	int n = snprintf(raw, sizeof(raw), "%s:%u: ", a->host, a->port);

	va_start(ap, fmt);
	if (n > 0 && (size_t) n < sizeof(raw))
		(void) vsnprintf(raw + n, sizeof(raw) - (size_t) n, fmt, ap);
	va_end(ap);
	tg_printable(text, size, raw, strlen(raw));
}

static enum tg_mqtt_cause say_refused(const struct tg_mqtt_attempt *a, int code, char *text,
				      size_t size)
{
	static const char *const words[] = {
		[1] = "it does not speak MQTT 3.1.1",
		[2] = "it does not like the client id",
		[3] = "it is not available now",
		[4] = "bad user name or password",
		[5] = "not authorised: look at the broker's access list or policy for this client "
		      "id",
	};
	const char *why = (size_t) code < TG_ARRAY_SIZE(words) ? words[code]
							       : "a code that MQTT 3.1.1 does not "
								 "know";

	say(a, text, size, "the broker refused the connection (CONNACK %d): %s", code, why);
	return TG_MQTT_CAUSE_REFUSED;
}

static enum tg_mqtt_cause say_tcp(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	char where[INET6_ADDRSTRLEN + 4] = "";

	if (strcmp(a->address, a->host) != 0)
		(void) snprintf(where, sizeof(where), " (%s)", a->address);
	if (a->tcp_errno)
		say(a, text, size, "no TCP connection%s: %s", where, strerror(a->tcp_errno));
	else
		say(a, text, size,
		    "no answer to the TCP connection%s: is the broker up, does a firewall drop it?",
		    where);
	return TG_MQTT_CAUSE_TCP;
}

static enum tg_mqtt_cause say_peer(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	const char *whose = a->verify_depth > 0 ? "a CA certificate above the broker's"
						: "the broker's certificate";

	switch (a->verify_error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		say(a, text, size,
		    "the broker's certificate is for %s (no match among its alternative names)",
		    a->peer_name[0] ? a->peer_name : "no name");
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		say(a, text, size, "%s (%s) has expired, or the clock is wrong", whose,
		    a->peer_name);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		say(a, text, size, "%s (%s) does not lead to the configured ca: %s", whose,
		    a->peer_name, X509_verify_cert_error_string(a->verify_error));
		break;
	default:
		say(a, text, size, "%s (%s) was refused: %s", whose, a->peer_name,
		    X509_verify_cert_error_string(a->verify_error));
	}
	return TG_MQTT_CAUSE_TLS_PEER;
}

static enum tg_mqtt_cause say_alert(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	const struct alert *alert = find_alert(a->alert);

	if (alert && alert->about_us)
		say(a, text, size, "the broker refused our certificate: %s (TLS alert %u)",
		    alert->text, a->alert);
	else
		say(a, text, size, "the broker broke TLS off: %s (alert %u)",
		    tg_mqtt_alert_text(a->alert), a->alert);
	return TG_MQTT_CAUSE_TLS_REFUSED;
}

static enum tg_mqtt_cause say_handshake(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	/* Alerts that come before the certificate of the broker are known only by OpenSSL's words
	 * for them. */
	const char *alert = strstr(a->tls_text, " alert ");

	if (alert) {
		say(a, text, size, "the broker broke TLS off: %s", alert + strlen(" alert "));
		return TG_MQTT_CAUSE_TLS_REFUSED;
	}
	if (!a->tls_text[0] || strstr(a->tls_text, "unexpected eof")) {
		say(a, text, size, "closed in the TLS handshake%s",
		    a->stage >= TG_MQTT_STAGE_PEER ? ", after our certificate was sent"
						   : ": is this a TLS port of an MQTT broker?");
		return TG_MQTT_CAUSE_TLS_REFUSED;
	}
	if (strstr(a->tls_text, "wrong version number") || strstr(a->tls_text, "packet length too "
									       "long"))
		say(a, text, size, "what answers there does not speak TLS (%s)", a->tls_text);
	else
		say(a, text, size, "TLS failed: %s", a->tls_text);
	return TG_MQTT_CAUSE_TLS_PEER;
}

static enum tg_mqtt_cause say_silence(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	say(a, text, size, "the TCP connection stands, but there was no answer to %s in time",
	    a->stage < TG_MQTT_STAGE_TLS ? "the TLS handshake" : "CONNECT");
	return TG_MQTT_CAUSE_TCP;
}

enum tg_mqtt_cause tg_mqtt_reason(const struct tg_mqtt_attempt *a, int code, bool timed_out,
				  char *text, size_t size)
{
	if (code > 0)
		return say_refused(a, code, text, size);
	if (a->tpm) {
		say(a, text, size, "%s", a->tls_text);
		return TG_MQTT_CAUSE_TPM;
	}
	if (a->stage < TG_MQTT_STAGE_DIALLED) {
		say(a, text, size, "the MQTT library did not dial");
		return TG_MQTT_CAUSE_LOCAL;
	}
	if (a->stage == TG_MQTT_STAGE_DIALLED)
		return say_tcp(a, text, size);
	if (a->verify_error)
		return say_peer(a, text, size);
	if (a->alerted)
		return say_alert(a, text, size);
	if (timed_out)
		return say_silence(a, text, size);
	if (a->stage < TG_MQTT_STAGE_TLS)
		return say_handshake(a, text, size);
	say(a, text, size,
	    "closed after the TLS handshake, before CONNACK: the broker does not know this "
	    "certificate, or "
	    "its policy forbids this client id");
	return TG_MQTT_CAUSE_CLOSED;
}

enum tg_mqtt_word tg_mqtt_word(const struct tg_mqtt_attempt *a, int code, bool timed_out)
{
	const struct alert *alert = a->alerted ? find_alert(a->alert) : NULL;

	/* "Not available now" is no word on us. */
	if (code > 0)
		return code == 3 ? TG_MQTT_WORD_NONE : TG_MQTT_WORD_REFUSED;
	if (a->tpm || a->verify_error || a->stage < TG_MQTT_STAGE_PEER)
		return TG_MQTT_WORD_NONE;
	if (a->alerted)
		return alert && alert->about_us ? TG_MQTT_WORD_REFUSED : TG_MQTT_WORD_NONE;
	if (timed_out)
		return TG_MQTT_WORD_NONE;
	/* In the handshake it is an end without a word only when TLS itself had nothing to blame. */
	if (a->stage < TG_MQTT_STAGE_TLS && a->tls_text[0] &&
	    !strstr(a->tls_text, "unexpected eof"))
		return TG_MQTT_WORD_NONE;
	return TG_MQTT_WORD_CLOSED;
}
