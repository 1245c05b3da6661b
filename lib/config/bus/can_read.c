/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/can_read.h"

#include "base/parse.h"
#include "config/word.h"

#include <errno.h>
#include <string.h>

#define WORD_MAX      48 /* longer than any word here */
#define STANDARD_MAX  0x7ffu
#define EXTENDED_MAX  0x1fffffffu
#define DBC_EXTENDED  0x80000000u /* how DBC files mark identifiers of 29 bits */
#define PGN_MAX       0x1ffffu    /* 18 bits, of which the extended data page is not J1939's */
#define PGN_PDU2      0xf000u     /* from here on the low byte is part of the PGN */
#define SOURCE_MAX    253u        /* 254 and 255 are no addresses of senders */
#define MUX_BITS_MAX  16u
#define REQUEST_MIN_US UINT64_C(1000000)
#define REQUEST_MAX_US (30 * UINT64_C(86400) * 1000000)

enum option { OPT_ID, OPT_PGN, OPT_SOURCE, OPT_START, OPT_LENGTH, OPT_ORDER, OPT_MUX, OPT_REQUEST };
enum flag { FLAG_EXTENDED, FLAG_PLAIN, FLAG_KIND };

static const struct tg_word options[] = {
	{ "id", OPT_ID, NULL },         { "pgn", OPT_PGN, NULL },
	{ "source", OPT_SOURCE, NULL }, { "start", OPT_START, NULL },
	{ "length", OPT_LENGTH, NULL }, { "order", OPT_ORDER, NULL },
	{ "mux", OPT_MUX, NULL },       { "request", OPT_REQUEST, NULL },
	{ NULL, 0, NULL },
};

/* The words that stand alone; kinds from FLAG_KIND on. */
static const struct tg_word flags[] = {
	{ "extended", FLAG_EXTENDED, NULL },
	{ "plain", FLAG_PLAIN, NULL },
	{ "unsigned", FLAG_KIND + TG_CAN_UNSIGNED, NULL },
	{ "signed", FLAG_KIND + TG_CAN_SIGNED, NULL },
	{ "float", FLAG_KIND + TG_CAN_FLOAT, NULL },
	{ "bool", FLAG_KIND + TG_CAN_BOOL, NULL },
	{ "text", FLAG_KIND + TG_CAN_TEXT, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word orders[] = {
	{ "little", false, NULL },
	{ "big", true, NULL },
	{ NULL, 0, NULL },
};

/* What has been said so far, and the words that are still to be read. */
struct words {
	const char *rest;
	char word[WORD_MAX];
	unsigned seen; /* bits 1 << enum option */
	bool has_kind, has_dbc;
	char sign; /* of the form of DBC files */
};

size_t tg_can_field_bytes(const struct tg_can_field *f)
{
	size_t length = f->length ? f->length : 1;

	/* Big-endian bits run to the low end of their byte and on from the high end of the next. */
	if (f->big)
		return (f->start / 8u * 8u + (7u - f->start % 8u) + length - 1) / 8 + 1;
	return (f->start + length - 1) / 8 + 1;
}

/* Returns 1 and the next word in w->word, 0 at the end, or -EINVAL. */
static int next_word(struct words *w, struct tg_fault *reterr)
{
	size_t n;

	w->rest += strspn(w->rest, " \t");
	n = strcspn(w->rest, " \t");
	if (n == 0)
		return 0;
	if (n >= sizeof(w->word))
		return tg_fault_set(reterr, -EINVAL, "'%.20s...' is too long", w->rest);
	memcpy(w->word, w->rest, n);
	w->word[n] = '\0';
	w->rest += n;
	return 1;
}

static int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;

	if (tg_parse_u64(text, &v) < 0 || v < min || v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* --- BIT|BITS@ORDER[SIGN] --- */

/* Cuts @text at @sep. Returns what is behind, or NULL. */
static char *split(char *text, char sep)
{
	char *at = strchr(text, sep);

	if (at)
		*at++ = '\0';
	return at;
}

/* @ret_sign is '+', '-' or '\0'. */
static int parse_dbc(char *text, struct tg_can_field *ret, char *ret_sign)
{
	char *length = split(text, '|'), *order = length ? split(length, '@') : NULL;
	uint64_t start, bits;

	if (!order || (order[0] != '0' && order[0] != '1') ||
	    (order[1] && (!strchr("+-", order[1]) || order[2])) ||
	    parse_number(text, 0, TG_J1939_SIZE * 8 - 1, &start) < 0 ||
	    parse_number(length, 1, TG_J1939_SIZE * 8, &bits) < 0)
		return -EINVAL;
	*ret = (struct tg_can_field){
		.start = (uint16_t) start,
		.length = (uint16_t) bits,
		.big = order[0] == '0',
	};
	*ret_sign = order[1];
	return 0;
}

static int parse_layout(struct words *w, struct tg_can_read *read, struct tg_fault *reterr)
{
	char written[WORD_MAX];

	memcpy(written, w->word, sizeof(written));
	if (w->has_dbc || parse_dbc(w->word, &read->field, &w->sign) < 0)
		return tg_fault_set(reterr, -EINVAL,
				    "'%s' is not a place as in DBC files, START|LENGTH@ORDER, once",
				    written);
	w->has_dbc = true;
	return 0;
}

static int parse_mux(struct tg_can_read *read, char *text, struct tg_fault *reterr)
{
	char written[WORD_MAX], sign, *value, *last;
	struct tg_can_mux *m = &read->mux[read->n_mux];
	uint64_t lo, hi;

	memcpy(written, text, strlen(text) + 1);
	if (read->n_mux == TG_CAN_MUX)
		return tg_fault_set(reterr, -EINVAL, "more than %d multiplexers", TG_CAN_MUX);
	value = split(text, ':');
	last = value ? split(value, '-') : NULL;
	if (!value || parse_dbc(text, &m->field, &sign) < 0 || m->field.length > MUX_BITS_MAX ||
	    parse_number(value, 0, (UINT64_C(1) << m->field.length) - 1, &lo) < 0)
		return tg_fault_set(reterr, -EINVAL,
				    "mux=%s is not START|LENGTH@ORDER:VALUE, as 0|8@1:3", written);
	hi = lo;
	if (last && parse_number(last, lo, (UINT64_C(1) << m->field.length) - 1, &hi) < 0)
		return tg_fault_set(reterr, -EINVAL, "mux=%s: no range of values", written);
	m->first = (uint16_t) lo;
	m->last = (uint16_t) hi;
	read->n_mux++;
	return 0;
}

/* --- the words --- */

static int parse_id(struct tg_can_read *read, const char *text, struct tg_fault *reterr)
{
	uint64_t id;

	if (parse_number(text, 0, UINT32_MAX, &id) < 0 ||
	    (id & ~(uint64_t) DBC_EXTENDED) > EXTENDED_MAX)
		return tg_fault_set(reterr, -EINVAL, "id '%s' is not 0 to 0x1fffffff", text);
	if (id & DBC_EXTENDED || id > STANDARD_MAX)
		read->extended = true;
	read->id = (uint32_t) id & EXTENDED_MAX;
	return 0;
}

static int parse_pgn(struct tg_can_read *read, const char *text, struct tg_fault *reterr)
{
	uint64_t pgn;

	if (parse_number(text, 0, PGN_MAX, &pgn) < 0)
		return tg_fault_set(reterr, -EINVAL, "pgn '%s' is not 0 to 131071", text);
	/* Below PF 240 the low byte is the destination. */
	if ((pgn & 0xff00) < PGN_PDU2 && pgn & 0xff)
		return tg_fault_set(reterr, -EINVAL,
				    "pgn %s: the low byte is a destination there and not part of the "
				    "number; did you mean %u?",
				    text, (unsigned) (pgn & ~UINT64_C(0xff)));
	read->id = (uint32_t) pgn;
	read->j1939 = read->extended = true;
	return 0;
}

static int parse_option(struct words *w, char *value, struct tg_can_read *read,
			struct tg_fault *reterr)
{
	unsigned option, big;
	uint64_t n;
	int r = tg_word_parse(w->word, options, &option, reterr);

	if (r < 0) {
		(void) tg_fault_prefix(reterr, "'%s='", w->word);
		return r;
	}
	if (option != OPT_MUX && w->seen & 1u << option)
		return tg_fault_set(reterr, -EINVAL, "%s= stands there twice", w->word);
	w->seen |= 1u << option;

	switch ((enum option) option) {
	case OPT_ID:
		return parse_id(read, value, reterr);
	case OPT_PGN:
		return parse_pgn(read, value, reterr);
	case OPT_SOURCE:
		if (parse_number(value, 0, SOURCE_MAX, &n) < 0)
			return tg_fault_set(reterr, -EINVAL, "source '%s' is not 0 to 253", value);
		read->source = (int) n;
		return 0;
	case OPT_START:
		if (parse_number(value, 0, TG_J1939_SIZE * 8 - 1, &n) < 0)
			return tg_fault_set(reterr, -EINVAL, "start '%s' is not a bit from 0 to %d",
					    value, TG_J1939_SIZE * 8 - 1);
		read->field.start = (uint16_t) n;
		return 0;
	case OPT_LENGTH:
		if (parse_number(value, 1, TG_J1939_SIZE * 8, &n) < 0)
			return tg_fault_set(reterr, -EINVAL, "length '%s' is not a number of bits", value);
		read->field.length = (uint16_t) n;
		return 0;
	case OPT_ORDER:
		r = tg_word_parse(value, orders, &big, reterr);
		if (r < 0) {
			(void) tg_fault_prefix(reterr, "order '%s'", value);
			return r;
		}
		read->field.big = big;
		return 0;
	case OPT_MUX:
		return parse_mux(read, value, reterr);
	case OPT_REQUEST:
		if (tg_parse_duration(value, &n) < 0 || n < REQUEST_MIN_US || n > REQUEST_MAX_US)
			return tg_fault_set(reterr, -EINVAL, "request '%s' is not 1s to 30d", value);
		read->request_us = n;
		return 0;
	}
	return -EINVAL;
}

static int parse_flag(struct words *w, struct tg_can_read *read, struct tg_fault *reterr)
{
	unsigned flag;
	int r = tg_word_parse(w->word, flags, &flag, reterr);

	if (r < 0) {
		(void) tg_fault_prefix(reterr, "'%s'", w->word);
		return r;
	}
	if (flag == FLAG_EXTENDED) {
		read->extended = true;
	} else if (flag == FLAG_PLAIN) {
		read->plain = true;
	} else {
		if (w->has_kind)
			return tg_fault_set(reterr, -EINVAL, "'%s': a second kind", w->word);
		w->has_kind = true;
		read->kind = (enum tg_can_kind) (flag - FLAG_KIND);
	}
	return 0;
}

static int parse_word(struct words *w, struct tg_can_read *read, struct tg_fault *reterr)
{
	char *value = strchr(w->word, '=');

	if (value) {
		*value++ = '\0';
		return parse_option(w, value, read, reterr);
	}
	if (strchr(w->word, '|'))
		return parse_layout(w, read, reterr);
	return parse_flag(w, read, reterr);
}

/* --- what each word alone cannot tell --- */

static bool seen(const struct words *w, enum option option)
{
	return w->seen & 1u << option;
}

static int check_which(const struct words *w, const struct tg_can_read *read,
		       struct tg_fault *reterr)
{
	if (seen(w, OPT_ID) == seen(w, OPT_PGN))
		return tg_fault_set(reterr, -EINVAL, "one of id= and pgn= says what is read, as "
						     "id=0x123 or pgn=61444");
	if (!read->j1939 && (read->plain || seen(w, OPT_SOURCE) || read->request_us))
		return tg_fault_set(reterr, -EINVAL, "source=, plain and request= go with pgn=");
	if (w->has_dbc && (seen(w, OPT_START) || seen(w, OPT_LENGTH) || seen(w, OPT_ORDER)))
		return tg_fault_set(reterr, -EINVAL,
				    "START|LENGTH@ORDER stands instead of start=, length= and order=");
	if (!w->has_dbc && !seen(w, OPT_START))
		return tg_fault_set(reterr, -EINVAL, "start= is missing, or START|LENGTH@ORDER as in "
						     "DBC files");
	if (!w->has_dbc && !seen(w, OPT_LENGTH) && read->kind != TG_CAN_TEXT)
		return tg_fault_set(reterr, -EINVAL, "length= is missing");
	return 0;
}

static int check_kind(struct words *w, struct tg_can_read *read, struct tg_fault *reterr)
{
	unsigned length = read->field.length;

	/* Floats and flags have a sign in DBC files that means nothing. */
	if (w->sign && w->has_kind && (w->sign == '-') != (read->kind == TG_CAN_SIGNED) &&
	    (read->kind == TG_CAN_SIGNED || read->kind == TG_CAN_UNSIGNED))
		return tg_fault_set(reterr, -EINVAL, "the sign behind the @ says something else");
	if (!w->has_kind && length == 1)
		read->kind = TG_CAN_BOOL;
	else if (!w->has_kind && w->sign == '-')
		read->kind = TG_CAN_SIGNED;
	if (read->kind == TG_CAN_BOOL && length != 1)
		return tg_fault_set(reterr, -EINVAL, "a bool has length 1");
	if (read->kind == TG_CAN_FLOAT && length != 32 && length != 64)
		return tg_fault_set(reterr, -EINVAL, "a float has length 32 or 64");
	if (read->kind == TG_CAN_TEXT) {
		if (length % 8 || read->field.start % 8 || read->field.big)
			return tg_fault_set(reterr, -EINVAL,
					    "a text consists of whole bytes, from start=8 or the like, "
					    "without order=");
		return 0;
	}
	if (length > 64)
		return tg_fault_set(reterr, -EINVAL, "a number has at most 64 bits");
	return 0;
}

static int check_size(const struct tg_can_read *read, struct tg_fault *reterr)
{
	size_t max = read->j1939 ? TG_J1939_SIZE : TG_CAN_FRAME;
	size_t need = tg_can_field_bytes(&read->field);

	for (unsigned i = 0; i < read->n_mux; i++) {
		size_t mux = tg_can_field_bytes(&read->mux[i].field);

		need = mux > need ? mux : need;
	}
	if (need > max)
		return tg_fault_set(reterr, -EINVAL, "the signal ends in byte %zu; there are at most %zu",
				    need, max);
	return 0;
}

int tg_can_read_parse(const char *text, struct tg_can_read *ret, struct tg_fault *reterr)
{
	struct tg_can_read read = { .source = TG_CAN_ANY, .kind = TG_CAN_UNSIGNED };
	struct words w = { .rest = text };
	int r;

	while ((r = next_word(&w, reterr)) > 0) {
		r = parse_word(&w, &read, reterr);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = check_which(&w, &read, reterr);
	if (r == 0)
		r = check_kind(&w, &read, reterr);
	if (r == 0)
		r = check_size(&read, reterr);
	if (r == 0)
		*ret = read;
	return r;
}
