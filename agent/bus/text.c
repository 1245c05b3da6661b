/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/text.h"

#include "base/parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NUMBER_MAX 64 /* characters; more digits than any double needs */
#define UNIT_MAX   16
#define QUOTE_MAX  40 /* bytes of a device's text that a reason shows */

void tg_text_bad(struct tg_text_room *room, struct tg_sample *out, const char *fmt, ...)
{
	char text[TG_FAULT_MAX];
	va_list args;

	va_start(args, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void) tg_printable(room->reason, sizeof(room->reason), text, strlen(text));
	out->value = (struct tg_value){ .type = TG_VALUE_NONE };
	out->quality = TG_BAD;
	out->reason = room->reason;
}

static void bad_text(struct tg_text_room *room, struct tg_sample *out, const char *what,
		     const char *text, size_t len)
{
	char quote[QUOTE_MAX + 4];

	(void) tg_printable(quote, sizeof(quote), text, len);
	tg_text_bad(room, out, "%s: '%s'", what, quote);
}

static void good(struct tg_sample *out, struct tg_value value)
{
	out->value = value;
	out->quality = TG_GOOD;
	out->reason = "";
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **text, size_t *len)
{
	while (*len && is_blank(**text)) {
		++*text;
		--*len;
	}
	while (*len && is_blank((*text)[*len - 1]))
		--*len;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t digits(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && is_digit(s[n]))
		n++;
	return n;
}

/* Bytes of the decimal number that @s begins with; 0: none. *@ret_real: it has a fraction or an exponent. */
static size_t span_number(const char *s, size_t len, bool *ret_real)
{
	size_t n = len && (*s == '-' || *s == '+'), whole = digits(s + n, len - n), part = 0;

	*ret_real = false;
	n += whole;
	if (n < len && s[n] == '.') {
		part = digits(s + n + 1, len - n - 1);
		if (whole + part == 0)
			return 0;
		*ret_real = true;
		n += 1 + part;
	}
	if (whole + part == 0)
		return 0;
	if (n < len && (s[n] == 'e' || s[n] == 'E')) {
		size_t sign = n + 1 < len && (s[n + 1] == '-' || s[n + 1] == '+');
		size_t more = digits(s + n + 1 + sign, len - n - 1 - sign);

		if (more) {
			*ret_real = true;
			n += 1 + sign + more;
		}
	}
	return n;
}

/* What may stand behind a number: blanks, then letters, per cent and degree signs, slashes and the like. */
static bool is_unit(const char *s, size_t len)
{
	trim(&s, &len);
	if (len > UNIT_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!letter && c != '%' && c != '/' && (unsigned char) c < 0x80)
			return false;
	}
	return true;
}

static void read_number(const char *s, size_t len, struct tg_text_room *room, struct tg_sample *out)
{
	struct tg_value v = { .type = TG_VALUE_REAL };
	char copy[NUMBER_MAX + 1];
	bool real;
	size_t n = span_number(s, len, &real);

	if (n == 0 || n > NUMBER_MAX || !is_unit(s + n, len - n)) {
		bad_text(room, out, "not a number", s, len);
		return;
	}
	if (*s == '+') {
		s++;
		n--;
	}
	memcpy(copy, s, n);
	copy[n] = '\0';
	if (!real && tg_parse_i64(copy, &v.i) == 0)
		v.type = TG_VALUE_INT;
	else if (!real && tg_parse_u64(copy, &v.u) == 0)
		v.type = TG_VALUE_UINT;
	else if (tg_parse_real(copy, &v.real) < 0) {
		bad_text(room, out, "not a number that fits", s, n);
		return;
	}
	good(out, v);
}

static void read_hex(const char *s, size_t len, struct tg_text_room *room, struct tg_sample *out)
{
	struct tg_value v = { .type = TG_VALUE_UINT };
	char copy[24] = "0x";
	bool prefixed = len > 2 && s[0] == '0' && (s[1] | 0x20) == 'x';

	if (prefixed) {
		s += 2;
		len -= 2;
	}
	if (len == 0 || len > 16) {
		bad_text(room, out, "not a hexadecimal number", s, len);
		return;
	}
	memcpy(copy + 2, s, len);
	copy[2 + len] = '\0';
	if (tg_parse_u64(copy, &v.u) < 0)
		bad_text(room, out, "not a hexadecimal number", s, len);
	else
		good(out, v);
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(s, word, len) == 0;
}

static void read_bool(const struct tg_text_form *form, const char *s, size_t len,
		      struct tg_text_room *room, struct tg_sample *out)
{
	static const char *const on[] = { "on", "true", "yes", "1", "open", "online" };
	static const char *const off[] = { "off", "false", "no", "0", "closed", "offline" };

	if (form->on.len) {
		bool is_on = form->on.len == len && memcmp(form->on.at, s, len) == 0;
		bool is_off = form->off.len == len && memcmp(form->off.at, s, len) == 0;

		if (is_on || is_off)
			good(out, (struct tg_value){ .type = TG_VALUE_BOOL, .b = is_on });
		else
			bad_text(room, out, "neither of the two words", s, len);
		return;
	}
	for (size_t i = 0; i < TG_ARRAY_SIZE(on); i++) {
		bool is_on = is_word(s, len, on[i]);

		if (is_on || is_word(s, len, off[i])) {
			good(out, (struct tg_value){ .type = TG_VALUE_BOOL, .b = is_on });
			return;
		}
	}
	bad_text(room, out, "neither on nor off", s, len);
}

static void read_text(const char *s, size_t len, struct tg_text_room *room, struct tg_sample *out)
{
	if (len > TG_TEXT_MAX) {
		tg_text_bad(room, out, "a text of %zu bytes is too long", len);
		return;
	}
	/* Cut nowhere: @len bytes and the end fit, and what is not printable is replaced byte by byte. */
	(void) tg_printable(room->text, sizeof(room->text), s, len);
	good(out, (struct tg_value){ .type = TG_VALUE_TEXT, .text = room->text });
}

void tg_text_read(const struct tg_text_form *form, const char *text, size_t len,
		  struct tg_text_room *room, struct tg_sample *out)
{
	trim(&text, &len);
	if (form->kind == TG_TEXT_AS_IS) {
		read_text(text, len, room, out);
		return;
	}
	if (len == 0) {
		tg_text_bad(room, out, "empty");
		return;
	}
	if (form->on.len || form->kind == TG_TEXT_BOOL)
		read_bool(form, text, len, room, out);
	else if (form->kind == TG_TEXT_HEX)
		read_hex(text, len, room, out);
	else
		read_number(text, len, room, out);
}
