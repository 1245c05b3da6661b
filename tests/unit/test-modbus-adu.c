/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/tcp_frame.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

static const struct tg_modbus_request two_holding = {
	.transaction = 0x1234, .unit = 17, .function = TG_MODBUS_READ_HOLDING, .address = 0x0100, .count = 2
};
static const uint8_t good[] = { 0x12, 0x34, 0, 0, 0, 7, 17, 3, 4, 0xaa, 0xbb, 0xcc, 0xdd };

static void a_read_request_is_framed_as_the_standard_has_it(void **state)
{
	static const uint8_t want[] = { 0x12, 0x34, 0, 0, 0, 6, 17, 3, 1, 0, 0, 2 };
	uint8_t out[TG_MODBUS_TCP_REQUEST_MAX];
	struct tg_modbus_request q = two_holding;

	(void) state;
	tg_modbus_tcp_request(&q, out);
	assert_memory_equal(out, want, sizeof(want));
	q.function = TG_MODBUS_READ_INPUT;
	tg_modbus_tcp_request(&q, out);
	assert_int_equal(out[7], 4);
	q.function = TG_MODBUS_READ_COILS;
	tg_modbus_tcp_request(&q, out);
	assert_int_equal(out[7], 1);
	q.function = TG_MODBUS_READ_DISCRETE;
	tg_modbus_tcp_request(&q, out);
	assert_int_equal(out[7], 2);
}

static void the_right_answer_gives_its_data(void **state)
{
	const uint8_t *data = NULL;

	(void) state;
	assert_int_equal(tg_modbus_tcp_answer(&two_holding, good, sizeof(good), &data, NULL), 0);
	assert_ptr_equal(data, good + 9);
}

static void bits_come_eight_to_a_byte(void **state)
{
	struct tg_modbus_request q = {
		.transaction = 1, .unit = 1, .function = TG_MODBUS_READ_COILS, .count = 9
	};
	static const uint8_t answer[] = { 0, 1, 0, 0, 0, 5, 1, 1, 2, 0xff, 1 };
	const uint8_t *data = NULL;

	(void) state;
	assert_int_equal(tg_modbus_data_len(&q), 2);
	assert_int_equal(tg_modbus_tcp_answer(&q, answer, sizeof(answer), &data, NULL), 0);
	q.count = 17;
	assert_int_equal(tg_modbus_tcp_answer(&q, answer, sizeof(answer), &data, NULL), -EPROTO);
}

static void an_exception_gives_its_code(void **state)
{
	uint8_t answer[] = { 0x12, 0x34, 0, 0, 0, 3, 17, 0x83, 2 };
	const uint8_t *data = NULL;

	(void) state;
	assert_int_equal(tg_modbus_tcp_answer(&two_holding, answer, sizeof(answer), &data, NULL),
			 2);
	assert_null(data);
	answer[8] = 0;
	assert_int_equal(tg_modbus_tcp_answer(&two_holding, answer, sizeof(answer), &data, NULL),
			 -EPROTO);
	answer[8] = 2;
	answer[7] = 0x84; /* of another function */
	assert_int_equal(tg_modbus_tcp_answer(&two_holding, answer, sizeof(answer), &data, NULL),
			 -EPROTO);
	assert_string_equal(tg_modbus_exception_text(2), "illegal data address");
	assert_string_equal(tg_modbus_exception_text(9), "unknown exception");
	assert_string_equal(tg_modbus_exception_text(255), "unknown exception");
	assert_string_equal(tg_modbus_exception_text(-1), "unknown exception");
}

/* Every byte but the data counts: changed in any way, the answer is none. */
static void any_change_of_the_frame_is_refused(void **state)
{
	const uint8_t *data = NULL;

	(void) state;
	for (size_t i = 0; i < 9; i++) {
		for (unsigned change = 1; change < 256; change++) {
			uint8_t answer[sizeof(good)];

			memcpy(answer, good, sizeof(good));
			answer[i] ^= (uint8_t) change;
			if (tg_modbus_tcp_answer(&two_holding, answer, sizeof(answer), &data,
						 NULL) != -EPROTO)
				fail_msg("byte %zu ^ %02x was accepted", i, change);
		}
	}
	assert_null(data);
}

static void any_other_length_is_refused(void **state)
{
	uint8_t answer[sizeof(good) + 20] = { 0 };
	const uint8_t *data = NULL;

	(void) state;
	memcpy(answer, good, sizeof(good));
	for (size_t len = 0; len <= sizeof(answer); len++) {
		if (len != sizeof(good))
			assert_int_equal(
				tg_modbus_tcp_answer(&two_holding, answer, len, &data, NULL),
				-EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_request_is_framed_as_the_standard_has_it),
		cmocka_unit_test(the_right_answer_gives_its_data),
		cmocka_unit_test(bits_come_eight_to_a_byte),
		cmocka_unit_test(an_exception_gives_its_code),
		cmocka_unit_test(any_change_of_the_frame_is_refused),
		cmocka_unit_test(any_other_length_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
