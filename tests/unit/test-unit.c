/* SPDX-License-Identifier: Apache-2.0 */
#include "config/unit.h"

#include "tests/unit/test.h"

#include <tidegate/cleanup.h>

static void registered_units_are_known_by_their_exact_letters(void **state)
{
	static const char *const known[] = { "m",   "Cel", "%RH", "/",     "W/m2", "1/min",
					     "deg", "kWh", "hPa", "ug/m3", "NTU" };
	static const char *const unknown[] = { "",    " ",  "cel", "CEL", "degC", "bar",
					       "rpm", "Kg", "kwh", "°C",  "m/s3" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(known); i++)
		assert_true(tg_unit_known(known[i]));
	for (size_t i = 0; i < TG_ARRAY_SIZE(unknown); i++)
		assert_false(tg_unit_known(unknown[i]));
}

static void common_spellings_lead_to_the_registered_unit(void **state)
{
	(void) state;
	assert_string_equal(tg_unit_suggest("°C"), "Cel");
	assert_string_equal(tg_unit_suggest("Celsius"), "Cel");
	assert_string_equal(tg_unit_suggest("kwh"), "kWh");
	assert_string_equal(tg_unit_suggest("HZ"), "Hz");
	assert_null(tg_unit_suggest("furlong"));
	assert_true(tg_unit_known(tg_unit_suggest("mbar")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registered_units_are_known_by_their_exact_letters),
		cmocka_unit_test(common_spellings_lead_to_the_registered_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
