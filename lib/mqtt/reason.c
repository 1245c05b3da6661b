/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/attempt.h"
#include "tls/alert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * From what was seen of a failed attempt to one cause and one sentence. The
 * order of the questions matters: what the broker said outranks what we
 * concluded, and what happened first outranks its consequences.
 */

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

const char *tg_mqtt_place(const struct tg_mqtt_attempt *a, char out[static TG_MQTT_PLACE_MAX])
{
	bool bare = !strchr(a->host, ':');

	(void) snprintf(out, TG_MQTT_PLACE_MAX, "%s%s%s:%u", bare ? "" : "[", a->host,
			bare ? "" : "]", a->port);
	return out;
}

static void say(const struct tg_mqtt_attempt *a, char *text, size_t size, const char *fmt, ...)
	TG_PRINTF(4, 5);

static void say(const struct tg_mqtt_attempt *a, char *text, size_t size, const char *fmt, ...)
{
	char raw[1024], place[TG_MQTT_PLACE_MAX];
	va_list ap;
	int n = snprintf(raw, sizeof(raw), "%s: ", tg_mqtt_place(a, place));

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
	char where[INET6_ADDRSTRLEN + 80] = "";

	if (strcmp(a->address, a->host) != 0)
		(void) snprintf(where, sizeof(where), " (%s%s)", a->address,
				a->remembered ? ", where it was last: DNS does not resolve the name" : "");
	if (a->tcp_errno)
		say(a, text, size, "no TCP connection%s: %s", where, strerror(a->tcp_errno));
	else
		say(a, text, size,
		    "no answer to the TCP connection%s: is the broker up, does a firewall drop it?",
		    where);
	return TG_MQTT_CAUSE_TCP;
}

#define ALERT_NO_APPLICATION_PROTOCOL 120 /* RFC 7301 section 3.2 */

/* What to look at when the broker does not like the application protocol that was named, or that none was. */
static const char *alpn_advice(const struct tg_mqtt_attempt *a)
{
	uint8_t alert = a->peer.alert;

	/* One that comes before the certificate of the broker is known only by OpenSSL's words for it. */
	if (!a->peer.alerted && !tg_tls_alert_find(a->tls_text, &alert))
		return "";
	if (alert != ALERT_NO_APPLICATION_PROTOCOL)
		return "";
	return a->alpn_len ? ": look at alpn in [mqtt]" : ": it wants alpn in [mqtt] (AWS on port 443: x-amzn-mqtt-ca)";
}

static enum tg_mqtt_cause say_judged(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	char words[TG_TLS_WORDS_MAX];

	say(a, text, size, "%s%s", tg_tls_peer_words(&a->peer, words, sizeof(words)), alpn_advice(a));
	return a->peer.error ? TG_MQTT_CAUSE_TLS_PEER : TG_MQTT_CAUSE_TLS_REFUSED;
}

static bool ended_without_reason(const struct tg_mqtt_attempt *a)
{
	return !a->tls_text[0] || strstr(a->tls_text, "unexpected eof");
}

static enum tg_mqtt_cause say_handshake(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	bool ended = ended_without_reason(a);
	char words[TG_TLS_WORDS_MAX];
	uint8_t alert;

	say(a, text, size, "%s%s",
	    tg_tls_handshake_words(&a->peer, a->tls_text, words, sizeof(words)),
	    ended && !a->peer.passed ? ": is this a TLS port of an MQTT broker?" : alpn_advice(a));
	/* Alerts that come before the certificate of the broker are known only by OpenSSL's words
	 * for them. */
	return ended || tg_tls_alert_find(a->tls_text, &alert) ? TG_MQTT_CAUSE_TLS_REFUSED
							       : TG_MQTT_CAUSE_TLS_PEER;
}

static enum tg_mqtt_cause say_silence(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	say(a, text, size, "the TCP connection stands, but there was no answer to %s in time",
	    a->peer.finished ? "CONNECT" : "the TLS handshake");
	return TG_MQTT_CAUSE_TCP;
}

static enum tg_mqtt_cause say_frame(const struct tg_mqtt_attempt *a, char *text, size_t size)
{
	char words[TG_MQTT_FRAME_WORDS_MAX];

	say(a, text, size, "left, as the broker %s", tg_mqtt_frame_words(&a->frame, words));
	return TG_MQTT_CAUSE_CLOSED;
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
	if (a->peer.error || a->peer.alerted)
		return say_judged(a, text, size);
	if (a->frame.fault)
		return say_frame(a, text, size);
	if (timed_out)
		return say_silence(a, text, size);
	if (!a->peer.finished)
		return say_handshake(a, text, size);
	say(a, text, size,
	    "closed after the TLS handshake, before CONNACK: the broker does not know this "
	    "certificate, or "
	    "its policy forbids this client id%s",
	    a->port == 443 && !a->alpn_len ? ", or port 443 wants alpn in [mqtt]" : "");
	return TG_MQTT_CAUSE_CLOSED;
}

enum tg_mqtt_word tg_mqtt_word(const struct tg_mqtt_attempt *a, int code, bool timed_out)
{
	/* "Not available now" is no word on us. */
	if (code > 0)
		return code == 3 ? TG_MQTT_WORD_NONE : TG_MQTT_WORD_REFUSED;
	if (a->tpm || a->peer.error || !a->peer.passed || a->frame.fault)
		return TG_MQTT_WORD_NONE;
	if (a->peer.alerted)
		return tg_tls_alert_is_about_us(a->peer.alert) ? TG_MQTT_WORD_REFUSED
							       : TG_MQTT_WORD_NONE;
	if (timed_out)
		return TG_MQTT_WORD_NONE;
	/* In the handshake it is an end without a word only when TLS itself had nothing to blame. */
	if (!a->peer.finished && !ended_without_reason(a))
		return TG_MQTT_WORD_NONE;
	return TG_MQTT_WORD_CLOSED;
}
