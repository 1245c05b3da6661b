/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/modbus_read.h"

#include "base/parse.h"
#include "config/word.h"

#include <errno.h>
#include <string.h>

#define WORD_MAX  32    /* longer than any word here */
#define REGISTERS 65536 /* of each table */

static const struct tg_word tables[] = {
	{ "coil", TG_MODBUS_COIL, NULL },
	{ "discrete", TG_MODBUS_DISCRETE, NULL },
	{ "input", TG_MODBUS_INPUT, NULL },
	{ "holding", TG_MODBUS_HOLDING, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word types[] = {
	{ "bool", TG_MODBUS_BOOL, NULL },       { "int16", TG_MODBUS_INT16, NULL },
	{ "uint16", TG_MODBUS_UINT16, NULL },   { "int32", TG_MODBUS_INT32, NULL },
	{ "uint32", TG_MODBUS_UINT32, NULL },   { "float32", TG_MODBUS_FLOAT32, NULL },
	{ "int64", TG_MODBUS_INT64, NULL },     { "uint64", TG_MODBUS_UINT64, NULL },
	{ "float64", TG_MODBUS_FLOAT64, NULL }, { "int8", TG_MODBUS_INT8, NULL },
	{ "uint8", TG_MODBUS_UINT8, NULL },     { "string", TG_MODBUS_STRING, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word orders[] = {
	{ "ABCD", TG_ORDER_ABCD, NULL },
	{ "CDAB", TG_ORDER_CDAB, NULL },
	{ "BADC", TG_ORDER_BADC, NULL },
	{ "DCBA", TG_ORDER_DCBA, NULL },
	{ NULL, 0, NULL },
};

/* What has been said so far, and the words that are still to be read. */
struct words {
	const char *rest;
	char word[WORD_MAX];
	bool has_type, has_order;
};

/* Returns 1 and the next word in w->word, 0 at the end, or -EINVAL. */
static int next_word(struct words *w, struct tg_fault *reterr)
{
	size_t n;

	w->rest += strspn(w->rest, " \t");
	n = strcspn(w->rest, " \t");
	if (n == 0)
		return 0;
	if (n >= sizeof w->word)
		return tg_fault_set(reterr, -EINVAL, "'%.20s...' is too long", w->rest);
	memcpy(w->word, w->rest, n);
	w->word[n] = '\0';
	w->rest += n;
	return 1;
}

/* The form of vendors' tables: the first of five or six digits names the table, the others count
 * from 1. */
static int parse_number(const char *word, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	size_t len = strlen(word);
	unsigned number = 0;

	for (size_t i = 1; i < len; i++)
		number = number * 10 + (unsigned) (word[i] - '0');
	switch (word[0]) {
	case '0':
		read->table = TG_MODBUS_COIL;
		break;
	case '1':
		read->table = TG_MODBUS_DISCRETE;
		break;
	case '3':
		read->table = TG_MODBUS_INPUT;
		break;
	case '4':
		read->table = TG_MODBUS_HOLDING;
		break;
	default:
		return tg_fault_set(reterr, -EINVAL,
				    "%s: the first digit names the table: 0 coil, 1 discrete, 3 "
				    "input, 4 holding",
				    word);
	}
	if (number == 0)
		return tg_fault_set(reterr, -EINVAL,
				    "%s: addresses without a kind word count from 1", word);
	if (number > REGISTERS)
		return tg_fault_set(reterr, -EINVAL, "%s: the last register is %c65536", word,
				    word[0]);
	read->address = (uint16_t) (number - 1);
	return 0;
}

static int parse_kind(struct words *w, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	unsigned table;
	uint64_t address;
	int r;

	r = tg_word_parse(w->word, tables, &table, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "kind '%s'", w->word);
		return r;
	}
	r = next_word(w, reterr);
	if (r < 0)
		return r;
	if (r == 0)
		return tg_fault_set(reterr, -EINVAL, "an address is missing behind '%s'", w->word);
	r = tg_parse_u64(w->word, &address);
	if (r < 0 || address >= REGISTERS)
		return tg_fault_set(reterr, -EINVAL, "'%s' is not an address from 0 to 65535",
				    w->word);
	read->table = (enum tg_modbus_table) table;
	read->address = (uint16_t) address;
	return 0;
}

static int parse_where(struct words *w, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	int r = next_word(w, reterr);
	size_t len = strlen(w->word);

	if (r < 0)
		return r;
	if (r == 0)
		return tg_fault_set(reterr, -EINVAL, "empty");
	if (strspn(w->word, "0123456789") != len)
		return parse_kind(w, read, reterr);
	if (len != 5 && len != 6)
		return tg_fault_set(reterr, -EINVAL,
				    "an address without a kind word has five or six digits, as "
				    "40011; did you mean 'holding %s'?",
				    w->word);
	return parse_number(w->word, read, reterr);
}

static int parse_order(struct words *w, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	const char *text = w->word + strlen("order=");
	unsigned value;
	int r = tg_word_parse(text, orders, &value, reterr);

	if (r < 0) {
		(void) tg_fault_prefix(reterr, "order '%s'", text);
		return r;
	}
	read->order = (enum tg_modbus_order) value;
	w->has_order = true;
	return 0;
}

static int parse_bit(const char *text, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	uint64_t bit;

	if (tg_parse_u64(text, &bit) < 0 || bit > 15)
		return tg_fault_set(reterr, -EINVAL, "bit '%s' is not 0 to 15", text);
	read->bit = (int) bit;
	return 0;
}

/* FIRST..LAST, of which LAST is judged once the type is known. */
static int parse_bits(char *text, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	char *dots = strstr(text, "..");
	uint64_t first, last;

	if (dots)
		*dots = '\0';
	if (!dots || tg_parse_u64(text, &first) < 0 || tg_parse_u64(dots + 2, &last) < 0 ||
	    first > last || last > 63)
		return tg_fault_set(reterr, -EINVAL,
				    "bits= takes the lowest and the highest bit, as bits=4..7");
	read->bit = (int) first;
	read->n_bits = (unsigned) (last - first + 1);
	return 0;
}

static int parse_type(struct words *w, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	uint64_t length;
	unsigned value;
	int r = tg_word_parse(w->word, types, &value, reterr);

	if (r < 0) {
		(void) tg_fault_prefix(reterr, "type '%s'", w->word);
		return r;
	}
	read->type = (enum tg_modbus_type) value;
	w->has_type = true;
	if (read->type != TG_MODBUS_STRING)
		return 0;
	r = next_word(w, reterr);
	if (r < 0)
		return r;
	if (r == 0 || tg_parse_u64(w->word, &length) < 0 || length < 1 ||
	    length > TG_MODBUS_STRING_MAX)
		return tg_fault_set(reterr, -EINVAL,
				    "behind 'string' comes its length in bytes, 1 to %d",
				    TG_MODBUS_STRING_MAX);
	read->length = (unsigned) length;
	return 0;
}

static int parse_option(struct words *w, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	if (strncmp(w->word, "order=", 6) == 0 && !w->has_order)
		return parse_order(w, read, reterr);
	if (strncmp(w->word, "bit=", 4) == 0 && read->bit < 0)
		return parse_bit(w->word + 4, read, reterr);
	if (strncmp(w->word, "bits=", 5) == 0 && read->bit < 0)
		return parse_bits(w->word + 5, read, reterr);
	if (strchr(w->word, '=') || w->has_type)
		return tg_fault_set(reterr, -EINVAL,
				    "'%s' has no place here; after the address come TYPE, order= "
				    "and bit= or bits=, each once",
				    w->word);
	return parse_type(w, read, reterr);
}

/* Bits of an integer of @type; 0: it is none. */
static unsigned bits_of(enum tg_modbus_type type)
{
	switch (type) {
	case TG_MODBUS_INT8:
	case TG_MODBUS_UINT8:
		return 8;
	case TG_MODBUS_INT16:
	case TG_MODBUS_UINT16:
		return 16;
	case TG_MODBUS_INT32:
	case TG_MODBUS_UINT32:
		return 32;
	case TG_MODBUS_INT64:
	case TG_MODBUS_UINT64:
		return 64;
	case TG_MODBUS_BOOL:
	case TG_MODBUS_FLOAT32:
	case TG_MODBUS_FLOAT64:
	case TG_MODBUS_STRING:
		break;
	}
	return 0;
}

static int check_bits(const struct tg_modbus_read *read, struct tg_fault *reterr)
{
	unsigned bits = bits_of(read->type);

	if (read->n_bits == 0 && read->bit >= 0 && read->type != TG_MODBUS_BOOL)
		return tg_fault_set(reterr, -EINVAL, "bit= makes a bool, no other type");
	if (read->n_bits == 0)
		return 0;
	if (bits == 0)
		return tg_fault_set(reterr, -EINVAL, "bits= makes a number of an integer type");
	if ((unsigned) read->bit + read->n_bits > bits)
		return tg_fault_set(reterr, -EINVAL,
				    "bits= reaches past bit %u, the highest of the type", bits - 1);
	return 0;
}

/* What each word alone cannot tell. */
static int check_whole(const struct words *w, struct tg_modbus_read *read, struct tg_fault *reterr)
{
	bool bits = read->table == TG_MODBUS_COIL || read->table == TG_MODBUS_DISCRETE;

	if (!w->has_type && (bits || (read->bit >= 0 && read->n_bits == 0)))
		read->type = TG_MODBUS_BOOL;
	if (bits && (read->type != TG_MODBUS_BOOL || w->has_order || read->bit >= 0))
		return tg_fault_set(reterr, -EINVAL,
				    "a coil or discrete input is a bool, without order=, bit= and "
				    "bits=");
	if (read->type == TG_MODBUS_STRING &&
	    (read->order == TG_ORDER_CDAB || read->order == TG_ORDER_DCBA))
		return tg_fault_set(reterr, -EINVAL,
				    "a string has order=ABCD, or BADC with the bytes of each "
				    "register swapped");
	if (read->address + tg_modbus_read_span(read) > REGISTERS)
		return tg_fault_set(reterr, -EINVAL, "the value reaches past register 65535");
	return check_bits(read, reterr);
}

int tg_modbus_read_parse(const char *text, struct tg_modbus_read *ret, struct tg_fault *reterr)
{
	struct tg_modbus_read read = { .type = TG_MODBUS_UINT16,
				       .order = TG_ORDER_ABCD,
				       .bit = -1 };
	struct words w = { .rest = text };
	int r;

	r = parse_where(&w, &read, reterr);
	if (r < 0)
		return r;
	while ((r = next_word(&w, reterr)) > 0) {
		r = parse_option(&w, &read, reterr);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = check_whole(&w, &read, reterr);
	if (r == 0)
		*ret = read;
	return r;
}
