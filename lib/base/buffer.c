/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include "base/parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BYTES 256

void tg_buffer_done(struct tg_buffer *b)
{
	free(b->data);
	*b = (struct tg_buffer) TG_BUFFER_INIT(b->max);
}

void tg_buffer_reset(struct tg_buffer *b)
{
	b->len = 0;
	b->error = 0;
	if (b->data)
		b->data[0] = '\0';
}

/* Makes room for @more bytes and the NUL. */
static bool reserve(struct tg_buffer *b, size_t more)
{
	size_t need, cap = b->cap ? b->cap : FIRST_BYTES;
	char *data;

	if (b->error)
		return false;
	if (more > b->max - b->len) {
		b->error = -EMSGSIZE;
		return false;
	}
	if (__builtin_add_overflow(b->len + more, 1, &need)) {
		b->error = -ENOMEM;
		return false;
	}
	if (need <= b->cap)
		return true;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	data = realloc(b->data, cap);
	if (!data) {
		b->error = -ENOMEM;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void tg_buffer_add(struct tg_buffer *b, const void *data, size_t len)
{
	if (!reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void tg_buffer_addc(struct tg_buffer *b, char c)
{
	tg_buffer_add(b, &c, 1);
}

void tg_buffer_adds(struct tg_buffer *b, const char *s)
{
	tg_buffer_add(b, s, strlen(s));
}

void tg_buffer_addf(struct tg_buffer *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->error = b->error ? b->error : errno == ENOMEM ? -ENOMEM : -EINVAL;
		return;
	}
	if (!reserve(b, (size_t) n))
		return;
	va_start(ap, fmt);
	(void) vsnprintf(b->data + b->len, (size_t) n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t) n;
}

static void add_json_char(struct tg_buffer *b, unsigned char c)
{
	static const char shorts[][2] = { { '"', '"' },  { '\\', '\\' }, { '\b', 'b' },
					  { '\f', 'f' }, { '\n', 'n' },  { '\r', 'r' },
					  { '\t', 't' } };

	for (size_t i = 0; i < TG_ARRAY_SIZE(shorts); i++) {
		if ((char) c == shorts[i][0]) {
			tg_buffer_addc(b, '\\');
			tg_buffer_addc(b, shorts[i][1]);
			return;
		}
	}
	if (c < 0x20 || c == 0x7f)
		tg_buffer_addf(b, "\\u%04x", c);
	else
		tg_buffer_addc(b, (char) c);
}

void tg_buffer_add_json(struct tg_buffer *b, const char *str)
{
	const unsigned char *s = (const unsigned char *) str;

	tg_buffer_addc(b, '"');
	while (*s) {
		size_t n = tg_utf8_length(s, 4); /* the NUL ends what it reads */

		if (n == 0)
			tg_buffer_adds(b, "\xef\xbf\xbd");
		else if (n == 1)
			add_json_char(b, *s);
		else
			tg_buffer_add(b, s, n);
		s += n ? n : 1;
	}
	tg_buffer_addc(b, '"');
}

/* printf() and strtod() follow LC_NUMERIC alike, so the round trip holds in any locale; JSON wants
 * the point. */
static void fix_point(char *s)
{
	char *comma = s + strspn(s, "+-0123456789");

	if (*comma && *comma != '.' && *comma != 'e')
		*comma = '.';
}

void tg_buffer_add_real(struct tg_buffer *b, double v)
{
	char text[40];

	/* 15 digits are exact for what people type, 17 for every double. */
	for (int digits = 15; digits <= 17; digits++) {
		(void) snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	fix_point(text);
	tg_buffer_adds(b, text);
}

int tg_buffer_error(const struct tg_buffer *b)
{
	return b->error;
}

const char *tg_buffer_text(const struct tg_buffer *b)
{
	return b->data ? b->data : "";
}
