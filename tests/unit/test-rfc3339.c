/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rfc3339.h"

#include "base/clock.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <time.h>

static void reads_what_the_standard_shows(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} times[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1985-04-12T23:20:50.52Z", 482196050520000 },
		{ "1996-12-19T16:39:57-08:00", 851042397000000 },
		{ "1990-12-31T23:59:60Z", 662688000000000 },
		{ "1937-01-01T12:00:27.87+00:20", -1 },
		{ "2026-11-21 11:15:10.123456789+01:00", 1795256110123456 },
		{ "2000-02-29t00:00:00z", 951782400000000 },
		{ "2100-03-01T00:00:00Z", 4107542400000000 },
		{ "9999-12-31T23:59:59Z", 253402300799000000 },
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(times); i++) {
		int64_t us = 77;
		int r = tg_rfc3339_parse(times[i].text, &us);

		if (times[i].us < 0 ? r != -EINVAL || us != 77 : r != 0 || us != times[i].us)
			fail_msg("%s: %d, %lld", times[i].text, r, (long long) us);
	}
}

/* Against the C library, a day in every month for 400 years, where time_t holds them. */
static void agrees_with_the_library(void **state)
{
	(void) state;
	for (int64_t s = 86399; s < INT64_C(12622780800) && tg_clock_time_t(s) == s;
	     s += INT64_C(2629800)) {
		time_t t = (time_t) s;
		char text[32];
		struct tm tm;
		int64_t us;

		assert_true(strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm)) >
			    0);
		assert_int_equal(tg_rfc3339_parse(text, &us), 0);
		if (us != s * 1000000)
			fail_msg("%s", text);
	}
}

static void refuses_everything_else(void **state)
{
	static const char *const bad[] = {
		"",
		"2026",
		"2026-11-21",
		"2026-11-21T10:15:10",
		"2026-11-21T10:15Z",
		"2026-13-21T10:15:10Z",
		"2026-00-21T10:15:10Z",
		"2026-02-29T10:15:10Z",
		"2100-02-29T10:15:10Z",
		"2026-04-31T10:15:10Z",
		"2026-11-00T10:15:10Z",
		"2026-11-21T24:15:10Z",
		"2026-11-21T10:60:10Z",
		"2026-11-21T10:15:61Z",
		"2026-11-21T10:15:10.Z",
		"2026-11-21T10:15:10.1234567890123Z",
		"2026-11-21T10:15:10+0100",
		"2026-11-21T10:15:10+24:00",
		"2026-11-21T10:15:10ZZ",
		" 2026-11-21T10:15:10Z",
		"2026-11-21T10:15:10Z ",
		"1969-12-31T23:59:59Z",
		"1970-01-01T00:00:00+00:01",
		"20261-11-21T10:15:10Z",
		"-026-11-21T10:15:10Z",
	};
	int64_t us = 77;

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
		if (tg_rfc3339_parse(bad[i], &us) != -EINVAL)
			fail_msg("'%s' is taken", bad[i]);
	}
	assert_int_equal(us, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_the_standard_shows),
		cmocka_unit_test(agrees_with_the_library),
		cmocka_unit_test(refuses_everything_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
