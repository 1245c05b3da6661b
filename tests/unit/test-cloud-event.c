/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mqtt/cloud_event.h"

#include "json/json.h"
#include "tests/unit/test.h"

#include <string.h>

#define NOON INT64_C(1795261743000000)

static void is_one_line(const struct tg_cloud_event *e, const char *expected)
{
	tg_autofree char *json = tg_cloud_event_json(e);

	assert_string_equal(json, expected);
}

static void each_has_its_members_and_no_others(void **state)
{
	struct tg_cloud_event e = { .gateway = "gw-1",
				    .wall_us = NOON,
				    .packs = 3,
				    .total = 40,
				    .since_s = 61,
				    .rescued = 90,
				    .lost = 10,
				    .device = "boiler",
				    .file = "spool.bad-1",
				    .client_id = "c-1",
				    .reason = "because",
				    .seq = 77,
				    .count = 2 };

	(void) state;
	e.news = TG_CLOUD_READINGS_DROPPED;
	is_one_line(&e, "{\"event\":\"readings-dropped\",\"id\":\"gw-1\",\"time\":\"2026-11-21T11:49:03Z\","
			"\"packs\":3,\"total\":40,\"since_s\":61}");
	e.news = TG_CLOUD_PACK_SET_ASIDE;
	is_one_line(&e, "{\"event\":\"pack-set-aside\",\"id\":\"gw-1\",\"time\":\"2026-11-21T11:49:03Z\","
			"\"packs\":3,\"total\":40,\"device\":\"boiler\",\"seq\":77}");
	e.news = TG_CLOUD_DEVICE_REFUSED;
	is_one_line(&e, "{\"event\":\"device-refused\",\"id\":\"gw-1\",\"time\":\"2026-11-21T11:49:03Z\","
			"\"device\":\"boiler\",\"count\":2}");
	e.news = TG_CLOUD_SPOOL_DAMAGED;
	is_one_line(&e, "{\"event\":\"spool-damaged\",\"id\":\"gw-1\",\"time\":\"2026-11-21T11:49:03Z\","
			"\"rescued\":90,\"lost\":10,\"file\":\"spool.bad-1\"}");
	e.news = TG_CLOUD_SPOOL_FAILED;
	is_one_line(&e, "{\"event\":\"spool-failed\",\"id\":\"gw-1\",\"time\":\"2026-11-21T11:49:03Z\","
			"\"since_s\":61,\"reason\":\"because\"}");
	e.news = TG_CLOUD_CLIENT_ID_TAKEN;
	is_one_line(&e, "{\"event\":\"client-id-taken\",\"id\":\"gw-1\",\"time\":\"2026-11-21T11:49:03Z\","
			"\"client_id\":\"c-1\",\"reason\":\"because\"}");
	e.news = TG_CLOUD_READINGS_REFUSED;
	is_one_line(&e, "{\"event\":\"readings-refused\",\"id\":\"gw-1\",\"time\":\"2026-11-21T11:49:03Z\","
			"\"client_id\":\"c-1\",\"reason\":\"because\"}");
}

static void what_is_not_known_is_null(void **state)
{
	(void) state;
	is_one_line(&(struct tg_cloud_event){ .news = TG_CLOUD_SPOOL_FAILED, .gateway = "" },
		    "{\"event\":\"spool-failed\",\"id\":null,\"time\":null,\"since_s\":0,\"reason\":null}");
}

static void words_of_a_peer_are_cut_and_quoted(void **state)
{
	tg_cleanup(tg_json_freep) struct json_t *doc = NULL;
	tg_autofree char *json = NULL;
	char reason[2048];

	(void) state;
	memset(reason, '"', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	reason[3] = '\n';
	json = tg_cloud_event_json(&(struct tg_cloud_event){
		.news = TG_CLOUD_CLIENT_ID_TAKEN, .gateway = "gw", .client_id = reason, .reason = reason });
	assert_non_null(json);
	assert_true(strlen(json) < TG_CLOUD_EVENT_MAX);
	assert_null(strchr(json, '\n'));
	assert_int_equal(tg_json_object(json, strlen(json), TG_CLOUD_EVENT_MAX, &doc, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_its_members_and_no_others),
		cmocka_unit_test(what_is_not_known_is_null),
		cmocka_unit_test(words_of_a_peer_are_cut_and_quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
