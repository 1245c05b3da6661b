/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/command.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NOW (INT64_C(1795256110) * 1000000)

static int parse(const char *json, struct tg_command *c, struct tg_fault *why)
{
	memset(why, 0, sizeof(*why));
	return tg_command_parse("boiler", json, strlen(json), c, why);
}

static void reads_numbers_booleans_and_strings(void **state)
{
	struct tg_command c;
	struct tg_fault why;

	(void) state;
	assert_int_equal(parse("{\"id\":\"a-1\",\"point\":\"setpoint\",\"value\":21.5}", &c, &why),
			 0);
	assert_string_equal(c.id, "a-1");
	assert_string_equal(c.device, "boiler");
	assert_string_equal(c.point, "setpoint");
	assert_int_equal(c.value.value.type, TG_VALUE_REAL);
	assert_true(c.value.value.real == 21.5);
	assert_false(c.expires);
	assert_int_equal(
		parse("{\"value\":-7,\"id\":\"1\",\"point\":\"x\",\"expires\":null}", &c, &why), 0);
	assert_int_equal(c.value.value.type, TG_VALUE_INT);
	assert_int_equal(c.value.value.i, -7);
	assert_false(c.expires);
	assert_int_equal(parse("{\"id\":\"1\",\"point\":\"x\",\"value\":true}", &c, &why), 0);
	assert_true(c.value.value.type == TG_VALUE_BOOL && c.value.value.b);
	assert_int_equal(
		parse("{\"id\":\"1\",\"point\":\"x\",\"value\":\"auto \xc3\xa9\"}", &c, &why), 0);
	assert_string_equal(tg_kept_view(&c.value).text, "auto \xc3\xa9");
}

static void reads_when_it_expires(void **state)
{
	struct tg_command c;
	struct tg_fault why;

	(void) state;
	assert_int_equal(parse("{\"id\":\"1\",\"point\":\"x\",\"value\":1,\"expires\":\"2026-11-"
			       "21T11:15:10+01:00\"}",
			       &c, &why),
			 0);
	assert_true(c.expires && c.expires_us == 1795256110000000);
	assert_int_equal(parse("{\"id\":\"1\",\"point\":\"x\",\"value\":1,\"expires\":1795256110}",
			       &c, &why),
			 0);
	assert_true(c.expires && c.expires_us == 1795256110000000);
	assert_int_equal(parse("{\"id\":\"1\",\"point\":\"x\",\"value\":1,\"expires\":1795256110."
			       "5}",
			       &c, &why),
			 0);
	assert_true(c.expires && c.expires_us == 1795256110500000);
	/* Milliseconds are a mistake that is made. */
	assert_int_equal(parse("{\"id\":\"1\",\"point\":\"x\",\"value\":1,\"expires\":"
			       "1795256110000}",
			       &c, &why),
			 -EBADMSG);
	assert_non_null(strstr(why.text, "seconds"));
	assert_int_equal(parse("{\"id\":\"1\",\"point\":\"x\",\"value\":1,\"expires\":"
			       "\"tomorrow\"}",
			       &c, &why),
			 -EBADMSG);
	assert_int_equal(
		parse("{\"id\":\"1\",\"point\":\"x\",\"value\":1,\"expires\":-1}", &c, &why),
		-EBADMSG);
	assert_int_equal(
		parse("{\"id\":\"1\",\"point\":\"x\",\"value\":1,\"expires\":true}", &c, &why),
		-EBADMSG);
}

static void says_what_is_wrong_and_keeps_the_id_to_answer_to(void **state)
{
	static const struct {
		const char *json, *id, *says;
	} bad[] = {
		{ "", "", "not JSON" },
		{ "on", "", "not JSON" },
		{ "[1]", "", "not a JSON object" },
		{ "{\"id\":\"1\"", "", "not JSON" },
		{ "{\"id\":\"1\",\"id\":\"2\",\"point\":\"x\",\"value\":1}", "", "not JSON" },
		{ "{\"point\":\"x\",\"value\":1}", "", "\"id\" is missing" },
		{ "{\"id\":7,\"point\":\"x\",\"value\":1}", "", "\"id\" is not a string" },
		{ "{\"id\":\"\",\"point\":\"x\",\"value\":1}", "", "\"id\" is empty" },
		{ "{\"id\":\"a\\tb\",\"point\":\"x\",\"value\":1}", "", "control character" },
		{ "{\"id\":\"1\",\"value\":1}", "1", "\"point\" is missing" },
		{ "{\"id\":\"1\",\"point\":\"x\"}", "1", "\"value\" is missing" },
		{ "{\"id\":\"1\",\"point\":\"x\",\"value\":null}", "1", "\"value\" is missing" },
		{ "{\"id\":\"1\",\"point\":\"x\",\"value\":[1]}", "1", "\"value\" is not" },
		{ "{\"id\":\"1\",\"point\":\"x\",\"value\":1e999}", "", "not JSON" },
		{ "{\"id\":\"1\",\"point\":\"x\",\"value\":99999999999999999999}", "", "not JSON" },
		{ "{\"id\":\"1\",\"point\":\"x\",\"value\":1,\"expire\":5}", "1",
		  "no member \"expire\"" },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
		struct tg_command c;
		struct tg_fault why;

		if (parse(bad[i].json, &c, &why) != -EBADMSG || strcmp(c.id, bad[i].id) != 0 ||
		    !strstr(why.text, bad[i].says))
			fail_msg("%s: id '%s', '%s'", bad[i].json, c.id, why.text);
	}
}

static void bounds_hold(void **state)
{
	char json[TG_COMMAND_JSON_MAX + 100], id[80];
	struct tg_command c;
	struct tg_fault why;

	(void) state;
	memset(id, 'a', sizeof(id));
	(void) snprintf(json, sizeof(json), "{\"id\":\"%.64s\",\"point\":\"x\",\"value\":1}", id);
	assert_int_equal(parse(json, &c, &why), 0);
	(void) snprintf(json, sizeof(json), "{\"id\":\"%.65s\",\"point\":\"x\",\"value\":1}", id);
	assert_int_equal(parse(json, &c, &why), -EBADMSG);
	(void) snprintf(json, sizeof(json), "{\"id\":\"1\",\"point\":\"x\",\"value\":1}%*s",
			TG_COMMAND_JSON_MAX, "");
	assert_int_equal(parse(json, &c, &why), -EFBIG);
	(void) snprintf(json, sizeof(json), "{\"id\":\"1\",\"point\":\"x\",\"value\":\"%0257d\"}",
			0);
	assert_int_equal(parse(json, &c, &why), -EBADMSG);
}

static void expiry_is_judged_by_a_clock_that_can_be_believed(void **state)
{
	struct tg_command c = { .expires = true, .expires_us = NOW };
	struct tg_command_clock clock = { .wall_us = NOW - 1, .trust = TG_CLOCK_SYNCHRONISED };
	struct tg_fault why;

	(void) state;
	assert_int_equal(tg_command_in_time(&c, &clock, &why), 0);
	clock.wall_us = NOW;
	assert_int_equal(tg_command_in_time(&c, &clock, &why), -ETIME);
	assert_non_null(strstr(why.text, "2026-11-21T10:15:10Z"));
	clock = (struct tg_command_clock){ .wall_us = 5,
					   .floor_us = NOW - 1,
					   .trust = TG_CLOCK_SUSPECT };
	assert_int_equal(tg_command_in_time(&c, &clock, &why), -EAGAIN);
	/* What has certainly passed needs no clock. */
	clock.floor_us = NOW;
	assert_int_equal(tg_command_in_time(&c, &clock, &why), -ETIME);
	c.expires = false;
	assert_int_equal(tg_command_in_time(&c, &clock, &why), 0);
}

static void the_device_is_in_the_topic(void **state)
{
	static const char filter[] = "tidegate/gw/+/set";
	static const char *const none[] = { "tidegate/gw/set",
					    "tidegate/gw/boiler/set/result",
					    "tidegate/other/boiler/set",
					    "tidegate/gw//set",
					    "tidegate/gw/boi ler/set",
					    "tidegate/gw/$x/set",
					    "tidegate/gw/boiler/get",
					    "x",
					    "" };
	char device[TG_NAME_MAX + 1] = "untouched", topic[200];

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(none); i++)
		assert_int_equal(tg_command_topic_device(filter, none[i], device), -EINVAL);
	assert_string_equal(device, "untouched");
	assert_int_equal(tg_command_topic_device(filter, "tidegate/gw/boiler-2.a_b/set", device),
			 0);
	assert_string_equal(device, "boiler-2.a_b");
	assert_int_equal(tg_command_topic_device("set/+", "set/boiler", device), 0);
	assert_string_equal(device, "boiler");
	(void) snprintf(topic, sizeof(topic), "set/%064d", 0);
	assert_int_equal(tg_command_topic_device("set/+", topic, device), 0);
	(void) snprintf(topic, sizeof(topic), "set/%065d", 0);
	assert_int_equal(tg_command_topic_device("set/+", topic, device), -EINVAL);
	assert_int_equal(tg_command_topic_device("no/plus", "no/plus", device), -EINVAL);
}

static void a_result_is_json_of_six_members(void **state)
{
	const struct tg_command c = { .id = "4\"2", .device = "boiler", .point = "setpoint" };
	tg_autofree char *json = NULL, *other = NULL;
	struct tg_result r;

	(void) state;
	tg_result_init(&r, &c);
	tg_kept_set(&r.value, &(struct tg_value){ .type = TG_VALUE_REAL, .real = 21.5 });
	r.wall_us = NOW;
	json = tg_result_json(&r);
	assert_string_equal(json, "{\"id\":\"4\\\"2\",\"point\":\"setpoint\",\"status\":\"done\","
				  "\"reason\":null,\"value\":21.5,"
				  "\"time\":\"2026-11-21T10:15:10Z\"}");
	tg_result_init(&r, &(const struct tg_command){ .id = "" });
	other = tg_result_json(tg_result_set(&r, TG_COMMAND_REFUSED, "bad \x01 %d", 5));
	assert_string_equal(other, "{\"id\":null,\"point\":null,\"status\":\"refused\",\"reason\":"
				   "\"bad ? 5\",\"value\":null,"
				   "\"time\":null}");
}

static void names_of_statuses_lead_back(void **state)
{
	enum tg_command_status s = TG_COMMAND_DONE;

	(void) state;
	for (int i = TG_COMMAND_DONE; i <= TG_COMMAND_UNKNOWN; i++) {
		assert_int_equal(tg_command_status_find(
					 tg_command_status_name((enum tg_command_status) i), &s),
				 0);
		assert_int_equal(s, i);
	}
	assert_int_equal(tg_command_status_find("maybe", &s), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_numbers_booleans_and_strings),
		cmocka_unit_test(reads_when_it_expires),
		cmocka_unit_test(says_what_is_wrong_and_keeps_the_id_to_answer_to),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(expiry_is_judged_by_a_clock_that_can_be_believed),
		cmocka_unit_test(the_device_is_in_the_topic),
		cmocka_unit_test(a_result_is_json_of_six_members),
		cmocka_unit_test(names_of_statuses_lead_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
