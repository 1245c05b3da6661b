/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <tidegate/error.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Of the printable character at @s, or 0: C0, DEL and C1 controls move cursors and split log lines.
 */
static size_t printable_length(const unsigned char *s, size_t len)
{
	size_t n = tg_utf8_length(s, len);
	bool control = n == 1 ? s[0] < 0x20 || s[0] == 0x7f : n == 2 && s[0] == 0xc2 && s[1] < 0xa0;

	return control ? 0 : n;
}

const char *tg_printable(char *out, size_t size, const void *from, size_t len)
{
	const unsigned char *s = from;
	size_t at = 0, cut = 0, i = 0;

	while (i < len) {
		size_t n = printable_length(s + i, len - i), take = n ? n : 1;

		/* The last place where "..." still fits, should the text turn out to be too long.
		 */
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
