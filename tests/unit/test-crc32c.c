/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include "tests/unit/test.h"

#include <string.h>

static void gives_what_rfc_3720_says(void **state)
{
	uint8_t bytes[32];

	(void) state;
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(tg_crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(tg_crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	assert_int_equal(tg_crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
}

static void pieces_give_the_same_as_the_whole(void **state)
{
	static const char text[] = "123456789";

	(void) state;
	assert_int_equal(tg_crc32c(0, text, 9), 0xe3069283);
	for (size_t i = 0; i <= 9; i++)
		assert_int_equal(tg_crc32c(tg_crc32c(0, text, i), text + i, 9 - i), 0xe3069283);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_what_rfc_3720_says),
		cmocka_unit_test(pieces_give_the_same_as_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
