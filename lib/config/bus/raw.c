/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/raw.h"

#include "base/parse.h"
#include "config/word.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* form and size in one number. */
#define TYPE(form, size) ((unsigned) (form) << 8 | (size))

static const struct tg_word types[] = {
	{ "bool", TYPE(TG_RAW_BOOL, 1), NULL },       { "int8", TYPE(TG_RAW_SIGNED, 1), NULL },
	{ "uint8", TYPE(TG_RAW_UNSIGNED, 1), NULL },  { "int16", TYPE(TG_RAW_SIGNED, 2), NULL },
	{ "uint16", TYPE(TG_RAW_UNSIGNED, 2), NULL }, { "int24", TYPE(TG_RAW_SIGNED, 3), NULL },
	{ "uint24", TYPE(TG_RAW_UNSIGNED, 3), NULL }, { "int32", TYPE(TG_RAW_SIGNED, 4), NULL },
	{ "uint32", TYPE(TG_RAW_UNSIGNED, 4), NULL }, { "float32", TYPE(TG_RAW_FLOAT, 4), NULL },
	{ "int64", TYPE(TG_RAW_SIGNED, 8), NULL },    { "uint64", TYPE(TG_RAW_UNSIGNED, 8), NULL },
	{ "float64", TYPE(TG_RAW_FLOAT, 8), NULL },   { NULL, 0, NULL },
};

static const struct tg_word orders[] = {
	{ "ABCD", TG_RAW_ABCD, NULL },
	{ "CDAB", TG_RAW_CDAB, NULL },
	{ "BADC", TG_RAW_BADC, NULL },
	{ "DCBA", TG_RAW_DCBA, NULL },
	{ "big", TG_RAW_ABCD, NULL },
	{ "little", TG_RAW_DCBA, NULL },
	{ NULL, 0, NULL },
};

static int twice(const char *word, struct tg_fault *reterr)
{
	return tg_fault_set(reterr, -EINVAL,
			    "'%s': each of TYPE, order=, at=, mask=, shift= and bit= "
			    "stands once",
			    word);
}

static int parse_order(struct tg_raw_parse *p, const char *value, struct tg_fault *reterr)
{
	unsigned order;
	int r = tg_word_parse(value, orders, &order, reterr);

	if (r < 0) {
		(void) tg_fault_prefix(reterr, "order '%s'", value);
		return r;
	}
	p->raw.order = (enum tg_raw_order) order;
	p->order = true;
	return 1;
}

static int parse_number(const char *word, const char *value, uint64_t lo, uint64_t hi, bool *once,
			uint64_t *ret, struct tg_fault *reterr)
{
	char what[8] = "";
	int r;

	if (*once)
		return twice(word, reterr);
	memcpy(what, word, strcspn(word, "="));
	r = tg_read_number(what, value, lo, hi, ret, reterr);
	if (r < 0)
		return r;
	*once = true;
	return 1;
}

static int parse_type(struct tg_raw_parse *p, const char *word, struct tg_fault *reterr)
{
	for (const struct tg_word *t = types; t->word; t++) {
		if (strcmp(t->word, word) != 0)
			continue;
		if (p->type)
			return twice(word, reterr);
		p->type = true;
		p->raw.form = (enum tg_raw_form)(t->value >> 8);
		p->raw.size = (uint8_t) (t->value & 0xff);
		return 1;
	}
	return 0;
}

int tg_raw_word(struct tg_raw_parse *p, const char *word, struct tg_fault *reterr)
{
	const char *value;
	uint64_t n = 0;
	int r;

	value = tg_read_option(word, "order");
	if (value)
		return p->order ? twice(word, reterr) : parse_order(p, value, reterr);
	value = tg_read_option(word, "at");
	if (value) {
		r = parse_number(word, value, 0, TG_RAW_BYTES_MAX - 1, &p->at, &n, reterr);
		p->raw.at = (uint8_t) n;
		return r;
	}
	value = tg_read_option(word, "shift");
	if (value) {
		r = parse_number(word, value, 0, 63, &p->shift, &n, reterr);
		p->raw.shift = (uint8_t) n;
		return r;
	}
	value = tg_read_option(word, "bit");
	if (value) {
		r = parse_number(word, value, 0, 63, &p->bit, &n, reterr);
		p->bit_number = (uint8_t) n;
		return r;
	}
	value = tg_read_option(word, "mask");
	if (value)
		return parse_number(word, value, 1, UINT64_MAX, &p->mask, &p->raw.mask, reterr);
	return parse_type(p, word, reterr);
}

int tg_raw_unknown(const char *word, const char *also, struct tg_fault *reterr)
{
	struct tg_guess guess = TG_GUESS_INIT(word);

	for (const struct tg_word *t = types; t->word; t++)
		tg_guess_consider(&guess, t->word);
	if (guess.best)
		return tg_fault_set(reterr, -EINVAL, "'%s': unknown word, did you mean '%s'?", word,
				    guess.best);
	return tg_fault_set(reterr, -EINVAL,
			    "'%s' has no place here; there are %s, TYPE (uint16, int24, float32 "
			    "...), at=, order=, mask=, shift= and bit=",
			    word, also);
}

static uint64_t all_bits(const struct tg_raw *raw)
{
	return raw->size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * raw->size)) - 1;
}

/* bit=N is a mask of one bit. */
static int finish_bit(struct tg_raw_parse *p, struct tg_fault *reterr)
{
	if (!p->type)
		p->raw.size = 1;
	else if (p->raw.form != TG_RAW_UNSIGNED && p->raw.form != TG_RAW_BOOL)
		return tg_fault_set(reterr, -EINVAL, "bit= takes one bit of an unsigned TYPE");
	if (p->mask || p->shift)
		return tg_fault_set(reterr, -EINVAL, "bit= goes without mask= and shift=");
	if (p->bit_number >= 8 * p->raw.size)
		return tg_fault_set(reterr, -EINVAL, "bit %u is not in %u bits", p->bit_number,
				    8u * p->raw.size);
	p->raw.form = TG_RAW_BOOL;
	p->raw.mask = UINT64_C(1) << p->bit_number;
	return 0;
}

static int check_bits(struct tg_raw_parse *p, struct tg_fault *reterr)
{
	if (p->raw.form == TG_RAW_FLOAT && (p->mask || p->shift))
		return tg_fault_set(reterr, -EINVAL, "a float has no mask= and no shift=");
	if (!p->mask && !p->bit)
		p->raw.mask = all_bits(&p->raw);
	if (p->raw.mask & ~all_bits(&p->raw))
		return tg_fault_set(reterr, -EINVAL, "mask 0x%" PRIx64 " is wider than the value",
				    p->raw.mask);
	if (p->raw.mask >> p->raw.shift == 0)
		return tg_fault_set(reterr, -EINVAL, "shift=%u leaves nothing", p->raw.shift);
	return 0;
}

int tg_raw_finish(struct tg_raw_parse *p, size_t len, struct tg_raw *ret, struct tg_fault *reterr)
{
	bool words = p->raw.order == TG_RAW_CDAB || p->raw.order == TG_RAW_BADC;
	int r = p->bit ? finish_bit(p, reterr) : 0;

	if (r < 0)
		return r;
	if (!p->type && !p->bit)
		return tg_fault_set(reterr, -EINVAL, "a TYPE is missing, as uint16");
	r = check_bits(p, reterr);
	if (r < 0)
		return r;
	if (words && p->raw.size < 4)
		return tg_fault_set(reterr, -EINVAL, "CDAB and BADC are orders of 4 or 8 bytes");
	if (p->raw.at + (size_t) p->raw.size > len)
		return tg_fault_set(reterr, -EINVAL,
				    "the value reaches past the %zu bytes that are read", len);
	*ret = p->raw;
	return 0;
}

static int set_byte(const char *word, uint8_t *bytes, uint8_t *n, struct tg_fault *reterr)
{
	if (*n == TG_RAW_SET_MAX)
		return tg_fault_set(reterr, -EINVAL, "more than %d bytes", TG_RAW_SET_MAX);
	if (!tg_read_byte(word, &bytes[*n]))
		return tg_fault_set(reterr, -EINVAL,
				    "'%s' is neither a byte, as 0x1f or 1f, nor 'value'", word);
	++*n;
	return 0;
}

int tg_raw_set_parse(const char *text, const char *verb, struct tg_raw_set *ret,
		     struct tg_fault *reterr)
{
	struct tg_read_words w = TG_READ_WORDS_INIT(text);
	struct tg_raw_set set = { .given = true };
	bool value = false;
	int r = tg_read_words_next(&w, reterr);

	if (r == 0)
		*ret = (struct tg_raw_set){ .given = false };
	if (r <= 0)
		return r;
	if (strcmp(w.word, verb) != 0)
		return tg_fault_set(reterr, -EINVAL, "begins with '%s', as '%s 01 value'", verb,
				    verb);
	while ((r = tg_read_words_next(&w, reterr)) > 0) {
		if (strcmp(w.word, "value") == 0 && !value) {
			value = true;
			continue;
		}
		r = value ? set_byte(w.word, set.after, &set.n_after, reterr)
			  : set_byte(w.word, set.before, &set.n_before, reterr);
		if (r < 0)
			return r;
	}
	if (r == 0 && !value)
		return tg_fault_set(reterr, -EINVAL, "'value' is missing, as in '%s 01 value'",
				    verb);
	if (r == 0)
		*ret = set;
	return r;
}
