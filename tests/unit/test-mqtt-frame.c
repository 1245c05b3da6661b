/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/frame.h"
#include "tests/unit/test.h"

#include <tidegate/cleanup.h>

#include <string.h>

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })
#define GREETING   0x20, 2, 0, 0

/* What is made of @data behind a good CONNACK. */
static enum tg_mqtt_frame_fault after_connack(const uint8_t *data, size_t len)
{
	struct tg_mqtt_frame f = { 0 };
	bool good;

	assert_true(tg_mqtt_frame_feed(&f, BYTES(GREETING)));
	good = tg_mqtt_frame_feed(&f, data, len);
	assert_int_equal(good, f.fault == TG_MQTT_FRAME_GOOD);
	return f.fault;
}

static void everything_that_a_broker_sends_passes(void **state)
{
	struct tg_mqtt_frame f = { 0 };

	(void) state;
	assert_true(tg_mqtt_frame_feed(&f, BYTES(GREETING, 0x90, 3, 0, 1, 1, 0x40, 2, 0, 2, 0xd0, 0, /* */
						 0x30, 5, 0, 1, 't', 'h', 'i', 0x3b, 6, 0, 1, 't', 0, 9, 'x', /* */
						 0x34, 5, 0, 1, 't', 0, 1, 0x50, 2, 0, 3, 0x62, 2, 0, 3, /* */
						 0x70, 2, 0, 3, 0xb0, 2, 0, 4, 0x90, 3, 0, 5, 0x80)));
	assert_int_equal(f.packets, 12);
	assert_int_equal(f.left, 0);
}

static void the_largest_packet_passes_and_one_byte_more_does_not(void **state)
{
	struct tg_mqtt_frame f = { 0 };
	static const uint8_t body[4096];

	(void) state;
	/* 1048576 = 2^20: three digits hold 21 bits. */
	assert_true(tg_mqtt_frame_feed(&f, BYTES(GREETING, 0x30, 0x80, 0x80, 0x40)));
	assert_int_equal(f.left, TG_MQTT_PACKET_MAX);
	for (size_t i = 0; i < TG_MQTT_PACKET_MAX; i += sizeof(body))
		assert_true(tg_mqtt_frame_feed(&f, body, sizeof(body)));
	assert_int_equal(f.left, 0);
	assert_true(tg_mqtt_frame_feed(&f, BYTES(0xd0, 0)));
	assert_int_equal(after_connack(BYTES(0x30, 0x81, 0x80, 0x40)), TG_MQTT_FRAME_TOO_LARGE);
}

static void a_packet_of_256_mib_is_refused_with_its_last_byte_of_length(void **state)
{
	struct tg_mqtt_frame f = { 0 };
	char words[TG_MQTT_FRAME_WORDS_MAX];

	(void) state;
	assert_true(tg_mqtt_frame_feed(&f, BYTES(GREETING, 0x30, 0xff, 0xff, 0xff)));
	assert_false(tg_mqtt_frame_feed(&f, BYTES(0x7f)));
	assert_int_equal(f.fault, TG_MQTT_FRAME_TOO_LARGE);
	assert_string_equal(tg_mqtt_frame_words(&f, words),
			    "announced a packet of 268435455 bytes, more than 1048576 are not taken");
}

static void a_length_of_five_bytes_is_refused_with_the_fourth(void **state)
{
	(void) state;
	assert_int_equal(after_connack(BYTES(0x30, 0x80, 0x80, 0x80)), TG_MQTT_FRAME_GOOD);
	assert_int_equal(after_connack(BYTES(0x30, 0x80, 0x80, 0x80, 0x80)), TG_MQTT_FRAME_LENGTH);
	assert_int_equal(after_connack(BYTES(0xd0, 0xff, 0xff, 0xff, 0xff)), TG_MQTT_FRAME_LENGTH);
}

static void kinds_and_flags_that_no_broker_sends_are_refused(void **state)
{
	static const uint8_t bad[] = { 0x00, 0x10, 0x36, 0x3e, 0x41, 0x58, 0x60, 0x63, 0x72,
				       0x82, 0x91, 0xa2, 0xb1, 0xc0, 0xd4, 0xe0, 0xf0 };

	(void) state;
	for (size_t i = 0; i < sizeof(bad); i++)
		assert_int_equal(after_connack(&bad[i], 1), TG_MQTT_FRAME_KIND);
}

static void lengths_that_a_kind_cannot_have_are_refused(void **state)
{
	static const uint8_t bad[][2] = { { 0x30, 0 }, { 0x30, 1 }, { 0x40, 1 }, { 0x40, 3 }, { 0x50, 0 },
					  { 0x62, 3 }, { 0x70, 4 }, { 0x90, 2 }, { 0x90, 4 }, { 0xb0, 3 }, { 0xd0, 1 } };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
		assert_int_equal(after_connack(bad[i], 2), TG_MQTT_FRAME_SIZE);
}

static void connack_comes_first_and_once(void **state)
{
	struct tg_mqtt_frame f = { 0 };
	char words[TG_MQTT_FRAME_WORDS_MAX];

	(void) state;
	assert_false(tg_mqtt_frame_feed(&f, BYTES(0x30, 3, 0, 1, 't')));
	assert_int_equal(f.fault, TG_MQTT_FRAME_ORDER);
	assert_non_null(strstr(tg_mqtt_frame_words(&f, words), "CONNACK is not its first packet"));
	assert_int_equal(after_connack(BYTES(GREETING)), TG_MQTT_FRAME_ORDER);
	f = (struct tg_mqtt_frame){ 0 };
	assert_false(tg_mqtt_frame_feed(&f, BYTES(0x20, 3, 0, 0, 0)));
	assert_int_equal(f.fault, TG_MQTT_FRAME_SIZE);
}

static void a_fault_stays(void **state)
{
	struct tg_mqtt_frame f = { 0 };

	(void) state;
	assert_false(tg_mqtt_frame_feed(&f, BYTES(0xf0)));
	assert_false(tg_mqtt_frame_feed(&f, BYTES(GREETING)));
	assert_int_equal(f.fault, TG_MQTT_FRAME_KIND);
	assert_int_equal(f.first, 0xf0);
	assert_int_equal(f.packets, 0);
}

static void each_fault_has_its_words(void **state)
{
	char words[TG_MQTT_FRAME_WORDS_MAX];

	(void) state;
	for (enum tg_mqtt_frame_fault i = TG_MQTT_FRAME_GOOD; i <= TG_MQTT_FRAME_ORDER; i++) {
		struct tg_mqtt_frame f = { .fault = i, .first = 0x20, .length = UINT32_MAX };

		tg_mqtt_frame_words(&f, words);
		assert_in_range(strlen(words), 10, TG_MQTT_FRAME_WORDS_MAX - 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_that_a_broker_sends_passes),
		cmocka_unit_test(the_largest_packet_passes_and_one_byte_more_does_not),
		cmocka_unit_test(a_packet_of_256_mib_is_refused_with_its_last_byte_of_length),
		cmocka_unit_test(a_length_of_five_bytes_is_refused_with_the_fourth),
		cmocka_unit_test(kinds_and_flags_that_no_broker_sends_are_refused),
		cmocka_unit_test(lengths_that_a_kind_cannot_have_are_refused),
		cmocka_unit_test(connack_comes_first_and_once),
		cmocka_unit_test(a_fault_stays),
		cmocka_unit_test(each_fault_has_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
