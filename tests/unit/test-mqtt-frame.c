/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/frame.h"
#include "tests/unit/test.h"

#include <tidegate/cleanup.h>

#include <string.h>

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })
#define GREETING   0x20, 2, 0, 0

/* All of @data passes, as it is. */
static bool passes(struct tg_mqtt_frame *f, const uint8_t *data, size_t len)
{
	uint8_t copy[4096];

	assert_in_range(len, 1, sizeof(copy));
	memcpy(copy, data, len);
	return tg_mqtt_frame_pass(f, copy, len) == len && memcmp(copy, data, len) == 0;
}

/* What is made of @data behind a good CONNACK. */
static enum tg_mqtt_frame_fault after_connack(const uint8_t *data, size_t len)
{
	struct tg_mqtt_frame f = { 0 };
	bool good;

	assert_true(passes(&f, BYTES(GREETING)));
	good = passes(&f, data, len);
	assert_int_equal(good, f.fault == TG_MQTT_FRAME_GOOD);
	return f.fault;
}

static void everything_that_a_broker_sends_passes(void **state)
{
	struct tg_mqtt_frame f = { 0 };

	(void) state;
	assert_true(passes(&f, BYTES(GREETING, 0x90, 3, 0, 1, 1, 0x40, 2, 0, 2, 0xd0, 0, /* */
						 0x30, 5, 0, 1, 't', 'h', 'i', 0x3b, 6, 0, 1, 't', 0, 9, 'x', /* */
						 0x34, 5, 0, 1, 't', 0, 1, 0x50, 2, 0, 3, 0x62, 2, 0, 3, /* */
						 0x70, 2, 0, 3, 0xb0, 2, 0, 4, 0x90, 3, 0, 5, 0x80)));
	assert_int_equal(f.packets, 12);
	assert_int_equal(f.left, 0);
}

static void the_largest_packet_passes_whole(void **state)
{
	struct tg_mqtt_frame f = { 0 };
	static const uint8_t body[4096];

	(void) state;
	/* 1048576 = 2^20: three digits hold 21 bits. */
	assert_true(passes(&f, BYTES(GREETING, 0x30, 0x80, 0x80, 0x40)));
	assert_int_equal(f.left, TG_MQTT_PACKET_MAX);
	for (size_t i = 0; i < TG_MQTT_PACKET_MAX; i += sizeof(body))
		assert_true(passes(&f, body, sizeof(body)));
	assert_int_equal(f.left + f.skip, 0);
	assert_true(passes(&f, BYTES(0xd0, 0)));
	assert_int_equal(f.packets, 3);
}

/* What an MQTT client makes of a stream: the length of the second packet, and how many bytes behind it are left over. */
struct seen {
	uint32_t length;
	size_t body, packets;
};

static struct seen cut(const uint8_t *digits, size_t n_digits, uint32_t length)
{
	static const uint8_t greeting[] = { GREETING, 0x30 }, ping[] = { 0xd0, 0 };
	struct tg_mqtt_frame f = { 0 };
	struct seen seen = { 0 };
	uint8_t data[4096];

	assert_true(passes(&f, greeting, sizeof(greeting)));
	memcpy(data, digits, n_digits);
	assert_int_equal(tg_mqtt_frame_pass(&f, data, n_digits), n_digits);
	for (size_t i = 0; i < n_digits; i++) {
		seen.length |= (uint32_t) (data[i] & 127u) << (7 * i);
		assert_int_equal(data[i] >> 7, i + 1 < n_digits);
	}
	for (uint32_t done = 0; done < length;) {
		size_t n = length - done < sizeof(data) ? length - done : sizeof(data);

		memset(data, 'x', n);
		seen.body += tg_mqtt_frame_pass(&f, data, n);
		done += (uint32_t) n;
	}
	assert_true(passes(&f, ping, sizeof(ping)));
	seen.packets = f.packets;
	return seen;
}

static void a_larger_one_is_cut_and_the_next_packet_is_found(void **state)
{
	static const uint32_t lengths[] = { TG_MQTT_PACKET_MAX + 1,
					    (1u << 21) - 1,
					    1u << 21,
					    (1u << 21) + TG_MQTT_CUT_MIN - 1,
					    (1u << 21) + TG_MQTT_CUT_MIN,
					    (1u << 22) - 1,
					    (1u << 28) - 1 };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(lengths); i++) {
		uint8_t digits[4];
		size_t n = 0;
		struct seen seen;

		for (uint32_t rest = lengths[i]; n == 0 || rest; rest >>= 7)
			digits[n++] = (uint8_t) ((rest & 127u) | (rest >> 7 ? 128u : 0));
		seen = cut(digits, n, lengths[i]);
		assert_in_range(seen.length, TG_MQTT_CUT_MIN, TG_MQTT_CUT_MAX);
		assert_true(seen.length <= lengths[i]);
		assert_int_equal(seen.body, seen.length);
		assert_int_equal(seen.packets, 3);
	}
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
	assert_false(passes(&f, BYTES(0x30, 3, 0, 1, 't')));
	assert_int_equal(f.fault, TG_MQTT_FRAME_ORDER);
	assert_non_null(strstr(tg_mqtt_frame_words(&f, words), "CONNACK is not its first packet"));
	assert_int_equal(after_connack(BYTES(GREETING)), TG_MQTT_FRAME_ORDER);
	f = (struct tg_mqtt_frame){ 0 };
	assert_false(passes(&f, BYTES(0x20, 3, 0, 0, 0)));
	assert_int_equal(f.fault, TG_MQTT_FRAME_SIZE);
}

static void a_fault_stays(void **state)
{
	struct tg_mqtt_frame f = { 0 };

	(void) state;
	assert_false(passes(&f, BYTES(0xf0)));
	assert_false(passes(&f, BYTES(GREETING)));
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
		cmocka_unit_test(the_largest_packet_passes_whole),
		cmocka_unit_test(a_larger_one_is_cut_and_the_next_packet_is_found),
		cmocka_unit_test(a_length_of_five_bytes_is_refused_with_the_fourth),
		cmocka_unit_test(kinds_and_flags_that_no_broker_sends_are_refused),
		cmocka_unit_test(lengths_that_a_kind_cannot_have_are_refused),
		cmocka_unit_test(connack_comes_first_and_once),
		cmocka_unit_test(a_fault_stays),
		cmocka_unit_test(each_fault_has_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
