/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rfc3339.h"

#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define FRACTION_DIGITS 9 /* more than these is noise */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* @n digits at *@s, at most @max; moves *@s behind them. */
static bool take_number(const char **s, unsigned n, int max, int *ret)
{
	int v = 0;

	for (; n; n--, (*s)++) {
		if (!is_digit(**s))
			return false;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return v <= max;
}

static bool take_char(const char **s, const char *any)
{
	if (!**s || !strchr(any, **s))
		return false;
	(*s)++;
	return true;
}

static bool is_leap(int y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static bool take_date(const char **s, int64_t *ret_days)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
	int y, m, d, length;

	if (!take_number(s, 4, 9999, &y) || !take_char(s, "-") || !take_number(s, 2, 12, &m) ||
	    !take_char(s, "-") || !take_number(s, 2, 31, &d) || y < 1970 || m < 1 || d < 1)
		return false;
	length = before[m] - before[m - 1] + (m == 2 && is_leap(y));
	if (d > length)
		return false;
	*ret_days = (int64_t) (y - 1970) * 365 + (y - 1969) / 4 - (y - 1901) / 100 +
		    (y - 1601) / 400 + before[m - 1] + (m > 2 && is_leap(y)) + d - 1;
	return true;
}

static bool take_time(const char **s, int64_t *ret_us)
{
	int h, m, sec;
	int64_t us = 0, unit = 100000;
	unsigned digits = 0;

	if (!take_number(s, 2, 23, &h) || !take_char(s, ":") || !take_number(s, 2, 59, &m) ||
	    !take_char(s, ":") || !take_number(s, 2, 60, &sec))
		return false;
	if (take_char(s, ".")) {
		for (; is_digit(**s) && digits <= FRACTION_DIGITS; digits++, unit /= 10)
			us += (*(*s)++ - '0') * unit;
		if (digits == 0 || digits > FRACTION_DIGITS)
			return false;
	}
	*ret_us = (((int64_t) h * 60 + m) * 60 + sec) * (int64_t) TG_US_PER_S + us;
	return true;
}

static bool take_offset(const char **s, int64_t *ret_us)
{
	bool west = **s == '-';
	int h, m;

	*ret_us = 0;
	if (take_char(s, "Zz"))
		return true;
	if (!take_char(s, "+-") || !take_number(s, 2, 23, &h) || !take_char(s, ":") ||
	    !take_number(s, 2, 59, &m))
		return false;
	*ret_us = ((int64_t) h * 60 + m) * 60 * (int64_t) TG_US_PER_S;
	if (west)
		*ret_us = -*ret_us;
	return true;
}

int tg_rfc3339_parse(const char *s, int64_t *ret_us)
{
	int64_t days, time_us, offset_us, us;

	if (!take_date(&s, &days) || !take_char(&s, "Tt ") || !take_time(&s, &time_us) ||
	    !take_offset(&s, &offset_us) || *s)
		return -EINVAL;
	us = days * 86400 * (int64_t) TG_US_PER_S + time_us - offset_us;
	if (us < 0)
		return -EINVAL;
	*ret_us = us;
	return 0;
}
