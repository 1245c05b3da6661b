/* SPDX-License-Identifier: Apache-2.0 */
#include "x509/when.h"

#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <time.h>

/* Days from 1970-01-01 to a date of the Gregorian calendar; years count from March, so that the
 * leap day is the last. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
	int64_t era, year_of_era, day_of_year;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	year_of_era = y - era * 400;
	day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

int tg_when(const ASN1_TIME *t, int64_t *ret)
{
	struct tm tm;

	if (!t || !ASN1_TIME_to_tm(t, &tm)) {
		ERR_clear_error();
		return -EBADMSG;
	}
	*ret = days_from_civil((int64_t) tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) * 86400 +
	       tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
	return 0;
}
