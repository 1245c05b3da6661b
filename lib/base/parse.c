/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#define DISTANCE_MAX 64 /* longer words are not keys of ours */

int tg_parse_bool(const char *s, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{ "yes", true }, { "no", false },  { "true", true }, { "false", false },
		{ "on", true },  { "off", false }, { "1", true },    { "0", false },
	};

	for (size_t i = 0; i < TG_ARRAY_SIZE(words); i++) {
		if (strcasecmp(s, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

static int digit(char c, unsigned base)
{
	int v = -1;

	if (c >= '0' && c <= '9')
		v = c - '0';
	else if (c >= 'a' && c <= 'f')
		v = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		v = c - 'A' + 10;
	return v >= 0 && (unsigned) v < base ? v : -1;
}

/* Reads digits from @s; *ret_end is the first character that is none. -EINVAL when there is no
 * digit. */
static int read_digits(const char *s, unsigned base, uint64_t *ret, const char **ret_end)
{
	uint64_t v = 0;
	const char *p = s;

	for (; digit(*p, base) >= 0; p++) {
		if (__builtin_mul_overflow(v, (uint64_t) base, &v) ||
		    __builtin_add_overflow(v, (uint64_t) digit(*p, base), &v))
			return -ERANGE;
	}
	if (p == s)
		return -EINVAL;
	*ret = v;
	*ret_end = p;
	return 0;
}

int tg_parse_u64(const char *s, uint64_t *ret)
{
	bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	const char *end;
	uint64_t v;
	int r = read_digits(hex ? s + 2 : s, hex ? 16 : 10, &v, &end);

	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}

int tg_parse_i64(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t v;
	int r = tg_parse_u64(s + negative, &v);

	if (r < 0)
		return r;
	if (v > (uint64_t) INT64_MAX + negative)
		return -ERANGE;
	*ret = negative ? (int64_t) (0 - v) : (int64_t) v;
	return 0;
}

static locale_t c_locale;

static void make_c_locale(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
}

int tg_parse_real(const char *s, double *ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	/* strtod() also takes white space, hexadecimal, "inf" and "nan". */
	size_t len = strlen(s);
	char *end;
	double v;

	if (len == 0 || strspn(s, "+-.0123456789eE") != len || s[0] == '+')
		return -EINVAL;
	(void) pthread_once(&once, make_c_locale);
	if (!c_locale)
		return -ENOMEM;
	v = strtod_l(s, &end, c_locale);
	if (*end || end == s)
		return -EINVAL;
	if (!isfinite(v))
		return -ERANGE;
	*ret = v;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* A whole number with a unit behind it. */
static int parse_with_unit(const char *s, const struct unit *units, size_t n, uint64_t *ret)
{
	const char *end;
	uint64_t v;
	int r = read_digits(s, 10, &v, &end);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(v, units[i].factor, &v))
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

int tg_parse_duration(const char *s, uint64_t *ret_us)
{
	static const struct unit units[] = {
		{ "us", 1 },
		{ "ms", 1000 },
		{ "s", 1000000 },
		{ "m", UINT64_C(60) * 1000000 },
		{ "h", UINT64_C(3600) * 1000000 },
		{ "d", UINT64_C(86400) * 1000000 },
	};

	if (strcmp(s, "0") == 0) {
		*ret_us = 0;
		return 0;
	}
	return parse_with_unit(s, units, TG_ARRAY_SIZE(units), ret_us);
}

int tg_parse_size(const char *s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "K", UINT64_C(1) << 10 },
		{ "M", UINT64_C(1) << 20 },
		{ "G", UINT64_C(1) << 30 },
	};

	return parse_with_unit(s, units, TG_ARRAY_SIZE(units), ret_bytes);
}

int tg_parse_percent(const char *s, double *ret)
{
	char number[32];
	size_t len = strlen(s);
	double v;
	int r;

	if (len < 2 || len >= sizeof(number) || s[len - 1] != '%')
		return -EINVAL;
	memcpy(number, s, len - 1);
	number[len - 1] = '\0';
	r = tg_parse_real(number, &v);
	if (r < 0)
		return r;
	if (v < 0 || v > 100)
		return -ERANGE;
	*ret = v;
	return 0;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

unsigned tg_parse_distance(const char *a, const char *b, unsigned cap)
{
	/* One row of the Levenshtein matrix at a time. */
	unsigned row[DISTANCE_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > DISTANCE_MAX || lb > DISTANCE_MAX)
		return cap + 1;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned) j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned) i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[lb] > cap ? cap + 1 : row[lb];
}

size_t tg_utf8_length(const void *text, size_t len)
{
	/* By leading byte; the second byte of some forms is narrower: no overlong forms,
	 * surrogates, or code points past U+10FFFF. */
	static const struct {
		unsigned char lead_min, lead_max, second_min, second_max;
		size_t len;
	} forms[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *s = text;
	size_t i = 0;

	while (i < TG_ARRAY_SIZE(forms) && (s[0] < forms[i].lead_min || s[0] > forms[i].lead_max))
		i++;
	if (i == TG_ARRAY_SIZE(forms) || forms[i].len > len)
		return 0;
	if (forms[i].len > 1 && (s[1] < forms[i].second_min || s[1] > forms[i].second_max))
		return 0;
	for (size_t k = 2; k < forms[i].len; k++)
		if ((s[k] & 0xc0) != 0x80)
			return 0;
	return forms[i].len;
}
