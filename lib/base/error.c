/* SPDX-License-Identifier: Apache-2.0 */
#include <tidegate/error.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * The length of the well-formed UTF-8 sequence of printable text at @s, or 0: RFC 3629 without
 * overlong forms and surrogates, and without C0, DEL and C1 controls, which move cursors and split log lines.
 */
static size_t printable_length(const unsigned char *s, size_t len)
{
	static const struct {
		unsigned char lead_min, lead_max, second_min, second_max;
		size_t len;
	} forms[] = {
		{ 0x20, 0x7e, 0, 0, 1 },       { 0xc2, 0xc2, 0xa0, 0xbf, 2 }, { 0xc3, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < TG_ARRAY_SIZE(forms); i++) {
		bool good = s[0] >= forms[i].lead_min && s[0] <= forms[i].lead_max && len >= forms[i].len;

		if (!good)
			continue;
		if (forms[i].len > 1)
			good = s[1] >= forms[i].second_min && s[1] <= forms[i].second_max;
		for (size_t k = 2; good && k < forms[i].len; k++)
			good = s[k] >= 0x80 && s[k] <= 0xbf;
		if (good)
			return forms[i].len;
	}
	return 0;
}

const char *tg_printable(char *out, size_t size, const void *from, size_t len)
{
	const unsigned char *s = from;
	size_t at = 0, cut = 0, i = 0;

	while (i < len) {
		size_t n = printable_length(s + i, len - i), take = n ? n : 1;

		/* The last place where "..." still fits, should the text turn out to be too long. */
		if (at + 4 <= size)
			cut = at;
		if (at + take >= size) {
			memcpy(out + cut, "...", 4);
			return out;
		}
		if (n)
			memcpy(out + at, s + i, n);
		else
			out[at] = '?';
		at += take;
		i += take;
	}
	out[at] = '\0';
	return out;
}

int tg_fault_set(struct tg_fault *reterr, int r, const char *fmt, ...)
{
	/* Twice the size: what is cut is cut by tg_printable(), with its mark. */
	char raw[2 * TG_FAULT_MAX];
	va_list ap;
	int n;

	if (!reterr)
		return r;
	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	reterr->code = r;
	if (n < 0)
		n = 0;
	tg_printable(reterr->text, sizeof(reterr->text), raw,
		     (size_t) n < sizeof(raw) ? (size_t) n : sizeof(raw) - 1);
	return r;
}

int tg_fault_prefix(struct tg_fault *reterr, const char *fmt, ...)
{
	char head[TG_FAULT_MAX];
	va_list ap;

	if (!reterr)
		return 0;
	va_start(ap, fmt);
	if (vsnprintf(head, sizeof(head), fmt, ap) < 0)
		head[0] = '\0';
	va_end(ap);
	struct tg_fault old = *reterr;

	return tg_fault_set(reterr, old.code, "%s: %s", head, old.text);
}
