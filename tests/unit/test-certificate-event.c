/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/certificate_event.h"

#include "json/json.h"
#include "tests/unit/test.h"

#include <string.h>

static const struct tg_manifest old = { .number = 7,
					.serial = "0A",
					.fingerprint = "ff00",
					.certificate_id = "aa",
					.thing = "gw" },
				new = { .number = 8, .serial = "0B", .fingerprint = "ee" };

static void a_renewal_names_both_certificates(void **state)
{
	tg_autofree char *json = tg_certificate_event_json(&(struct tg_certificate_event){
		TG_CERTIFICATE_RENEWED, "gw-1", INT64_C(1795261743000000), &old, &new, 120000000,
		NULL });

	(void) state;
	assert_string_equal(
		json,
		"{\"event\":\"certificate-renewed\",\"id\":\"gw-1\",\"time\":\"2026-11-21T11:49:03Z\","
		"\"old\":{\"generation\":7,\"serial\":\"0A\",\"fingerprint\":\"ff00\","
		"\"certificate_id\":\"aa\",\"thing\":\"gw\"},"
		"\"new\":{\"generation\":8,\"serial\":\"0B\",\"fingerprint\":\"ee\","
		"\"certificate_id\":null,\"thing\":null},\"probation_s\":120}");
}

static void a_clock_that_is_not_believed_is_not_told(void **state)
{
	tg_autofree char *json = tg_certificate_event_json(&(struct tg_certificate_event){
		TG_CERTIFICATE_RETIRED, "gw", 0, &old, &new, 0, NULL });

	(void) state;
	assert_non_null(strstr(json, "\"event\":\"certificate-retired\""));
	assert_non_null(strstr(json, "\"time\":null"));
	assert_null(strstr(json, "probation"));
	assert_null(strstr(json, "reason"));
}

static void the_longest_of_everything_fits_and_parses(void **state)
{
	struct tg_manifest m = { .number = TG_GENERATION_MAX };
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	tg_autofree char *json = NULL;
	char reason[2048], text[64];

	(void) state;
	memset(reason, '"', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	memset(m.serial, 'F', sizeof(m.serial) - 1);
	memset(m.fingerprint, 'f', sizeof(m.fingerprint) - 1);
	memset(m.certificate_id, '\\', sizeof(m.certificate_id) - 1);
	memset(m.thing, '\\', sizeof(m.thing) - 1);
	json = tg_certificate_event_json(&(struct tg_certificate_event){
		TG_CERTIFICATE_ROLLED_BACK, "gw", 0, &m, &m, 0, reason });
	assert_non_null(json);
	assert_int_equal(
		tg_json_object(json, strlen(json), TG_CERTIFICATE_EVENT_MAX, &doc, NULL), 0);
	assert_int_equal(tg_json_text(doc, "event", text, sizeof(text), NULL), 0);
	assert_string_equal(text, "certificate-rolled-back");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_renewal_names_both_certificates),
		cmocka_unit_test(a_clock_that_is_not_believed_is_not_told),
		cmocka_unit_test(the_longest_of_everything_fits_and_parses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
