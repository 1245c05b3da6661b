/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "tpm/provider-internal.h"

static void from_1_3_on_the_packaged_provider_is_taken(void **state)
{
	static const char *const good[] = { "1.3.0",  "1.3",   "1.3.1-rc2",
					    "1.10.0", "2.0.0", "1.3.0+git1" };
	static const char *const bad[] = { "1.1.1",
					   "1.2.0",
					   "1.2.9",
					   "0.9.3",
					   "1",
					   "",
					   ".",
					   "1.",
					   "x.3",
					   "1.x",
					   "-1.3",
					   "1.-3",
					   "99999999999999999999999999999999.3",
					   "1.2.99999" };

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(good); i++)
		if (!tg_provider_version_ok(good[i]))
			fail_msg("%s refused", good[i]);
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
		if (tg_provider_version_ok(bad[i]))
			fail_msg("%s taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_1_3_on_the_packaged_provider_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
