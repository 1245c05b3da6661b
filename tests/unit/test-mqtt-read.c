/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/mqtt_read.h"

#include "tests/unit/test.h"

#include <string.h>

static struct tg_mqtt_read parsed(const char *text)
{
	struct tg_mqtt_read read;
	struct tg_fault why;

	if (tg_mqtt_read_parse(text, &read, &why) < 0)
		fail_msg("%s: %s", text, why.text);
	return read;
}

static void refused(const char *text, const char *word)
{
	struct tg_mqtt_read read = { .level = 77 };
	struct tg_fault why = { 0 };

	if (tg_mqtt_read_parse(text, &read, &why) >= 0)
		fail_msg("'%s' is accepted", text);
	if (!strstr(why.text, word))
		fail_msg("'%s': '%s' says nothing of '%s'", text, why.text, word);
	assert_int_equal(read.level, 77);
}

static void members_payloads_and_levels_are_read(void **state)
{
	struct tg_mqtt_read r = parsed("/ENERGY/Power");

	(void) state;
	assert_true(r.source == TG_MQTT_POINTER && tg_slice_is(&r.pointer, "/ENERGY/Power"));
	assert_false(r.form.given);
	r = parsed("\"/two words\" number topic=\"zigbee2mqtt/Living Room\"");
	assert_true(tg_slice_is(&r.pointer, "/two words") && r.form.kind == TG_TEXT_NUMBER);
	assert_true(tg_slice_is(&r.topic, "zigbee2mqtt/Living Room"));
	assert_true(parsed("document").source == TG_MQTT_POINTER &&
		    parsed("document").pointer.len == 0);
	r = parsed("payload on=open off=closed topic=a/+/b");
	assert_true(r.source == TG_MQTT_PAYLOAD && tg_slice_is(&r.form.on, "open"));
	r = parsed("topic:2");
	assert_true(r.source == TG_MQTT_LEVEL && r.level == 2 && r.form.kind == TG_TEXT_AS_IS);
	assert_int_equal(parsed("topic:2 number").form.kind, TG_TEXT_NUMBER);
}

static void what_is_wrong_is_named(void **state)
{
	(void) state;
	refused("", "missing");
	refused("paylod", "did you mean 'payload'");
	refused("temperature", "JSON pointer, as /temperature");
	refused("/a~2", "~0");
	refused("/a~", "~0");
	refused("topic:0", "from 1");
	refused("topic:33", "from 1 to 32");
	refused("payload topic=a/#/b", "'#'");
	refused("payload topic=a+", "'+'");
	refused("payload topic=a topic=b", "once");
	refused("payload on=a", "together");
	refused("payload celsius", "no place");
	refused("payload text number", "exclude");
}

static void filters_have_wildcards_that_stand_alone(void **state)
{
	static const char *const good[] = {
		"#", "+", "a", "/", "+/+/#", "a/+", "$SYS/broker/load", "a b/#"
	};
	static const char *const bad[] = { "", "#/a", "a#", "a/b#", "+a", "a/+b/c", "a\n", "\xff" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(good); i++) {
		if (tg_mqtt_filter_check(good[i], strlen(good[i]), NULL) < 0)
			fail_msg("'%s' is refused", good[i]);
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
		if (tg_mqtt_filter_check(bad[i], strlen(bad[i]), NULL) >= 0)
			fail_msg("'%s' is accepted", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_payloads_and_levels_are_read),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(filters_have_wildcards_that_stand_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
