/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/rtu_frame.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static const struct tg_modbus_request two_holding = {
	.unit = 17, .function = TG_MODBUS_READ_HOLDING, .address = 107, .count = 2
};

struct stream {
	uint8_t bytes[TG_MODBUS_RTU_MAX * 2];
	size_t len;
};

static void add(struct stream *s, const uint8_t *bytes, size_t len)
{
	memcpy(s->bytes + s->len, bytes, len);
	s->len += len;
}

/* A frame of unit and PDU, with its checksum. */
static void add_frame(struct stream *s, uint8_t unit, const uint8_t *pdu, size_t len)
{
	uint8_t *frame = s->bytes + s->len;
	unsigned crc;

	frame[0] = unit;
	memcpy(frame + 1, pdu, len);
	crc = tg_modbus_crc(frame, len + 1);
	frame[len + 1] = (uint8_t) crc;
	frame[len + 2] = (uint8_t) (crc >> 8);
	s->len += len + 3;
}

static const uint8_t right[] = { 3, 4, 0x12, 0x34, 0x56, 0x78 };

static void the_checksum_is_that_of_the_standard(void **state)
{
	/* Section 6.2.2 of the serial line guide, and the example that every vendor prints. */
	static const uint8_t guide[] = { 0x02, 0x07 };
	static const uint8_t read_three[] = { 0x11, 0x03, 0x00, 0x6b, 0x00, 0x03 };

	(void) state;
	assert_int_equal(tg_modbus_crc(guide, sizeof(guide)), 0x1241);
	assert_int_equal(tg_modbus_crc(read_three, sizeof(read_three)), 0x8776);
	assert_int_equal(tg_modbus_crc(guide, 0), 0xffff);
	assert_int_equal(tg_modbus_crc((const uint8_t *) "123456789", 9), 0x4b37);
}

static void requests_are_framed_as_the_standard_has_them(void **state)
{
	static const uint8_t read_three[] = { 0x11, 0x03, 0x00, 0x6b, 0x00, 0x03, 0x76, 0x87 };
	static const uint8_t write_coil[] = { 0x11, 0x05, 0x00, 0xac, 0xff, 0x00, 0x4e, 0x8b };
	static const uint8_t write_two[] = { 0x11, 0x10, 0x00, 0x01, 0x00, 0x02, 0x04,
					     0x00, 0x0a, 0x01, 0x02, 0xc6, 0xf0 };
	static const uint8_t on = 1, two[] = { 0x00, 0x0a, 0x01, 0x02 };
	struct tg_modbus_request q = {
		.unit = 17, .function = TG_MODBUS_READ_HOLDING, .address = 0x6b, .count = 3
	};
	uint8_t out[TG_MODBUS_RTU_MAX];

	(void) state;
	assert_int_equal(tg_modbus_rtu_request(&q, out), sizeof(read_three));
	assert_memory_equal(out, read_three, sizeof(read_three));
	assert_int_equal(tg_modbus_rtu_answer_len(&q), 11);

	q = (struct tg_modbus_request){ .unit = 17,
					.function = TG_MODBUS_WRITE_COIL,
					.address = 0xac,
					.count = 1,
					.data = &on };
	assert_int_equal(tg_modbus_rtu_request(&q, out), sizeof(write_coil));
	assert_memory_equal(out, write_coil, sizeof(write_coil));

	q = (struct tg_modbus_request){ .unit = 17,
					.function = TG_MODBUS_WRITE_REGISTERS,
					.address = 1,
					.count = 2,
					.data = two };
	assert_int_equal(tg_modbus_rtu_request(&q, out), sizeof(write_two));
	assert_memory_equal(out, write_two, sizeof(write_two));
	assert_int_equal(tg_modbus_rtu_answer_len(&q), 8);
}

static void assert_found(const struct stream *s, size_t at, size_t len)
{
	size_t got_at = 0, got_len = 0;

	assert_int_equal(
		tg_modbus_rtu_find(&two_holding, s->bytes, s->len, false, &got_at, &got_len),
		TG_RTU_FOUND);
	assert_int_equal(got_at, at);
	assert_int_equal(got_len, len);
}

static void an_answer_is_found_once_its_last_byte_is_there(void **state)
{
	struct stream s = { 0 };
	size_t at, len;

	(void) state;
	add_frame(&s, 17, right, sizeof(right));
	for (size_t n = 0; n < s.len; n++) {
		assert_int_equal(tg_modbus_rtu_find(&two_holding, s.bytes, n, false, &at, &len),
				 TG_RTU_MORE);
		assert_int_equal(tg_modbus_rtu_find(&two_holding, s.bytes, n, true, &at, &len),
				 TG_RTU_NONE);
		assert_true(tg_modbus_rtu_is_promising(&two_holding, s.bytes, n));
	}
	assert_found(&s, 0, s.len);
	/* What follows it is of no interest. */
	add(&s, right, sizeof(right));
	assert_found(&s, 0, 9);
}

static void an_answer_is_found_behind_noise_echoes_and_strangers(void **state)
{
	static const uint8_t noise[] = { 0x00, 0xff, 0x11, 0x03 };
	uint8_t own[TG_MODBUS_RTU_MAX];
	struct stream s = { 0 };
	size_t before;

	(void) state;
	add(&s, noise, 2);
	add_frame(&s, 17, right, sizeof(right));
	assert_found(&s, 2, 9);

	/* Noise that looks like the beginning of the answer. */
	s.len = 0;
	add(&s, noise, sizeof(noise));
	add_frame(&s, 17, right, sizeof(right));
	assert_found(&s, 4, 9);

	s.len = 0;
	add(&s, own, tg_modbus_rtu_request(&two_holding, own));
	add_frame(&s, 18, right, sizeof(right));
	before = s.len;
	add_frame(&s, 17, right, sizeof(right));
	assert_found(&s, before, 9);
}

static void what_stands_inside_an_answer_is_not_taken_for_one(void **state)
{
	/* The registers hold, of all things, an exception frame of this very unit. */
	struct tg_modbus_request q = { .unit = 17, .function = TG_MODBUS_READ_HOLDING, .count = 3 };
	struct stream inner = { 0 }, s = { 0 };
	uint8_t pdu[8] = { 3, 6 };
	static const uint8_t exception[] = { 0x83, 2 };
	size_t at = 9, len = 0;

	(void) state;
	add_frame(&inner, 17, exception, sizeof(exception));
	memcpy(pdu + 2, inner.bytes, 5);
	add_frame(&s, 17, pdu, sizeof(pdu));
	assert_int_equal(tg_modbus_rtu_find(&q, s.bytes, s.len - 1, false, &at, &len), TG_RTU_MORE);
	assert_int_equal(tg_modbus_rtu_find(&q, s.bytes, s.len, false, &at, &len), TG_RTU_FOUND);
	assert_int_equal(at, 0);
	assert_int_equal(len, 11);
}

static void an_exception_is_an_answer(void **state)
{
	static const uint8_t exception[] = { 0x83, 2 };
	struct stream s = { 0 };

	(void) state;
	add_frame(&s, 17, exception, sizeof(exception));
	assert_found(&s, 0, 5);
}

static void assert_judged(const struct stream *s, int r, const char *words)
{
	struct tg_fault fault = { 0 };
	size_t at, len;

	assert_int_equal(tg_modbus_rtu_find(&two_holding, s->bytes, s->len, true, &at, &len),
			 TG_RTU_NONE);
	assert_int_equal(tg_modbus_rtu_judge(&two_holding, s->bytes, s->len, &fault), r);
	if (!strstr(fault.text, words))
		fail_msg("'%s' does not say '%s'", fault.text, words);
}

static void what_is_no_answer_is_told_in_words(void **state)
{
	static const uint8_t four[] = { 4, 4, 1, 2, 3, 4 }, short_count[] = { 3, 2, 1, 2 };
	static const uint8_t unheard[] = { 0x2b, 1, 2, 3 }, noise[] = { 0x55, 0xaa, 0x55 };
	uint8_t own[TG_MODBUS_RTU_MAX];
	struct stream s = { 0 };

	(void) state;
	add_frame(&s, 18, right, sizeof(right));
	assert_judged(&s, -EAGAIN, "from unit 18, asked 17");
	s.len = 0;
	add_frame(&s, 17, four, sizeof(four));
	assert_judged(&s, -EAGAIN, "function 4, asked for 3");
	s.len = 0;
	add_frame(&s, 17, unheard, sizeof(unheard));
	assert_judged(&s, -EAGAIN, "function 43, asked for 3");
	s.len = 0;
	add(&s, own, tg_modbus_rtu_request(&two_holding, own));
	assert_judged(&s, -EAGAIN, "own request came back");
	s.len = 0;
	add_frame(&s, 17, short_count, sizeof(short_count));
	assert_judged(&s, -EPROTO, "byte count 2, not 4");
	s.len = 0;
	add_frame(&s, 17, right, sizeof(right));
	s.len -= 3;
	assert_judged(&s, -EPROTO, "only 6 of 9 bytes");
	s.len += 3;
	s.bytes[4] ^= 0x10;
	assert_judged(&s, -EBADMSG, "checksum wrong in 9 bytes");
	s.len = 0;
	add(&s, noise, sizeof(noise));
	assert_judged(&s, -EBADMSG, "3 bytes that are no frame");
}

/* Every single flipped bit is found out, wherever it is. */
static void no_flipped_bit_passes(void **state)
{
	struct stream s = { 0 };
	size_t at, len;

	(void) state;
	add_frame(&s, 17, right, sizeof(right));
	for (size_t bit = 0; bit < 8 * s.len; bit++) {
		s.bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
		assert_int_equal(tg_modbus_rtu_find(&two_holding, s.bytes, s.len, true, &at, &len),
				 TG_RTU_NONE);
		s.bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
	}
}

static void writes_are_confirmed_by_place_and_value(void **state)
{
	static const uint8_t value[] = { 0x01, 0x02 };
	const struct tg_modbus_request q = { .unit = 17,
					     .function = TG_MODBUS_WRITE_REGISTER,
					     .address = 5,
					     .count = 1,
					     .data = value };
	static const uint8_t yes[] = { 6, 0, 5, 1, 2 }, elsewhere[] = { 6, 0, 6, 1, 2 },
			     other[] = { 6, 0, 5, 1, 3 };
	struct tg_fault fault = { 0 };
	const uint8_t *data;

	(void) state;
	assert_int_equal(tg_modbus_pdu_answer(&q, yes, sizeof(yes), &data, NULL), 0);
	assert_int_equal(tg_modbus_pdu_answer(&q, elsewhere, sizeof(elsewhere), &data, &fault),
			 -EPROTO);
	assert_non_null(strstr(fault.text, "confirms address 6, not 5"));
	assert_int_equal(tg_modbus_pdu_answer(&q, other, sizeof(other), &data, &fault), -EPROTO);
	assert_non_null(strstr(fault.text, "confirms the value 259, not 258"));
	assert_int_equal(tg_modbus_pdu_answer(&q, yes, 4, &data, NULL), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checksum_is_that_of_the_standard),
		cmocka_unit_test(requests_are_framed_as_the_standard_has_them),
		cmocka_unit_test(an_answer_is_found_once_its_last_byte_is_there),
		cmocka_unit_test(an_answer_is_found_behind_noise_echoes_and_strangers),
		cmocka_unit_test(what_stands_inside_an_answer_is_not_taken_for_one),
		cmocka_unit_test(an_exception_is_an_answer),
		cmocka_unit_test(what_is_no_answer_is_told_in_words),
		cmocka_unit_test(no_flipped_bit_passes),
		cmocka_unit_test(writes_are_confirmed_by_place_and_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
