/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "provisioning/net/http_date.h"

#include <errno.h>

#define NOW      INT64_C(1795219200) /* 2026-11-21 */
#define NOV_1994 INT64_C(784111777)

static int64_t date(const char *text)
{
	int64_t t = -1;
	int r = tg_http_date(text, NOW, &t);

	return r < 0 ? r : t;
}

static void the_three_forms_mean_the_same(void **state)
{
	(void) state;
	assert_int_equal(date("Sun, 06 Nov 1994 08:49:37 GMT"), NOV_1994);
	assert_int_equal(date("Sunday, 06-Nov-94 08:49:37 GMT"), NOV_1994);
	assert_int_equal(date("Sun Nov  6 08:49:37 1994"), NOV_1994);
	assert_int_equal(date("Wed Nov 16 08:49:37 1994"), NOV_1994 + 10 * 86400);
}

static void edges_of_the_calendar_are_right(void **state)
{
	(void) state;
	assert_int_equal(date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
	assert_int_equal(date("Tue, 19 Jan 2038 03:14:08 GMT"), INT64_C(2147483648));
	assert_int_equal(date("Tue, 29 Feb 2000 00:00:00 GMT"), 951782400);
	assert_int_equal(date("Sun, 01 Mar 2100 00:00:00 GMT"), INT64_C(4107542400));
	assert_int_equal(date("Fri, 31 Dec 9999 23:59:59 GMT"), INT64_C(253402300799));
	assert_int_equal(date("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800);
}

static void two_digits_mean_the_century_around_now(void **state)
{
	int64_t t;

	(void) state;
	assert_int_equal(tg_http_date("Friday, 01-Jan-27 00:00:00 GMT", NOW, &t), 0);
	assert_int_equal(t, 1798761600);
	/* 2076, 50 years ahead; 77 is the past. */
	assert_int_equal(tg_http_date("Wednesday, 01-Jan-76 00:00:00 GMT", NOW, &t), 0);
	assert_int_equal(t, INT64_C(3345062400));
	assert_int_equal(tg_http_date("Saturday, 01-Jan-77 00:00:00 GMT", NOW, &t), 0);
	assert_int_equal(t, 220924800);
	/* Nor does a clock that is nonsense do harm. */
	assert_int_equal(tg_http_date("Saturday, 01-Jan-77 00:00:00 GMT", INT64_MIN, &t), 0);
	assert_int_equal(tg_http_date("Saturday, 01-Jan-77 00:00:00 GMT", INT64_MAX, &t), 0);
}

static void anything_else_is_no_date(void **state)
{
	static const char *const bad[] = {
		"",
		"Sun",
		"Sun,",
		"Sunday",
		"0",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 +0000",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 06 Nov 94 08:49:37 GMT",
		"Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Tue, 29 Feb 1900 08:49:37 GMT",
		"Tue, 29 Feb 2001 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 08:60:00 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov 1969 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:-1 GMT",
		"Sun Nov 6 08:49:37 1994",
		"Sun Nov  16 08:49:37 1994",
		"Sunday, 06-Nov-1994 08:49:37 GMT",
	};

	(void) state;
	for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
		if (date(bad[i]) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void retry_after_takes_seconds_and_dates(void **state)
{
	int64_t s = -1;

	(void) state;
	assert_int_equal(tg_http_retry_after("0", NOW, 0, &s), 0);
	assert_int_equal(s, 0);
	assert_int_equal(tg_http_retry_after("3600", NOW, 0, &s), 0);
	assert_int_equal(s, 3600);
	assert_int_equal(tg_http_retry_after("Sat, 21 Nov 2026 00:10:00 GMT", NOW, 0, &s), 0);
	assert_int_equal(s, 600);
	/* Past, by a server whose clock is ours. */
	assert_int_equal(tg_http_retry_after("Fri, 20 Nov 2026 00:10:00 GMT", NOW, 0, &s), 0);
	assert_int_equal(s, 0);
	/* A server whose clock is a day ahead of ours means its own ten minutes. */
	assert_int_equal(tg_http_retry_after("Sun, 22 Nov 2026 00:10:00 GMT", NOW, NOW + 86400, &s),
			 0);
	assert_int_equal(s, 600);
}

static void retry_after_is_bounded(void **state)
{
	int64_t s = -1;

	(void) state;
	assert_int_equal(tg_http_retry_after("99999999999999999999999999", NOW, 0, &s), -ERANGE);
	assert_int_equal(tg_http_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", NOW, 0, &s), -ERANGE);
	assert_int_equal(tg_http_retry_after("", NOW, 0, &s), -EINVAL);
	assert_int_equal(tg_http_retry_after("-1", NOW, 0, &s), -EINVAL);
	assert_int_equal(tg_http_retry_after("10s", NOW, 0, &s), -EINVAL);
	assert_int_equal(tg_http_retry_after("soon", NOW, 0, &s), -EINVAL);
	assert_int_equal(s, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_three_forms_mean_the_same),
		cmocka_unit_test(edges_of_the_calendar_are_right),
		cmocka_unit_test(two_digits_mean_the_century_around_now),
		cmocka_unit_test(anything_else_is_no_date),
		cmocka_unit_test(retry_after_takes_seconds_and_dates),
		cmocka_unit_test(retry_after_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
