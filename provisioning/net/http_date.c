/* SPDX-License-Identifier: Apache-2.0 */
#include "provisioning/net/http_date.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define DAY_S             86400
#define RETRY_AFTER_MAX_S (INT64_C(3660) * DAY_S)

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
				      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const long_days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
					 "Thursday", "Friday", "Saturday" };

struct date {
	int year, month, day, hour, minute, second; /* month from 0 */
};

/* All of these move *p behind what they took, and return false when it is not there. */

static bool take(const char **p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*p, word, len) != 0)
		return false;
	*p += len;
	return true;
}

static int take_of(const char **p, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (take(p, words[i]))
			return (int) i;
	return -1;
}

static bool take_number(const char **p, int digits, int *ret)
{
	int n = 0;

	for (int i = 0; i < digits; i++) {
		char c = (*p)[i];

		if (c < '0' || c > '9')
			return false;
		n = n * 10 + (c - '0');
	}
	*p += digits;
	*ret = n;
	return true;
}

static bool take_month(const char **p, int *ret)
{
	*ret = take_of(p, months, TG_ARRAY_SIZE(months));
	return *ret >= 0;
}

static bool take_time(const char **p, struct date *d)
{
	return take_number(p, 2, &d->hour) && take(p, ":") && take_number(p, 2, &d->minute) &&
	       take(p, ":") && take_number(p, 2, &d->second);
}

/* "06 Nov 1994 08:49:37 GMT", behind the day. */
static bool take_imf(const char *p, struct date *d)
{
	return take(&p, ", ") && take_number(&p, 2, &d->day) && take(&p, " ") &&
	       take_month(&p, &d->month) && take(&p, " ") && take_number(&p, 4, &d->year) &&
	       take(&p, " ") && take_time(&p, d) && take(&p, " GMT") && !*p;
}

static bool take_rfc850(const char *p, struct date *d)
{
	return take(&p, ", ") && take_number(&p, 2, &d->day) && take(&p, "-") &&
	       take_month(&p, &d->month) && take(&p, "-") && take_number(&p, 2, &d->year) &&
	       take(&p, " ") && take_time(&p, d) && take(&p, " GMT") && !*p;
}

static bool take_asctime(const char *p, struct date *d)
{
	return take(&p, " ") && take_month(&p, &d->month) && take(&p, " ") &&
	       (take(&p, " ") ? take_number(&p, 1, &d->day) : take_number(&p, 2, &d->day)) &&
	       take(&p, " ") && take_time(&p, d) && take(&p, " ") && take_number(&p, 4, &d->year) &&
	       !*p;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_possible(const struct date *d)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int last = lengths[d->month] + (d->month == 1 && is_leap(d->year));

	/* 60 is a leap second. */
	return d->year >= 1970 && d->day >= 1 && d->day <= last && d->hour < 24 && d->minute < 60 &&
	       d->second <= 60;
}

static int64_t seconds_of(const struct date *d)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int64_t y = d->year - 1;
	int64_t leaps = y / 4 - y / 100 + y / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
	int64_t n = INT64_C(365) * (d->year - 1970) + leaps + before[d->month] +
		    (d->month > 1 && is_leap(d->year)) + d->day - 1;

	return n * DAY_S + d->hour * 3600 + d->minute * 60 + d->second;
}

/* The year of @now_s, good enough for a choice of centuries. */
static int year_of(int64_t now_s)
{
	if (now_s < 0)
		return 1970;
	if (now_s > INT64_C(8000) * 365 * DAY_S)
		return 9970;
	return 1970 + (int) (now_s / (INT64_C(31556952)));
}

static int full_year(int two_digits, int64_t now_s)
{
	int last = year_of(now_s) + 50;

	return last - (last % 100 - two_digits + 100) % 100;
}

int tg_http_date(const char *text, int64_t now_s, int64_t *ret)
{
	struct date d = { 0 };
	bool good = false;

	/* The long names first, as they begin with the short ones. */
	if (take_of(&text, long_days, TG_ARRAY_SIZE(long_days)) >= 0) {
		good = take_rfc850(text, &d);
		if (good)
			d.year = full_year(d.year, now_s);
	} else if (take_of(&text, days, TG_ARRAY_SIZE(days)) >= 0) {
		good = *text == ',' ? take_imf(text, &d) : take_asctime(text, &d);
	}
	if (!good || !is_possible(&d))
		return -EINVAL;
	*ret = seconds_of(&d);
	return 0;
}

static int take_seconds(const char *p, int64_t *ret)
{
	int64_t n = 0;

	for (; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		/* Stays above the bound, however many digits follow. */
		if (n <= RETRY_AFTER_MAX_S)
			n = n * 10 + (*p - '0');
	}
	*ret = n;
	return n > RETRY_AFTER_MAX_S ? -ERANGE : 0;
}

int tg_http_retry_after(const char *text, int64_t now_s, int64_t date_s, int64_t *ret_s)
{
	int64_t base = date_s ? date_s : now_s, n;
	int r;

	if (*text >= '0' && *text <= '9') {
		r = take_seconds(text, &n);
	} else {
		r = tg_http_date(text, base, &n);
		if (r == 0)
			n = n > base ? n - base : 0;
		if (r == 0 && n > RETRY_AFTER_MAX_S)
			r = -ERANGE;
	}
	if (r < 0)
		return r;
	*ret_s = n;
	return 0;
}
