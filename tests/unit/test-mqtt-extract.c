/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/mqtt/extract.h"

#include "config/bus/mqtt_read.h"
#include "tests/unit/test.h"

#include <string.h>

static struct tg_text_room room;
static struct tg_config_device dev;

/* What a message says to a point with this read. Returns whether it says anything. */
static bool said(const char *read, const char *payload, bool retained, struct tg_sample *ret)
{
	struct tg_config_point point = { .read = (char *) read };
	struct tg_mqtt_message m = { .topic = "zigbee2mqtt/kitchen/lamp",
				     .payload = payload,
				     .len = strlen(payload),
				     .retained = retained,
				     .max = 200 };
	struct tg_fault why;
	bool any;

	*ret = (struct tg_sample){ .quality = TG_STALE, .reason = "" };
	if (tg_mqtt_read_parse(read, &point.mqtt, &why) < 0)
		fail_msg("%s: %s", read, why.text);
	any = tg_mqtt_extract(&dev, &point, &m, &room, ret);
	tg_mqtt_message_done(&m);
	return any;
}

static struct tg_value value(const char *read, const char *payload)
{
	struct tg_sample s;

	if (!said(read, payload, false, &s) || s.quality != TG_GOOD)
		fail_msg("%s of %s: %s", read, payload, s.reason);
	return s.value;
}

static void bad(const char *read, const char *payload, const char *reason)
{
	struct tg_sample s;

	assert_true(said(read, payload, false, &s));
	if (s.quality != TG_BAD || !strstr(s.reason, reason))
		fail_msg("%s of %s: '%s' is not '%s'", read, payload, s.reason, reason);
}

static void members_are_what_json_says(void **state)
{
	const char *doc = "{\"t\":21.5,\"n\":-3,\"on\":true,\"s\":\"21.5\",\"a\":[{\"v\":7}],"
			  "\"none\":null}";

	(void) state;
	assert_true(value("/t", doc).real == 21.5);
	assert_true(value("/n", doc).type == TG_VALUE_INT && value("/n", doc).i == -3);
	assert_true(value("/on", doc).type == TG_VALUE_BOOL && value("/on", doc).b);
	assert_int_equal(value("/on number", doc).i, 1);
	assert_int_equal(value("/s", doc).type, TG_VALUE_TEXT);
	assert_true(value("/s number", doc).real == 21.5);
	assert_int_equal(value("/a/0/v", doc).i, 7);
	bad("/a", doc, "array");
	bad("document", doc, "object");
	bad("/none", doc, "null");
	assert_true(value("document", "21.5").real == 21.5);
}

static void a_member_that_is_not_there_is_no_reading(void **state)
{
	struct tg_sample s;

	(void) state;
	assert_false(said("/humidity", "{\"t\":21.5}", false, &s));
	bad("/humidity", "rubbish", "not JSON");
	bad("/humidity", "", "not JSON");
}

static void bools_have_words(void **state)
{
	(void) state;
	assert_true(value("/state bool", "{\"state\":\"ON\"}").b);
	assert_false(value("/state bool", "{\"state\":0}").b);
	bad("/state bool", "{\"state\":2}", "neither");
	assert_true(value("/state on=OPEN off=SHUT", "{\"state\":\"OPEN\"}").b);
	bad("/state on=OPEN off=SHUT", "{\"state\":\"AJAR\"}", "neither");
	assert_true(value("payload bool", "online").b);
	assert_true(value("/contact on=false off=true", "{\"contact\":false}").b);
}

static void payloads_are_texts(void **state)
{
	(void) state;
	assert_true(value("payload", " 21.5 C").real == 21.5);
	assert_string_equal(value("payload text", "hel\x07lo").text, "hel?lo");
	bad("payload", "21,5", "not a number");
}

static void levels_of_the_topic_count_from_one(void **state)
{
	(void) state;
	assert_string_equal(value("topic:2", "").text, "kitchen");
	assert_string_equal(value("topic:3", "").text, "lamp");
	bad("topic:4", "", "no level 4");
}

static void what_the_broker_kept_is_ignored_taken_or_stale(void **state)
{
	struct tg_sample s;

	(void) state;
	dev.mqtt.retained = TG_MQTT_RETAINED_IGNORE;
	assert_false(said("payload", "1", true, &s));
	assert_true(said("payload", "1", false, &s));
	dev.mqtt.retained = TG_MQTT_RETAINED_STALE;
	assert_true(said("payload", "1", true, &s));
	assert_true(s.quality == TG_STALE && s.value.type == TG_VALUE_NONE && *s.reason);
	dev.mqtt.retained = TG_MQTT_RETAINED_ACCEPT;
	assert_true(said("payload", "1", true, &s) && s.quality == TG_GOOD);
}

static void what_is_too_long_is_not_looked_into(void **state)
{
	char text[300];

	(void) state;
	memset(text, '1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	bad("payload", text, "299 bytes is longer than max-payload");
	bad("/t", text, "longer than max-payload");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_what_json_says),
		cmocka_unit_test(a_member_that_is_not_there_is_no_reading),
		cmocka_unit_test(bools_have_words),
		cmocka_unit_test(payloads_are_texts),
		cmocka_unit_test(levels_of_the_topic_count_from_one),
		cmocka_unit_test(what_the_broker_kept_is_ignored_taken_or_stale),
		cmocka_unit_test(what_is_too_long_is_not_looked_into),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
