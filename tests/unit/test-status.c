/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/status.h"

#include "agent/status/clock.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define MANY 300

static struct tg_config_device devices[MANY];
static struct tg_device_state states[MANY];
static struct tg_config_bus bus = { .name = (char *) "line1" };

static struct tg_picture picture(size_t n)
{
	static struct tg_config cfg;
	static struct tg_specifiers spec = { .id = "gw7" };
	static char names[MANY][32];
	static char endpoint[] = "broker.example";
	static const struct tg_claim claim;
	static struct tg_bus_state bus_state;

	bus_state = (struct tg_bus_state) { .condition = TG_BUS_UP, .since_us = TG_US_PER_S };

	cfg = (struct tg_config) { .buses = &bus, .n_buses = 1, .devices = devices, .n_devices = n };
	cfg.mqtt.endpoint = endpoint;
	for (size_t i = 0; i < n; i++) {
		(void) snprintf(names[i], sizeof(names[i]), "device%zu", i);
		devices[i] = (struct tg_config_device) { .name = names[i], .n_points = 3 };
		states[i] = (struct tg_device_state) { .device = i, .health = TG_DEVICE_OK };
	}
	return (struct tg_picture) {
		.cfg = &cfg,
		.fleet = &cfg,
		.spec = &spec,
		.config_path = "/etc/tidegate/tidegate.conf",
		.started_us = TG_US_PER_S,
		.now_us = 100 * TG_US_PER_S,
		.wall_us = INT64_C(1795219200) * (int64_t) TG_US_PER_S,
		.devices = states,
		.buses = &bus_state,
		.claim = &claim,
	};
}

static json_t *parse(char *text)
{
	json_t *o;

	assert_non_null(text);
	o = json_loads(text, 0, NULL);
	assert_non_null(o);
	free(text);
	return o;
}

static const char *text_at(json_t *o, const char *part, const char *key)
{
	return json_string_value(json_object_get(json_object_get(o, part), key));
}

static void every_part_is_there_before_anything_is_known(void **state)
{
	static const char *const parts[] = { "identity", "enrolment", "claim", "tpm", "link", "spool", "devices" };
	struct tg_picture p = picture(0);
	json_t *o = parse(tg_status_json(&p, false));

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(parts); i++)
		assert_non_null(json_object_get(o, parts[i]));
	assert_string_equal(json_string_value(json_object_get(o, "state")), "offline");
	assert_string_equal(text_at(o, "tpm", "state"), "asking");
	assert_string_equal(text_at(o, "identity", "state"), "none");
	assert_int_equal(json_integer_value(json_object_get(o, "uptime_s")), 99);
	json_decref(o);
}

static void a_missing_tpm_and_a_broken_link_say_why(void **state)
{
	struct tg_picture p = picture(1);
	json_t *o;

	(void) state;
	p.tpm = (struct tg_tpm_report) { .condition = TG_TPM_AWAY, .error = -ENODEV, .text = "no TPM at device:/dev/tpmrm0" };
	p.link = (struct tg_link_report) { .state = TG_LINK_OFFLINE, .next_us = 130 * TG_US_PER_S };
	(void) snprintf(p.link.error, sizeof(p.link.error), "broker.example:8883: connection refused");
	o = parse(tg_status_json(&p, false));
	assert_string_equal(text_at(o, "tpm", "state"), "away");
	assert_string_equal(text_at(o, "tpm", "error"), "no TPM at device:/dev/tpmrm0");
	assert_non_null(strstr(text_at(o, "tpm", "advice"), "[tpm] tcti"));
	assert_string_equal(text_at(o, "link", "error"), "broker.example:8883: connection refused");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "link"), "next_s")), 30);
	json_decref(o);
}

static void a_failed_step_of_enrolment_is_named_and_the_token_is_not(void **state)
{
	struct tg_picture p = picture(0);
	tg_autofree char *text = NULL;

	(void) state;
	p.keeper.has_journal = true;
	p.keeper.state = TG_KEEPER_WAITING;
	p.keeper.journal = (struct tg_journal) { .step = TG_STEP_CSR,
						 .error_class = TG_ENROL_REFUSED,
						 .error_step = TG_STEP_REQUEST,
						 .error_status = 403,
						 .token = "secret-token" };
	text = tg_status_json(&p, false);
	assert_non_null(text);
	assert_non_null(strstr(text, "\"step\":\"request\""));
	assert_non_null(strstr(text, "403"));
	assert_null(strstr(text, "secret-token"));
}

/* A renewal that is due in an hour, of generation 7 of which half an hour is left. */
static struct tg_picture renewing(void)
{
	struct tg_picture p = picture(0);

	p.time.believed_s = 1795219200;
	p.keeper.has_current = true;
	p.keeper.current = (struct tg_manifest) { .number = 7, .not_before = 1795000000, .not_after = 1795221000 };
	p.keeper.state = TG_KEEPER_SETTLED;
	p.keeper.next_us = 3700 * TG_US_PER_S;
	p.keeper.next_s = 1795222800;
	(void) snprintf(p.keeper.reason_text, sizeof(p.keeper.reason_text), "66 %% of its life");
	p.link.standing = TG_LINK_GOOD;
	return p;
}

static void the_next_renewal_has_time_and_reason(void **state)
{
	struct tg_picture p = renewing();
	json_t *o = parse(tg_status_json(&p, true)), *e = json_object_get(o, "enrolment");

	(void) state;
	assert_string_equal(text_at(o, "enrolment", "state"), "settled");
	assert_string_equal(text_at(o, "enrolment", "next"), "2026-11-21T01:00:00Z");
	assert_string_equal(text_at(o, "enrolment", "reason"), "66 % of its life");
	assert_int_equal(json_integer_value(json_object_get(e, "next_s")), 3600);
	assert_true(json_is_null(json_object_get(e, "error")));
	assert_string_equal(text_at(o, "identity", "standing"), "good");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "identity"), "seconds_left")), 1800);
	assert_true(json_is_false(json_object_get(json_object_get(o, "identity"), "expired")));
	json_decref(o);
}

static void state_and_certificate_are_of_the_identity_that_the_session_uses(void **state)
{
	struct tg_picture p = renewing();
	json_t *o;

	(void) state;
	p.keeper.has_candidate = true;
	p.keeper.candidate.number = 8;
	p.link.identity = TG_LINK_ON_CANDIDATE;
	o = parse(tg_status_json(&p, true));
	assert_string_equal(text_at(o, "identity", "state"), "candidate on trial");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "identity"), "generation")), 8);
	json_decref(o);
	p.link.identity = TG_LINK_ON_CURRENT;
	o = parse(tg_status_json(&p, true));
	assert_string_equal(text_at(o, "identity", "state"), "current, with a candidate on trial");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "identity"), "generation")), 7);
	json_decref(o);
}

static void an_expired_and_refused_certificate_is_called_so(void **state)
{
	struct tg_picture p = renewing();
	json_t *o;

	(void) state;
	p.time.believed_s += 1800;
	p.link.standing = TG_LINK_REFUSED;
	o = parse(tg_status_json(&p, true));
	assert_true(json_is_true(json_object_get(json_object_get(o, "identity"), "expired")));
	assert_string_equal(text_at(o, "identity", "standing"), "refused");
	json_decref(o);
}

static struct tg_time_change repair(enum tg_clock_trust was)
{
	return (struct tg_time_change){
		.was = { .trust = was },
		.is = { .trust = TG_CLOCK_UNCONFIRMED,
			.waiting = true,
			.believed_s = INT64_C(1795219210),
			.floor_s = INT64_C(1795219200),
			.source = TG_FLOOR_PEER,
			.offset_us = INT64_C(1795219200) * (int64_t) TG_US_PER_S,
			.jumps = 1 },
		.step_us = INT64_C(63072000) * (int64_t) TG_US_PER_S,
	};
}

static void the_clock_says_what_it_goes_by(void **state)
{
	struct tg_picture p = picture(0);
	json_t *o, *clock;

	(void) state;
	p.time = repair(TG_CLOCK_SUSPECT).is;
	p.boot_id[15] = 0xab;
	o = parse(tg_status_json(&p, true));
	clock = json_object_get(o, "clock");
	assert_string_equal(text_at(o, "clock", "state"), "waiting for synchronisation");
	assert_string_equal(text_at(o, "clock", "believed"), "2026-11-21T00:00:10Z");
	assert_string_equal(text_at(o, "clock", "floor"), "2026-11-21T00:00:00Z");
	assert_string_equal(text_at(o, "clock", "floor_source"), "broker's certificate");
	assert_string_equal(text_at(o, "clock", "boot"), "000000000000000000000000000000ab");
	assert_true(json_is_null(json_object_get(clock, "service")));
	assert_int_equal(json_integer_value(json_object_get(clock, "offset_ms")), INT64_C(1795219200000));
	json_decref(o);
}

static void a_repaired_clock_dates_what_went_out_undated(void **state)
{
	struct tg_time_change c = repair(TG_CLOCK_SUSPECT);
	uint8_t boot[16] = { 0x12 };
	json_t *o = parse(tg_status_clock_event(&c, "gw7", boot, 5 * TG_US_PER_S));

	(void) state;
	assert_string_equal(json_string_value(json_object_get(o, "event")), "clock-repaired");
	assert_string_equal(json_string_value(json_object_get(o, "id")), "gw7");
	assert_string_equal(json_string_value(json_object_get(o, "time")), "2026-11-21T00:00:05Z");
	assert_string_equal(json_string_value(json_object_get(o, "boot")), "12000000000000000000000000000000");
	assert_int_equal(json_integer_value(json_object_get(o, "offset_ms")), INT64_C(1795219200000));
	assert_int_equal(json_integer_value(json_object_get(o, "boottime_ms")), 5000);
	assert_int_equal(json_integer_value(json_object_get(o, "step_ms")), INT64_C(63072000000));
	json_decref(o);
	c = repair(TG_CLOCK_SYNCHRONISED);
	o = parse(tg_status_clock_event(&c, "gw7", boot, 5 * TG_US_PER_S));
	assert_string_equal(json_string_value(json_object_get(o, "event")), "clock-set");
	json_decref(o);
}

static void the_line_for_systemd_begins_with_what_is_wrong_with_the_identity(void **state)
{
	struct tg_picture p = renewing();
	char line[200];

	(void) state;
	tg_status_line(&p, line, sizeof(line));
	assert_ptr_equal(strstr(line, "enrolled; link "), line);
	p.keeper.failures = 2;
	tg_status_line(&p, line, sizeof(line));
	assert_ptr_equal(strstr(line, "enrolled, renewal fails; "), line);
	p.link.standing = TG_LINK_REFUSED;
	tg_status_line(&p, line, sizeof(line));
	assert_ptr_equal(strstr(line, "certificate refused by the broker; "), line);
	p.time.believed_s += 1800;
	tg_status_line(&p, line, sizeof(line));
	assert_ptr_equal(strstr(line, "certificate expired; "), line);
	p.keeper.has_current = false;
	tg_status_line(&p, line, sizeof(line));
	assert_ptr_equal(strstr(line, "no identity yet; "), line);
}

static const char *line_of(const struct tg_picture *p)
{
	static char line[TG_STATUS_LINE_MAX + 1];

	tg_status_line(p, line, sizeof(line));
	return line;
}

static void the_line_for_systemd_names_what_is_wrong_with_which_part(void **state)
{
	static const struct tg_device_state ill = { .health = TG_DEVICE_DEAD, .error = "no answer" };
	struct tg_picture p = picture(1);

	(void) state;
	p.tpm.condition = TG_TPM_OK;
	assert_null(strstr(line_of(&p), "TPM"));
	p.devices = &ill;
	assert_non_null(strstr(line_of(&p), "; 0 of 1 devices ok (device0: no answer); "));
	p.tpm.condition = TG_TPM_AWAY;
	assert_non_null(strstr(line_of(&p), " packs wait; TPM away"));
	(void) snprintf(p.spool.error_text, sizeof(p.spool.error_text), "disk full");
	assert_non_null(strstr(line_of(&p), "; TPM away; spool: disk full"));
	p.time.trust = TG_CLOCK_SUSPECT;
	p.stuck = "spool";
	assert_non_null(strstr(line_of(&p), "; clock suspect; stuck: spool"));
}

static void the_line_for_systemd_says_why_there_is_no_session(void **state)
{
	struct tg_picture p = renewing();

	(void) state;
	(void) snprintf(p.link.error, sizeof(p.link.error), "connection refused");
	p.link.state = TG_LINK_OFFLINE;
	assert_non_null(strstr(line_of(&p), " (connection refused); "));
	p.link.state = TG_LINK_ONLINE;
	assert_null(strstr(line_of(&p), "refused"));
	(void) snprintf(p.link.problem, sizeof(p.link.problem), "another client uses the client id");
	assert_non_null(strstr(line_of(&p), "link online (another client uses the client id); "));
	/* It must not become a line of its own, whatever a peer calls itself. */
	(void) snprintf(p.link.problem, sizeof(p.link.problem), "x\nMAINPID=1 \xc3");
	assert_non_null(strstr(line_of(&p), "(x?MAINPID=1 ?); "));
}

static void a_certificate_that_the_broker_refused_fails_the_trial(void **state)
{
	struct tg_picture p = renewing();
	json_t *o, *e;

	(void) state;
	p.keeper.last = (struct tg_keeper_attempt) { .number = 3,
						     .kind = TG_ORDER_RENEW,
						     .credential = TG_CREDENTIAL_CURRENT,
						     .class = TG_ENROL_REFUSED,
						     .step = TG_STEP_WRITTEN,
						     .rolled_back = true,
						     .text = "rolled back: not authorised" };
	(void) snprintf(p.link.roll_back_reason, sizeof(p.link.roll_back_reason), "not authorised");
	p.link.roll_backs = 1;
	o = parse(tg_status_json(&p, true));
	e = json_object_get(json_object_get(o, "enrolment"), "error");
	assert_string_equal(text_at(o, "enrolment", "kind"), "renew");
	assert_string_equal(json_string_value(json_object_get(e, "step")), "trial");
	assert_string_equal(json_string_value(json_object_get(e, "text")), "rolled back: not authorised");
	assert_string_equal(text_at(o, "rotation", "rejected"), "not authorised");
	json_decref(o);
}

/* The journal of a failure outlives the agent, and must not outlive the success that came after it. */
static void what_failed_before_the_start_is_told_until_something_has_succeeded(void **state)
{
	struct tg_picture p = renewing();
	json_t *o;

	(void) state;
	p.keeper.has_journal = true;
	p.keeper.journal = (struct tg_journal) { .step = TG_STEP_CSR,
						 .error_class = TG_ENROL_RETRY,
						 .error_step = TG_STEP_REQUEST,
						 .error_text = "time-out" };
	o = parse(tg_status_json(&p, true));
	assert_true(json_is_object(json_object_get(json_object_get(o, "enrolment"), "error")));
	json_decref(o);
	p.keeper.last = (struct tg_keeper_attempt) { .number = 1, .class = TG_ENROL_OK };
	o = parse(tg_status_json(&p, true));
	assert_true(json_is_null(json_object_get(json_object_get(o, "enrolment"), "error")));
	json_decref(o);
}

static void a_request_that_waits_for_approval_is_no_error(void **state)
{
	struct tg_picture p = renewing();
	char line[200];
	json_t *o, *e;

	(void) state;
	p.keeper.state = TG_KEEPER_PENDING;
	p.keeper.asked = 2;
	p.keeper.asked_text = "an officer looks at it";
	p.keeper.last = (struct tg_keeper_attempt) { .number = 1, .class = TG_ENROL_PENDING, .text = "202" };
	o = parse(tg_status_json(&p, true));
	e = json_object_get(o, "enrolment");
	assert_string_equal(text_at(o, "enrolment", "state"), "pending");
	assert_true(json_is_null(json_object_get(e, "error")));
	assert_string_equal(text_at(e, "pending", "text"), "an officer looks at it");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(e, "pending"), "asked")), 2);
	json_decref(o);
	tg_status_line(&p, line, sizeof(line));
	assert_ptr_equal(strstr(line, "enrolled, the renewal waits for approval; "), line);
	/* Of a start before this one. */
	p.keeper.last.number = 0;
	p.keeper.has_journal = true;
	p.keeper.journal = (struct tg_journal) { .step = TG_STEP_CSR, .error_class = TG_ENROL_PENDING };
	o = parse(tg_status_json(&p, true));
	assert_true(json_is_null(json_object_get(json_object_get(o, "enrolment"), "error")));
	json_decref(o);
}

static void what_is_done_by_hand_is_said_to_be(void **state)
{
	struct tg_picture p = renewing();
	char line[200];
	json_t *o;

	(void) state;
	p.keeper.by_hand = true;
	p.keeper.state = TG_KEEPER_HOLDING;
	o = parse(tg_status_json(&p, true));
	assert_true(json_is_true(json_object_get(json_object_get(o, "enrolment"), "by_hand")));
	assert_true(json_is_null(json_object_get(json_object_get(o, "enrolment"), "pending")));
	json_decref(o);
	tg_status_line(&p, line, sizeof(line));
	assert_ptr_equal(strstr(line, "enrolled, to be renewed by hand; "), line);
}

static void a_claim_that_stays_is_told(void **state)
{
	static const struct tg_claim still = { .state = TG_CLAIM_STILL, .error = "read-only file system" };
	struct tg_picture p = renewing();
	json_t *o;

	(void) state;
	p.claim = &still;
	o = parse(tg_status_json(&p, true));
	assert_string_equal(text_at(o, "claim", "state"), "still present");
	assert_string_equal(text_at(o, "claim", "error"), "read-only file system");
	json_decref(o);
}

static void the_brief_form_names_the_ill_among_many(void **state)
{
	struct tg_picture p = picture(MANY);
	tg_autofree char *text = NULL;
	json_t *o, *list;

	(void) state;
	states[250].health = TG_DEVICE_DEAD;
	text = tg_status_json(&p, true);
	assert_non_null(text);
	assert_null(strstr(text, "/etc/tidegate"));
	o = json_loads(text, 0, NULL);
	list = json_object_get(o, "devices");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "name")), "device250");
	assert_int_equal(json_integer_value(json_object_get(o, "devices_ok")), MANY - 1);
	json_decref(o);
}

static void the_brief_form_is_bounded_when_all_are_ill(void **state)
{
	struct tg_picture p = picture(MANY);
	json_t *o;

	(void) state;
	for (size_t i = 0; i < MANY; i++)
		states[i].health = TG_DEVICE_DEAD;
	o = parse(tg_status_json(&p, true));
	assert_int_equal(json_array_size(json_object_get(o, "devices")), TG_STATUS_DEVICES);
	json_decref(o);
}

static void whom_the_broker_must_lead_to_is_named(void **state)
{
	struct tg_config cfg = { 0 };
	struct tg_picture p = picture(0);
	json_t *o, *trust;

	(void) state;
	cfg = *p.cfg;
	cfg.mqtt.ca = (char *) "/etc/tidegate/broker-ca.pem";
	cfg.mqtt.ca_from_enrolment = true;
	p.cfg = &cfg;
	p.link.trust = (struct tg_link_trust){
		.from_enrolment = true,
		.n = TG_LINK_TRUST_NAMES + 1,
		.anchors = { { "CN=Plant Root", 1795219200 }, { "CN=Plant Root G2", 1895219200 } },
	};
	o = parse(tg_status_json(&p, false));
	trust = json_object_get(json_object_get(o, "link"), "trust");
	assert_string_equal(json_string_value(json_object_get(trust, "ca")), cfg.mqtt.ca);
	assert_true(json_is_true(json_object_get(trust, "from_enrolment")));
	assert_int_equal(json_integer_value(json_object_get(trust, "anchors_total")),
			 TG_LINK_TRUST_NAMES + 1);
	assert_int_equal(json_array_size(json_object_get(trust, "anchors")), TG_LINK_TRUST_NAMES);
	assert_true(json_is_null(json_object_get(trust, "error")));
	json_decref(o);
	/* What goes to the broker names no path of the machine. */
	o = parse(tg_status_json(&p, true));
	assert_null(json_object_get(json_object_get(json_object_get(o, "link"), "trust"), "ca"));
	json_decref(o);
	p.link.trust = (struct tg_link_trust){ .from_enrolment = true, .problem = "it came without" };
	o = parse(tg_status_identity_json(&p));
	assert_string_equal(text_at(o, "trust", "error"), "it came without");
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_is_there_before_anything_is_known),
		cmocka_unit_test(a_missing_tpm_and_a_broken_link_say_why),
		cmocka_unit_test(a_failed_step_of_enrolment_is_named_and_the_token_is_not),
		cmocka_unit_test(the_next_renewal_has_time_and_reason),
		cmocka_unit_test(state_and_certificate_are_of_the_identity_that_the_session_uses),
		cmocka_unit_test(an_expired_and_refused_certificate_is_called_so),
		cmocka_unit_test(the_clock_says_what_it_goes_by),
		cmocka_unit_test(a_repaired_clock_dates_what_went_out_undated),
		cmocka_unit_test(the_line_for_systemd_begins_with_what_is_wrong_with_the_identity),
		cmocka_unit_test(the_line_for_systemd_names_what_is_wrong_with_which_part),
		cmocka_unit_test(the_line_for_systemd_says_why_there_is_no_session),
		cmocka_unit_test(a_certificate_that_the_broker_refused_fails_the_trial),
		cmocka_unit_test(what_failed_before_the_start_is_told_until_something_has_succeeded),
		cmocka_unit_test(a_request_that_waits_for_approval_is_no_error),
		cmocka_unit_test(what_is_done_by_hand_is_said_to_be),
		cmocka_unit_test(a_claim_that_stays_is_told),
		cmocka_unit_test(whom_the_broker_must_lead_to_is_named),
		cmocka_unit_test(the_brief_form_names_the_ill_among_many),
		cmocka_unit_test(the_brief_form_is_bounded_when_all_are_ill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
