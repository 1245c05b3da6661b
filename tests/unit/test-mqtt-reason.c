/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/attempt.h"
#include "tests/unit/test.h"

#include <openssl/x509_vfy.h>

#include <errno.h>
#include <string.h>

/* How far an attempt has got. */
enum reach { WAITING, DIALLED, TCP, ACCEPTED, SECURE };

static struct tg_mqtt_attempt attempt_at(enum reach reach)
{
	struct tg_mqtt_attempt a = { .host = "broker.example",
				     .port = 8883,
				     .address = "192.0.2.7",
				     .stage = reach == WAITING   ? TG_MQTT_STAGE_WAITING
					      : reach == DIALLED ? TG_MQTT_STAGE_DIALLED
								 : TG_MQTT_STAGE_TCP };

	a.peer.who = "broker";
	a.peer.host = "broker.example";
	a.peer.passed = reach >= ACCEPTED;
	a.peer.finished = reach >= SECURE;
	return a;
}

static void note(struct tg_mqtt_attempt *a, const char *line)
{
	tg_mqtt_reason_note(a, line, strlen(line));
}

static enum tg_mqtt_cause explain(const struct tg_mqtt_attempt *a, int code, bool timed_out,
				  char text[256])
{
	return tg_mqtt_reason(a, code, timed_out, text, 256);
}

static void a_connack_code_outranks_everything(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(SECURE);
	char text[256];

	(void) state;
	a.peer.alerted = true;
	assert_int_equal(explain(&a, 5, false, text), TG_MQTT_CAUSE_REFUSED);
	assert_non_null(strstr(text, "broker.example:8883: "));
	assert_non_null(strstr(text, "CONNACK 5"));
	assert_non_null(strstr(text, "not authorised"));
	assert_int_equal(explain(&a, 200, false, text), TG_MQTT_CAUSE_REFUSED);
	assert_non_null(strstr(text, "CONNACK 200"));
}

static void a_tcp_refusal_names_the_address_and_the_reason(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(DIALLED);
	char text[256];

	(void) state;
	a.tcp_errno = ECONNREFUSED;
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TCP);
	assert_string_equal(text, "broker.example:8883: no TCP connection (192.0.2.7): Connection "
				  "refused");
}

static void a_tcp_connection_without_answer_is_told(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(DIALLED);
	char text[256];

	(void) state;
	assert_int_equal(explain(&a, -1, true, text), TG_MQTT_CAUSE_TCP);
	assert_non_null(strstr(text, "no answer"));
}

static void a_wrong_name_says_whose_the_certificate_is(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(TCP);
	char text[256];

	(void) state;
	a.peer.error = X509_V_ERR_HOSTNAME_MISMATCH;
	(void) strncpy(a.peer.name, "other.example", sizeof(a.peer.name) - 1);
	note(&a, "7F:error:0A000086:SSL routines::certificate verify failed:../ssl/x.c:1889:\n");
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TLS_PEER);
	assert_non_null(strstr(text, "the broker's certificate (other.example) is not for the name broker.example: no match"));
}

static void an_alert_about_our_certificate_is_the_brokers_refusal(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(SECURE);
	char text[256];

	(void) state;
	a.peer.alerted = true;
	a.peer.alert = 44;
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TLS_REFUSED);
	assert_non_null(strstr(text, "refused our certificate: certificate revoked (TLS alert "
				     "44)"));
	a.peer.alert = 250;
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TLS_REFUSED);
	assert_non_null(strstr(text, "alert 250"));
}

static void a_refused_application_protocol_leads_to_its_key(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(TCP);
	char text[256];

	(void) state;
	a.peer.alerted = true;
	a.peer.alert = 120;
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TLS_REFUSED);
	assert_non_null(strstr(text, "it wants alpn"));
	a.alpn_len = 5;
	(void) explain(&a, -1, false, text);
	assert_non_null(strstr(text, "look at alpn"));
	a.peer.alert = 44;
	(void) explain(&a, -1, false, text);
	assert_null(strstr(text, "alpn"));
}

static void on_port_443_the_lack_of_alpn_is_mentioned(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(SECURE);
	char text[256];

	(void) state;
	a.port = 443;
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_CLOSED);
	assert_non_null(strstr(text, "port 443 wants alpn"));
	a.alpn_len = 5;
	(void) explain(&a, -1, false, text);
	assert_null(strstr(text, "alpn"));
}

static void what_is_not_mqtt_outranks_a_closed_connection(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(SECURE);
	char text[256];

	(void) state;
	a.frame.fault = TG_MQTT_FRAME_ORDER;
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_CLOSED);
	assert_non_null(strstr(text, "CONNACK is not its first packet"));
	/* It says nothing of us. */
	assert_int_equal(tg_mqtt_word(&a, -1, false), TG_MQTT_WORD_NONE);
}

static void an_address_that_is_only_remembered_is_told_as_such(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(DIALLED);
	char text[256];

	(void) state;
	a.tcp_errno = ECONNREFUSED;
	a.remembered = true;
	(void) explain(&a, -1, false, text);
	assert_non_null(strstr(text, "(192.0.2.7, where it was last: DNS does not resolve the name): Connection refused"));
}

static void an_early_alert_is_known_by_openssl_words(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(TCP);
	char text[256];

	(void) state;
	note(&a, "7F:error:0A00042E:SSL routines::tlsv1 alert protocol version:../ssl/r.c:1586:SSL "
		 "alert number 70\n");
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TLS_REFUSED);
	assert_non_null(strstr(text, "broke TLS off: protocol version"));
}

static void only_what_is_said_of_us_is_a_refusal(void **state)
{
	static const struct {
		enum reach reach;
		int code;
		bool timed_out, tpm;
		int verify_error, alert;
		const char *tls;
		enum tg_mqtt_word word;
	} cases[] = {
		{ SECURE, 5, false, false, 0, -1, "", TG_MQTT_WORD_REFUSED },
		{ SECURE, 2, false, false, 0, -1, "", TG_MQTT_WORD_REFUSED },
		{ SECURE, 7, false, false, 0, -1, "", TG_MQTT_WORD_REFUSED },
		{ SECURE, 1, false, false, 0, -1, "", TG_MQTT_WORD_REFUSED },
		{ SECURE, 3, false, false, 0, -1, "", TG_MQTT_WORD_NONE },
		{ SECURE, -1, false, false, 0, 44, "", TG_MQTT_WORD_REFUSED },
		{ ACCEPTED, -1, false, false, 0, 48, "", TG_MQTT_WORD_REFUSED },
		{ SECURE, -1, false, false, 0, 80, "", TG_MQTT_WORD_NONE },
		{ SECURE, -1, false, false, 0, 250, "", TG_MQTT_WORD_NONE },
		{ SECURE, -1, false, false, 0, -1, "", TG_MQTT_WORD_CLOSED },
		{ ACCEPTED, -1, false, false, 0, -1, "unexpected eof", TG_MQTT_WORD_CLOSED },
		{ ACCEPTED, -1, false, false, 0, -1, "bad signature", TG_MQTT_WORD_NONE },
		{ TCP, -1, false, false, 0, -1, "unexpected eof", TG_MQTT_WORD_NONE },
		{ DIALLED, -1, false, false, 0, -1, "", TG_MQTT_WORD_NONE },
		{ SECURE, -1, true, false, 0, -1, "", TG_MQTT_WORD_NONE },
		{ SECURE, -1, false, true, 0, -1, "TPM", TG_MQTT_WORD_NONE },
		{ ACCEPTED, -1, false, false, 10, -1, "", TG_MQTT_WORD_NONE },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
		struct tg_mqtt_attempt a = attempt_at(cases[i].reach);

		a.tpm = cases[i].tpm;
		a.peer.error = cases[i].verify_error;
		a.peer.alerted = cases[i].alert >= 0;
		a.peer.alert = a.peer.alerted ? (uint8_t) cases[i].alert : 0;
		snprintf(a.tls_text, sizeof(a.tls_text), "%s", cases[i].tls);
		assert_int_equal(tg_mqtt_word(&a, cases[i].code, cases[i].timed_out),
				 cases[i].word);
	}
}

static void an_end_in_the_handshake_is_a_refusal(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(ACCEPTED);
	char text[256];

	(void) state;
	note(&a, "7F:error:0A000126:SSL routines::unexpected eof while reading:../ssl/r.c:303:\n");
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TLS_REFUSED);
	assert_non_null(strstr(text, "after our certificate was sent"));
}

static void a_peer_without_tls_is_recognised(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(TCP);
	char text[256];

	(void) state;
	note(&a, "7F:error:0A00010B:SSL routines::wrong version number:../ssl/r.c:354:\n");
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TLS_PEER);
	assert_non_null(strstr(text, "does not speak TLS"));
}

static void a_reason_of_the_tpm_wins_wherever_it_stands(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(ACCEPTED);
	char text[256];

	(void) state;
	note(&a, "7F:error:0A080006:SSL routines::EVP lib:../ssl/s.c:1:\n");
	note(&a, "7F:error:40000003:tidegate::TPM does not answer:x.c:1:\n");
	note(&a, "7F:error:40000003:tidegate::TPM second:x.c:1:\n");
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_TPM);
	assert_string_equal(text, "broker.example:8883: TPM does not answer");
}

static void silence_is_not_mistaken_for_a_refusal(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(TCP);
	char text[256];

	(void) state;
	assert_int_equal(explain(&a, -1, true, text), TG_MQTT_CAUSE_TCP);
	assert_non_null(strstr(text, "no answer to the TLS handshake"));
	a.peer.passed = a.peer.finished = true;
	assert_int_equal(explain(&a, -1, true, text), TG_MQTT_CAUSE_TCP);
	assert_non_null(strstr(text, "no answer to CONNECT"));
}

static void an_end_before_connack_points_at_the_policy(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(SECURE);
	char text[256];

	(void) state;
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_CLOSED);
	assert_non_null(strstr(text, "before CONNACK"));
	assert_non_null(strstr(text, "policy"));
}

static void a_library_that_never_dialled_is_a_local_fault(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(WAITING);
	char text[256];

	(void) state;
	assert_int_equal(explain(&a, -1, false, text), TG_MQTT_CAUSE_LOCAL);
}

static void lines_that_are_no_openssl_lines_are_ignored(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(TCP);

	(void) state;
	note(&a, "");
	note(&a, "a:b:c");
	note(&a, "a:b:c:d:e:");
	note(&a, "a:b:c:d:e::");
	assert_string_equal(a.tls_text, "");
}

static void a_hostile_name_does_not_reach_the_log_raw(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(TCP);
	char text[256];

	(void) state;
	a.peer.error = X509_V_ERR_HOSTNAME_MISMATCH;
	(void) strncpy(a.peer.name, "evil\n\x1b[2J", sizeof(a.peer.name) - 1);
	(void) explain(&a, -1, false, text);
	assert_null(strchr(text, '\n'));
	assert_null(strchr(text, '\x1b'));
}

static void a_long_text_is_cut_within_its_bound(void **state)
{
	struct tg_mqtt_attempt a = attempt_at(SECURE);
	char text[256];

	(void) state;
	memset(a.host, 'h', sizeof(a.host) - 1);
	(void) explain(&a, 5, false, text);
	assert_true(strlen(text) < sizeof(text));
	assert_string_equal(text + strlen(text) - 3, "...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connack_code_outranks_everything),
		cmocka_unit_test(a_tcp_refusal_names_the_address_and_the_reason),
		cmocka_unit_test(a_tcp_connection_without_answer_is_told),
		cmocka_unit_test(a_wrong_name_says_whose_the_certificate_is),
		cmocka_unit_test(an_alert_about_our_certificate_is_the_brokers_refusal),
		cmocka_unit_test(a_refused_application_protocol_leads_to_its_key),
		cmocka_unit_test(on_port_443_the_lack_of_alpn_is_mentioned),
		cmocka_unit_test(what_is_not_mqtt_outranks_a_closed_connection),
		cmocka_unit_test(an_address_that_is_only_remembered_is_told_as_such),
		cmocka_unit_test(an_early_alert_is_known_by_openssl_words),
		cmocka_unit_test(only_what_is_said_of_us_is_a_refusal),
		cmocka_unit_test(an_end_in_the_handshake_is_a_refusal),
		cmocka_unit_test(a_peer_without_tls_is_recognised),
		cmocka_unit_test(a_reason_of_the_tpm_wins_wherever_it_stands),
		cmocka_unit_test(silence_is_not_mistaken_for_a_refusal),
		cmocka_unit_test(an_end_before_connack_points_at_the_policy),
		cmocka_unit_test(a_library_that_never_dialled_is_a_local_fault),
		cmocka_unit_test(lines_that_are_no_openssl_lines_are_ignored),
		cmocka_unit_test(a_hostile_name_does_not_reach_the_log_raw),
		cmocka_unit_test(a_long_text_is_cut_within_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
