/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/serial/extract.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A part of a frame. */
struct part {
	const char *at;
	size_t len;
};

static void read_part(const struct tg_config_point *point, struct part p, struct tg_text_room *room,
		      struct tg_sample *out)
{
	tg_text_read(&point->serial.form, p.at, p.len, room, out);
}

/* The @n-th part from 1 of those that @separator divides. */
static bool find_column(struct part whole, char separator, unsigned n, struct part *ret)
{
	for (;;) {
		const char *end = memchr(whole.at, separator, whole.len);
		size_t len = end ? (size_t) (end - whole.at) : whole.len;

		if (--n == 0) {
			*ret = (struct part){ whole.at, len };
			return true;
		}
		if (!end)
			return false;
		whole.at += len + 1;
		whole.len -= len + 1;
	}
}

/* --- lines --------------------------------------------------------------------------------------
 */

static void unquote(struct part *p)
{
	if (p->len >= 2 && p->at[0] == '"' && p->at[p->len - 1] == '"') {
		p->at++;
		p->len -= 2;
	}
}

static bool is_between(char c)
{
	return c == ' ' || c == '\t' || c == ',' || c == ';' || c == '&' || c == '{';
}

static bool begins(struct part p, const struct tg_slice *name)
{
	return p.len >= name->len && memcmp(p.at, name->at, name->len) == 0;
}

static size_t skip_blanks(const struct part *p, size_t i)
{
	while (i < p->len && (p->at[i] == ' ' || p->at[i] == '\t'))
		i++;
	return i;
}

/* The value behind NAME=: as far as the next blank, comma or semicolon, or a whole text in quotes. */
static struct part value_at(const struct part *whole, size_t i)
{
	struct part v;

	i = skip_blanks(whole, i);
	v = (struct part){ whole->at + i, 0 };
	if (i < whole->len && whole->at[i] == '"') {
		const char *end = memchr(v.at + 1, '"', whole->len - i - 1);

		v.len = end ? (size_t) (end - v.at) + 1 : whole->len - i;
		unquote(&v);
		return v;
	}
	while (i + v.len < whole->len && !is_between(v.at[v.len]) && v.at[v.len] != '}')
		v.len++;
	return v;
}

static bool find_key(struct part whole, const struct tg_slice *name, char assign, struct part *ret)
{
	for (size_t i = 0; i < whole.len; i++) {
		struct part rest = { whole.at + i, whole.len - i };
		size_t end;

		if ((i > 0 && !is_between(whole.at[i - 1])) || !begins(rest, name))
			continue;
		end = skip_blanks(&whole, i + name->len);
		if (end >= whole.len || whole.at[end] != assign)
			continue;
		*ret = value_at(&whole, end + 1);
		return true;
	}
	return false;
}

/* --- NMEA 0183 ----------------------------------------------------------------------------------
 */

#define ADDRESS_MAX 16

/* "$GPGGA" is "GGA" of "GP", "$PGRME" its own. */
static bool is_sentence(struct part p, const struct tg_slice *name)
{
	struct part address = { "", 0 };

	if (!find_column(p, ',', 1, &address) || address.len < 2 || address.len > ADDRESS_MAX)
		return false;
	address.at++;
	address.len--;
	if (name->len == 3 && address.at[0] != 'P' && address.len == 5) {
		address.at += 2;
		address.len -= 2;
	}
	return address.len == name->len && begins(address, name);
}

/* Where a sentence says whether what it says means anything. */
static const struct {
	const char *sentence;
	unsigned field;
	char no;
} fixes[] = {
	{ "GGA", 6, '0' },
	{ "RMC", 2, 'V' },
	{ "GLL", 6, 'V' },
	{ "MWV", 5, 'V' },
};

static bool has_fix(struct part p, const struct tg_slice *name)
{
	struct part f;

	for (size_t i = 0; i < TG_ARRAY_SIZE(fixes); i++) {
		if (!tg_slice_is(name, fixes[i].sentence))
			continue;
		return find_column(p, ',', fixes[i].field + 1, &f) && f.len > 0 &&
		       f.at[0] != fixes[i].no;
	}
	return true;
}

static bool is_digits(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
	}
	return len > 0;
}

/* The number in @p, which has a point at @ret_point digits from its start. */
static bool read_plain(struct part p, size_t *ret_point, double *ret)
{
	static const struct tg_text_form number = { .kind = TG_TEXT_NUMBER };
	const char *point = memchr(p.at, '.', p.len);
	struct tg_text_room room;
	struct tg_sample s = { .quality = TG_BAD };

	*ret_point = point ? (size_t) (point - p.at) : p.len;
	if (!is_digits(p.at, *ret_point) ||
	    (point && *ret_point + 1 < p.len && !is_digits(point + 1, p.len - *ret_point - 1)))
		return false;
	tg_text_read(&number, p.at, p.len, &room, &s);
	*ret = s.value.type == TG_VALUE_REAL ? s.value.real : (double) s.value.i;
	return s.quality == TG_GOOD && s.value.type != TG_VALUE_UINT;
}

/* ddmm.mmm or dddmm.mmm and the letter of the hemisphere. */
static bool read_angle(struct part p, struct part side, double *ret)
{
	bool north = side.len == 1 && (*side.at == 'N' || *side.at == 'S');
	bool east = side.len == 1 && (*side.at == 'E' || *side.at == 'W');
	double value, degrees, minutes;
	size_t point;

	if ((!north && !east) || !read_plain(p, &point, &value) || point != (north ? 4 : 5))
		return false;
	degrees = floor(value / 100);
	minutes = value - degrees * 100;
	value = degrees + minutes / 60;
	if (minutes >= 60 || value > (north ? 90 : 180))
		return false;
	*ret = *side.at == 'S' || *side.at == 'W' ? -value : value;
	return true;
}

static void extract_angle(const struct tg_config_point *point, struct part whole, struct part field,
			  struct tg_text_room *room, struct tg_sample *out)
{
	struct part side = { "", 0 };
	double value;

	(void) find_column(whole, ',', point->serial.at + 2u, &side);
	if (!read_angle(field, side, &value)) {
		tg_text_bad(room, out, "not an angle: '%.*s,%.*s'",
			    (int) (field.len < 20 ? field.len : 20), field.at,
			    (int) (side.len < 4 ? side.len : 4), side.at);
		return;
	}
	out->value = (struct tg_value){ .type = TG_VALUE_REAL, .real = value };
	out->quality = TG_GOOD;
	out->reason = "";
}

static bool extract_field(const struct tg_config_point *point, struct part whole,
			  struct tg_text_room *room, struct tg_sample *out)
{
	const struct tg_serial_read *read = &point->serial;
	struct part field;

	if (!is_sentence(whole, &read->name))
		return false;
	if (read->needs_fix && !has_fix(whole, &read->name))
		tg_text_bad(room, out, "no fix");
	else if (!find_column(whole, ',', read->at + 1u, &field))
		tg_text_bad(room, out, "the sentence has no field %u", read->at);
	else if (field.len == 0)
		tg_text_bad(room, out, "empty");
	else if (read->angle)
		extract_angle(point, whole, field, room, out);
	else
		read_part(point, field, room, out);
	return true;
}

/* Transducer measurements: groups of type, value, unit, name. */
static bool extract_xdr(const struct tg_config_point *point, struct part whole,
			struct tg_text_room *room, struct tg_sample *out)
{
	static const struct tg_slice xdr = { "XDR", 3 };
	struct part value, name;

	if (!is_sentence(whole, &xdr))
		return false;
	for (unsigned at = 3;
	     find_column(whole, ',', at, &value) && find_column(whole, ',', at + 2, &name);
	     at += 4) {
		if (name.len != point->serial.name.len || !begins(name, &point->serial.name))
			continue;
		read_part(point, value, room, out);
		return true;
	}
	return false;
}

/* --- binary frames ------------------------------------------------------------------------------
 */

static uint64_t assemble(const uint8_t *bytes, unsigned width, bool little)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v = v << 8 | bytes[little ? width - 1 - i : i];
	return v;
}

static double as_real(uint64_t v, unsigned width)
{
	uint32_t narrow = (uint32_t) v;
	float f;
	double d;

	if (width == 4) {
		memcpy(&f, &narrow, sizeof(f));
		return (double) f;
	}
	memcpy(&d, &v, sizeof(d));
	return d;
}

static struct tg_value decode(const struct tg_serial_read *read, uint64_t v)
{
	unsigned spare = 64 - 8u * read->width;

	if (read->bit >= 0)
		return (struct tg_value){ .type = TG_VALUE_BOOL, .b = v >> read->bit & 1 };
	switch (read->number) {
	case TG_SERIAL_UINT:
		return (struct tg_value){ .type = TG_VALUE_UINT, .u = v };
	case TG_SERIAL_INT:
		/* The sign moves to the top bit and back, which fills with it. */
		return (struct tg_value){ .type = TG_VALUE_INT,
					  .i = (int64_t) (v << spare) / (INT64_C(1) << spare) };
	case TG_SERIAL_FLOAT:
		return (struct tg_value){ .type = TG_VALUE_REAL, .real = as_real(v, read->width) };
	}
	return (struct tg_value){ .type = TG_VALUE_NONE };
}

static bool extract_bytes(const struct tg_config_point *point, const uint8_t *frame, size_t len,
			  struct tg_text_room *room, struct tg_sample *out)
{
	const struct tg_serial_read *read = &point->serial;
	struct tg_value v;

	if (read->when_len && ((size_t) read->when_at + read->when_len > len ||
			       memcmp(frame + read->when_at, read->when, read->when_len) != 0))
		return false;
	if ((size_t) read->at + read->width > len) {
		tg_text_bad(room, out, "the frame has %zu bytes only", len);
		return true;
	}
	v = decode(read, assemble(frame + read->at, read->width, read->little));
	if (v.type == TG_VALUE_REAL && !isfinite(v.real)) {
		tg_text_bad(room, out, "not a finite number");
		return true;
	}
	out->value = v;
	out->quality = TG_GOOD;
	out->reason = "";
	return true;
}

/* --- all ----------------------------------------------------------------------------------------
 */

bool tg_serial_is_for(const struct tg_serial_bus *bus, const struct tg_config_device *dev,
		      const uint8_t *frame, size_t len)
{
	const struct tg_serial_device *d = &dev->serial;
	size_t match = strlen(d->match);

	switch (bus->framing) {
	case TG_SERIAL_LINES:
		return len >= match && memcmp(frame, d->match, match) == 0;
	case TG_SERIAL_NMEA:
		return !*d->talker || (len >= 3 && memcmp(frame + 1, d->talker, 2) == 0);
	case TG_SERIAL_LENGTH:
	case TG_SERIAL_SOF:
		return true;
	}
	return false;
}

bool tg_serial_extract(const struct tg_config_device *dev, const struct tg_config_point *point,
		       const uint8_t *frame, size_t len, struct tg_text_room *room,
		       struct tg_sample *out)
{
	struct part whole = { (const char *) frame, len }, found;

	switch (point->serial.source) {
	case TG_SERIAL_WHOLE:
		whole.at += strlen(dev->serial.match);
		whole.len -= strlen(dev->serial.match);
		read_part(point, whole, room, out);
		return true;
	case TG_SERIAL_KEY:
		if (!find_key(whole, &point->serial.name, (char) dev->serial.assign.data[0],
			      &found))
			return false;
		read_part(point, found, room, out);
		return true;
	case TG_SERIAL_COLUMN:
		if (!find_column(whole, (char) dev->serial.separator.data[0], point->serial.at,
				 &found)) {
			tg_text_bad(room, out, "the line has no column %u", point->serial.at);
			return true;
		}
		unquote(&found);
		read_part(point, found, room, out);
		return true;
	case TG_SERIAL_SENTENCE:
		return extract_field(point, whole, room, out);
	case TG_SERIAL_XDR:
		return extract_xdr(point, whole, room, out);
	case TG_SERIAL_BYTES:
		return extract_bytes(point, frame, len, room, out);
	}
	return false;
}
