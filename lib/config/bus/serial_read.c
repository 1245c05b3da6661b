/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/serial_read.h"

#include "base/parse.h"
#include "config/word.h"

#include <errno.h>
#include <string.h>

#define COLUMN_MAX   999
#define FIELD_MAX    80 /* more than 82 characters have commas for */
#define SENTENCE_MAX 15

/* --- words of the language ----------------------------------------------------------------------
 */

enum verb { VERB_LINE, VERB_KEY, VERB_COLUMN, VERB_BYTE };

static const struct tg_word verbs[] = {
	{ "line", VERB_LINE, NULL }, { "key", VERB_KEY, NULL }, { "column", VERB_COLUMN, NULL },
	{ "byte", VERB_BYTE, NULL }, { NULL, 0, NULL },
};

#define NUMBER_TYPE(kind, width) ((kind) << 8 | (width))
static const struct tg_word types[] = {
	{ "uint8", NUMBER_TYPE(TG_SERIAL_UINT, 1), NULL },
	{ "int8", NUMBER_TYPE(TG_SERIAL_INT, 1), NULL },
	{ "uint16", NUMBER_TYPE(TG_SERIAL_UINT, 2), NULL },
	{ "int16", NUMBER_TYPE(TG_SERIAL_INT, 2), NULL },
	{ "uint32", NUMBER_TYPE(TG_SERIAL_UINT, 4), NULL },
	{ "int32", NUMBER_TYPE(TG_SERIAL_INT, 4), NULL },
	{ "uint64", NUMBER_TYPE(TG_SERIAL_UINT, 8), NULL },
	{ "int64", NUMBER_TYPE(TG_SERIAL_INT, 8), NULL },
	{ "float32", NUMBER_TYPE(TG_SERIAL_FLOAT, 4), NULL },
	{ "float64", NUMBER_TYPE(TG_SERIAL_FLOAT, 8), NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word orders[] = {
	{ "big", 0, NULL },
	{ "little", 1, NULL },
	{ NULL, 0, NULL },
};

/* Fields of NMEA 0183 sentences by name, counted from 1 behind the address. */
enum field_kind {
	PLAIN,
	TEXT,
	FIXED, /* means nothing while there is no fix */
	ANGLE, /* the same, with its hemisphere in the next field */
};

struct field {
	const char *sentence, *name;
	uint8_t at;
	enum field_kind kind;
};

static const struct field fields[] = {
	{ "GGA", "time", 1, TEXT },
	{ "GGA", "latitude", 2, ANGLE },
	{ "GGA", "longitude", 4, ANGLE },
	{ "GGA", "quality", 6, PLAIN },
	{ "GGA", "satellites", 7, PLAIN },
	{ "GGA", "hdop", 8, FIXED },
	{ "GGA", "altitude", 9, FIXED },
	{ "GGA", "geoid", 11, FIXED },
	{ "RMC", "time", 1, TEXT },
	{ "RMC", "status", 2, TEXT },
	{ "RMC", "latitude", 3, ANGLE },
	{ "RMC", "longitude", 5, ANGLE },
	{ "RMC", "speed", 7, FIXED },
	{ "RMC", "course", 8, FIXED },
	{ "RMC", "date", 9, TEXT },
	{ "GLL", "latitude", 1, ANGLE },
	{ "GLL", "longitude", 3, ANGLE },
	{ "GLL", "time", 5, TEXT },
	{ "GLL", "status", 6, TEXT },
	{ "GSA", "mode", 2, PLAIN },
	{ "GSA", "pdop", 15, PLAIN },
	{ "GSA", "hdop", 16, PLAIN },
	{ "GSA", "vdop", 17, PLAIN },
	{ "VTG", "course", 1, PLAIN },
	{ "VTG", "course-magnetic", 3, PLAIN },
	{ "VTG", "speed-knots", 5, PLAIN },
	{ "VTG", "speed-kmh", 7, PLAIN },
	{ "HDT", "heading", 1, PLAIN },
	{ "HDG", "heading", 1, PLAIN },
	{ "DBT", "depth-feet", 1, PLAIN },
	{ "DBT", "depth", 3, PLAIN },
	{ "DPT", "depth", 1, PLAIN },
	{ "DPT", "offset", 2, PLAIN },
	{ "MTW", "temperature", 1, PLAIN },
	{ "MWV", "angle", 1, FIXED },
	{ "MWV", "reference", 2, TEXT },
	{ "MWV", "speed", 3, FIXED },
	{ "MWV", "status", 5, TEXT },
	{ "MDA", "pressure", 3, PLAIN },
	{ "MDA", "air-temperature", 5, PLAIN },
	{ "MDA", "water-temperature", 7, PLAIN },
	{ "MDA", "humidity", 9, PLAIN },
	{ "ROT", "rate", 1, PLAIN },
	{ "VHW", "heading", 1, PLAIN },
	{ "VHW", "speed-knots", 5, PLAIN },
	{ "VHW", "speed-kmh", 7, PLAIN },
};

/* --- bytes --------------------------------------------------------------------------------------
 */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

int tg_serial_hex_parse(const char *text, size_t len, uint8_t *out, size_t max, uint8_t *ret_len,
			struct tg_fault *reterr)
{
	uint8_t bytes[TG_SLICE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < len; i += 2) {
		int high, low;

		while (i < len && text[i] == ' ')
			i++;
		if (i == len)
			break;
		high = digit(text[i]);
		low = i + 1 < len ? digit(text[i + 1]) : -1;
		if (high < 0 || low < 0)
			return tg_fault_set(reterr, -EINVAL,
					    "not bytes of two hexadecimal digits, as AA 55");
		if (n == max || n == sizeof(bytes))
			return tg_fault_set(reterr, -EINVAL, "more than %zu bytes", max);
		bytes[n++] = (uint8_t) (high << 4 | low);
	}
	if (n)
		memcpy(out, bytes, n);
	*ret_len = (uint8_t) n;
	return 0;
}

/* One escaped byte behind a backslash. Returns the characters that it took, or -1. */
static int escaped(const char *s, uint8_t *ret)
{
	static const char letters[] = "rnt0\\", bytes[] = "\r\n\t\0\\";
	const char *found = *s ? strchr(letters, *s) : NULL;

	if (found) {
		*ret = (uint8_t) bytes[found - letters];
		return 1;
	}
	if (s[0] != 'x' || digit(s[1]) < 0 || digit(s[2]) < 0)
		return -1;
	*ret = (uint8_t) (digit(s[1]) << 4 | digit(s[2]));
	return 3;
}

int tg_serial_escape_parse(const char *text, struct tg_serial_bytes *ret, struct tg_fault *reterr)
{
	struct tg_serial_bytes out = { .len = 0 };

	if (strcmp(text, "lf") == 0)
		text = "\\n";
	else if (strcmp(text, "cr") == 0)
		text = "\\r";
	else if (strcmp(text, "crlf") == 0)
		text = "\\r\\n";
	while (*text) {
		uint8_t byte = (uint8_t) *text++;

		if (byte == '\\') {
			int n = escaped(text, &byte);

			if (n < 0)
				return tg_fault_set(reterr, -EINVAL,
						    "after a backslash come r, n, t, 0, xHH or a "
						    "backslash");
			text += n;
		}
		if (out.len == sizeof(out.data))
			return tg_fault_set(reterr, -EINVAL, "more than %zu bytes",
					    sizeof(out.data));
		out.data[out.len++] = byte;
	}
	if (out.len == 0)
		return tg_fault_set(reterr, -EINVAL, "empty");
	*ret = out;
	return 0;
}

/* --- read ---------------------------------------------------------------------------------------
 */

static int parse_number(const struct tg_slice *s, unsigned lo, unsigned hi, const char *what,
			uint16_t *ret, struct tg_fault *reterr)
{
	char text[24];
	uint64_t n;

	if (tg_parse_u64(tg_slice_text(s, text, sizeof(text)), &n) < 0 || n < lo || n > hi)
		return tg_fault_set(reterr, -EINVAL, "'%s' is not a %s from %u to %u", text, what,
				    lo, hi);
	*ret = (uint16_t) n;
	return 0;
}

/* The word that must come next. */
static int need(const char **rest, const char *what, struct tg_slice_word *w,
		struct tg_fault *reterr)
{
	int r = tg_slice_next(rest, w, reterr);

	if (r == 0)
		return tg_fault_set(reterr, -EINVAL, "%s is missing", what);
	if (r > 0 && w->key.len)
		return tg_fault_set(reterr, -EINVAL, "'%.*s=' stands where %s is expected",
				    (int) w->key.len, w->key.at, what);
	return r < 0 ? r : 0;
}

static int parse_type(const char **rest, struct tg_serial_read *read, struct tg_fault *reterr)
{
	struct tg_slice_word w = { 0 };
	char text[16];
	unsigned type;
	int r = need(rest, "a type, as uint16,", &w, reterr);

	if (r < 0)
		return r;
	r = tg_word_parse(tg_slice_text(&w.value, text, sizeof(text)), types, &type, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "type '%s'", text);
		return r;
	}
	read->number = (enum tg_serial_number)(type >> 8);
	read->width = (uint8_t) type;
	return 0;
}

static int parse_when(const struct tg_slice *s, struct tg_serial_read *read,
		      struct tg_fault *reterr)
{
	const char *colon = memchr(s->at, ':', s->len);
	struct tg_slice at = { s->at, colon ? (unsigned) (colon - s->at) : 0 };
	int r;

	if (!colon)
		return tg_fault_set(reterr, -EINVAL, "when= is OFFSET:HEX, as when=1:A5");
	if (read->when_len)
		return tg_fault_set(reterr, -EINVAL, "when= stands twice");
	r = parse_number(&at, 0, TG_SERIAL_FRAME_MAX - 1, "byte", &read->when_at, reterr);
	if (r == 0)
		r = tg_serial_hex_parse(colon + 1, s->len - at.len - 1, read->when,
					TG_SERIAL_WHEN_MAX, &read->when_len, reterr);
	if (r == 0 && read->when_len == 0)
		return tg_fault_set(reterr, -EINVAL, "when= has no bytes");
	return r;
}

static int parse_bytes_option(const struct tg_slice_word *w, struct tg_serial_read *read,
			      struct tg_fault *reterr)
{
	char text[16];
	unsigned little;
	uint16_t bit;
	int r;

	if (tg_slice_is(&w->key, "when"))
		return parse_when(&w->value, read, reterr);
	if (tg_slice_is(&w->key, "order")) {
		r = tg_word_parse(tg_slice_text(&w->value, text, sizeof(text)), orders, &little,
				  reterr);
		if (r < 0)
			(void) tg_fault_prefix(reterr, "order '%s'", text);
		else
			read->little = little;
		return r;
	}
	if (tg_slice_is(&w->key, "bit")) {
		r = parse_number(&w->value, 0, read->width * 8u - 1, "bit", &bit, reterr);
		if (r == 0 && read->number == TG_SERIAL_FLOAT)
			return tg_fault_set(reterr, -EINVAL, "a float has no bits to pick");
		if (r == 0)
			read->bit = bit;
		return r;
	}
	return tg_fault_set(reterr, -EINVAL,
			    "'%.*s' has no place here; after the type come order=, bit= and when=",
			    (int) w->value.len, w->value.at);
}

static int parse_bytes(const char **rest, struct tg_serial_read *read, struct tg_fault *reterr)
{
	struct tg_slice_word w = { 0 };
	int r = need(rest, "the number of a byte", &w, reterr);

	read->source = TG_SERIAL_BYTES;
	if (r == 0)
		r = parse_number(&w.value, 0, TG_SERIAL_FRAME_MAX - 1, "byte", &read->at, reterr);
	if (r == 0)
		r = parse_type(rest, read, reterr);
	if (r < 0)
		return r;
	while ((r = tg_slice_next(rest, &w, reterr)) > 0) {
		r = parse_bytes_option(&w, read, reterr);
		if (r < 0)
			return r;
	}
	return r;
}

/* What is left are words that say how the text is read. */
static int parse_form(const char **rest, struct tg_serial_read *read, struct tg_fault *reterr)
{
	struct tg_slice_word w = { 0 };
	int r;

	while ((r = tg_slice_next(rest, &w, reterr)) > 0) {
		r = tg_text_form_take(&read->form, &w, reterr);
		if (r < 0)
			return r;
		if (r == 0)
			return tg_fault_set(reterr, -EINVAL,
					    "'%.*s' has no place here; possible: number, hex, "
					    "bool, "
					    "text, on=, off=",
					    (int) w.value.len, w.value.at);
	}
	return r < 0 ? r : tg_text_form_check(&read->form, reterr);
}

static int name_field(const struct tg_slice *name, struct tg_serial_read *read,
		      struct tg_fault *reterr)
{
	char text[24];
	struct tg_guess guess = TG_GUESS_INIT(tg_slice_text(name, text, sizeof(text)));
	bool known = false;

	for (size_t i = 0; i < TG_ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		if (!tg_slice_is(&read->name, f->sentence))
			continue;
		known = true;
		if (tg_slice_is(name, f->name)) {
			read->at = f->at;
			read->angle = f->kind == ANGLE;
			read->needs_fix = f->kind == ANGLE || f->kind == FIXED;
			read->form.kind = f->kind == TEXT ? TG_TEXT_AS_IS : TG_TEXT_NUMBER;
			return 0;
		}
		tg_guess_consider(&guess, f->name);
	}
	if (guess.best)
		return tg_fault_set(reterr, -EINVAL, "unknown field '%s', did you mean '%s'?", text,
				    guess.best);
	return tg_fault_set(reterr, -EINVAL,
			    known ? "unknown field '%s'; fields may be numbers from 1, too"
				  : "'%s' is not the number of a field, and this sentence has no "
				    "names",
			    text);
}

static int parse_xdr(const char **rest, struct tg_serial_read *read, struct tg_fault *reterr)
{
	struct tg_slice_word w = { 0 };
	int r = tg_slice_next(rest, &w, reterr);

	if (r < 0)
		return r;
	if (r == 0 || !tg_slice_is(&w.key, "id"))
		return tg_fault_set(reterr, -EINVAL, "behind XDR comes id=NAME of the transducer");
	read->source = TG_SERIAL_XDR;
	read->name = w.value;
	return 0;
}

static bool is_sentence(const struct tg_slice *s)
{
	for (unsigned i = 0; i < s->len; i++) {
		if (!(s->at[i] >= 'A' && s->at[i] <= 'Z') &&
		    !(i && s->at[i] >= '0' && s->at[i] <= '9'))
			return false;
	}
	return s->len == 3 || (s->len > 3 && s->len <= SENTENCE_MAX && s->at[0] == 'P');
}

static int parse_sentence(const char **rest, struct tg_serial_read *read, struct tg_fault *reterr)
{
	struct tg_slice_word w = { 0 };
	int r;

	if (tg_slice_is(&read->name, "XDR"))
		return parse_xdr(rest, read, reterr);
	read->source = TG_SERIAL_SENTENCE;
	r = need(rest, "a field", &w, reterr);
	if (r < 0)
		return r;
	if (w.value.at[0] >= '0' && w.value.at[0] <= '9')
		return parse_number(&w.value, 1, FIELD_MAX, "field", &read->at, reterr);
	return name_field(&w.value, read, reterr);
}

static int parse_verb(const char **rest, struct tg_slice_word *w, struct tg_serial_read *read,
		      struct tg_fault *reterr)
{
	char text[24];
	unsigned verb;
	int r = tg_word_parse(tg_slice_text(&w->value, text, sizeof(text)), verbs, &verb, reterr);

	if (r < 0) {
		(void) tg_fault_prefix(reterr, "'%s'", text);
		return r;
	}
	switch ((enum verb) verb) {
	case VERB_LINE:
		read->source = TG_SERIAL_WHOLE;
		return 0;
	case VERB_KEY:
		read->source = TG_SERIAL_KEY;
		r = need(rest, "the name of a key", w, reterr);
		read->name = w->value;
		return r;
	case VERB_COLUMN:
		read->source = TG_SERIAL_COLUMN;
		r = need(rest, "the number of a column", w, reterr);
		return r < 0 ? r
			     : parse_number(&w->value, 1, COLUMN_MAX, "column", &read->at, reterr);
	case VERB_BYTE:
		return parse_bytes(rest, read, reterr);
	}
	return -EINVAL;
}

int tg_serial_read_parse(const char *text, struct tg_serial_read *ret, struct tg_fault *reterr)
{
	struct tg_serial_read read = { .bit = -1 };
	struct tg_slice_word w = { 0 };
	int r = need(&text, "what is read", &w, reterr);

	if (r < 0)
		return r;
	if (is_sentence(&w.value)) {
		read.name = w.value;
		r = parse_sentence(&text, &read, reterr);
	} else {
		r = parse_verb(&text, &w, &read, reterr);
	}
	if (r == 0 && read.angle && *(text + strspn(text, " \t")))
		return tg_fault_set(reterr, -EINVAL, "an angle is always a number");
	if (r == 0)
		r = parse_form(&text, &read, reterr);
	if (r == 0)
		*ret = read;
	return r;
}
