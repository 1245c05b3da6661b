/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/exec/line.h"

#include "base/parse.h"
#include "base/rfc3339.h"

#include <errno.h>
#include <string.h>

#define BLANKS     " \t"
#define TIME_MAX_S 253402300799.0 /* the end of 9999 */

/* Cuts the next word off *@rest, "" at the end. */
static char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, BLANKS);
	size_t len = strcspn(word, BLANKS);

	*rest = word + len;
	if (**rest)
		*(*rest)++ = '\0';
	return word;
}

/* A text in quotes, in which \" and \\ stand for themselves. */
static int next_quoted(char **rest, char **ret, struct tg_fault *reterr)
{
	char *from = *rest + strspn(*rest, BLANKS) + 1, *to = from;

	*ret = from;
	for (; *from && *from != '"'; from++) {
		if (*from == '\\' && (from[1] == '"' || from[1] == '\\'))
			from++;
		*to++ = *from;
	}
	if (!*from)
		return tg_fault_set(reterr, -EINVAL, "a quote is not closed");
	*rest = from + 1;
	*to = '\0';
	return 0;
}

static bool parse_truth(const char *word, bool *ret)
{
	/* Not tg_parse_bool(), as 1 and 0 are numbers here. */
	if (word[0] == '0' || word[0] == '1')
		return false;
	return tg_parse_bool(word, ret) == 0;
}

static void parse_plain(const char *word, struct tg_value *ret)
{
	if (tg_parse_i64(word, &ret->i) == 0)
		ret->type = TG_VALUE_INT;
	else if (tg_parse_u64(word, &ret->u) == 0)
		ret->type = TG_VALUE_UINT;
	else if (tg_parse_real(word, &ret->real) == 0)
		ret->type = TG_VALUE_REAL;
	else if (parse_truth(word, &ret->b))
		ret->type = TG_VALUE_BOOL;
	else
		*ret = (struct tg_value){ .type = TG_VALUE_TEXT, .text = word };
}

static int parse_value(char **rest, struct tg_exec_line *ret, struct tg_fault *reterr)
{
	char *word;
	int r;

	*rest += strspn(*rest, BLANKS);
	if (**rest == '!') {
		ret->reason = *rest + 1 + strspn(*rest + 1, BLANKS);
		*rest += strlen(*rest);
		if (!*ret->reason)
			ret->reason = "the program does not say why";
		return 0;
	}
	if (**rest == '"') {
		r = next_quoted(rest, &word, reterr);
		ret->value = (struct tg_value){ .type = TG_VALUE_TEXT, .text = word };
		return r;
	}
	word = next_word(rest);
	if (!*word)
		return tg_fault_set(reterr, -EINVAL, "no value behind the name");
	parse_plain(word, &ret->value);
	return 0;
}

static bool parse_time(const char *word, int64_t *ret_us)
{
	double s;

	if (tg_rfc3339_parse(word, ret_us) == 0)
		return true;
	if (tg_parse_real(word, &s) < 0 || s < 0 || s > TIME_MAX_S)
		return false;
	*ret_us = (int64_t) (s * 1e6);
	return true;
}

/* What may follow the value: a unit, a time, or both. What is no time is a unit (1/min is one). */
static int parse_tail(char *rest, struct tg_exec_line *ret, struct tg_fault *reterr)
{
	char *word = next_word(&rest);

	if (*word && !parse_time(word, &ret->time_us)) {
		ret->unit = word;
		word = next_word(&rest);
		if (*word && !parse_time(word, &ret->time_us))
			return tg_fault_set(reterr, -EINVAL,
					    "'%.40s' is neither seconds nor a date", word);
	}
	ret->has_time = *word != '\0';
	if (*word)
		word = next_word(&rest);
	return *word ? tg_fault_set(reterr, -EINVAL, "'%.40s' behind the time", word) : 0;
}

int tg_exec_line_parse(char *line, struct tg_exec_line *ret, struct tg_fault *reterr)
{
	char *rest = line + strspn(line, BLANKS), *equals;
	int r;

	*ret = (struct tg_exec_line){ .reason = "", .unit = "" };
	if (!*rest || *rest == '#')
		return 0;
	ret->name = rest;
	rest += strcspn(rest, BLANKS "=");
	equals = rest + strspn(rest, BLANKS);
	if (*equals == '=') {
		*rest = '\0';
		rest = equals + 1;
	} else if (*rest) {
		*rest++ = '\0';
	}
	if (!*ret->name || strlen(ret->name) > TG_NAME_MAX)
		return tg_fault_set(reterr, -EINVAL, "a name has 1 to %d bytes", TG_NAME_MAX);
	r = parse_value(&rest, ret, reterr);
	if (r == 0)
		r = parse_tail(rest, ret, reterr);
	return r < 0 ? r : 1;
}
