/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/gpio_read.h"

#include "base/parse.h"
#include "config/bus/read_words.h"
#include "config/word.h"

#include <errno.h>
#include <string.h>

#define OFFSET_MAX  65535 /* chips of a thousand lines exist */
#define DEBOUNCE_US 1000000

enum flag { INPUT, OUTPUT, ACTIVE_LOW, PULL_UP, PULL_DOWN, NO_PULL, OPEN_DRAIN, OPEN_SOURCE };

static const struct tg_word flags[] = {
	{ "input", INPUT, NULL },
	{ "output", OUTPUT, NULL },
	{ "active-low", ACTIVE_LOW, NULL },
	{ "pull-up", PULL_UP, NULL },
	{ "pull-down", PULL_DOWN, NULL },
	{ "no-pull", NO_PULL, NULL },
	{ "open-drain", OPEN_DRAIN, NULL },
	{ "open-source", OPEN_SOURCE, NULL },
	{ NULL, 0, NULL },
};

static const struct tg_word edges[] = {
	{ "rising", TG_GPIO_RISING, NULL },
	{ "falling", TG_GPIO_FALLING, NULL },
	{ "both", TG_GPIO_RISING | TG_GPIO_FALLING, NULL },
	{ NULL, 0, NULL },
};

/* What has been said so far. */
struct said {
	struct tg_gpio_read read;
	bool direction, bias, drive;
};

static int parse_line(struct tg_read_words *w, struct tg_gpio_line *line, struct tg_fault *reterr)
{
	size_t len;
	uint64_t n;
	int r = tg_read_words_next(w, reterr);

	if (r < 0)
		return r;
	if (strcmp(w->word, "line") != 0)
		return tg_fault_set(reterr, -EINVAL,
				    "begins with 'line', as 'line 17' or 'line GPIO17 input'");
	r = tg_read_words_next(w, reterr);
	if (r <= 0)
		return r < 0 ? r
			     : tg_fault_set(reterr, -EINVAL,
					    "a number or a name is missing behind 'line'");
	len = strlen(w->word);
	if (strspn(w->word, "0123456789") == len) {
		r = tg_read_number("line", w->word, 0, OFFSET_MAX, &n, reterr);
		line->offset = r < 0 ? 0 : (uint32_t) n;
		return r;
	}
	if (len > TG_GPIO_NAME_MAX)
		return tg_fault_set(reterr, -EINVAL, "'%s': names of lines have up to %d bytes",
				    w->word, TG_GPIO_NAME_MAX);
	memcpy(line->name, w->word, len + 1);
	return 0;
}

static int parse_edges(const char *what, const char *value, unsigned *into, struct tg_fault *reterr)
{
	unsigned bits;
	int r = tg_word_parse(value, edges, &bits, reterr);

	if (r < 0) {
		(void) tg_fault_prefix(reterr, "%s '%s'", what, value);
		return r;
	}
	if (*into)
		return tg_fault_set(reterr, -EINVAL, "%s= stands once", what);
	*into = bits;
	return 0;
}

static int parse_debounce(struct tg_gpio_line *line, const char *value, struct tg_fault *reterr)
{
	uint64_t us;

	if (line->debounce_us || tg_parse_duration(value, &us) < 0 || us == 0 || us > DEBOUNCE_US)
		return tg_fault_set(reterr, -EINVAL,
				    "debounce '%s' is not a duration from 1us to 1s, given once",
				    value);
	line->debounce_us = (uint32_t) us;
	return 0;
}

/* Sets @field, once. */
#define ONCE(said_, flag_, field_, value_)                                                         \
	do {                                                                                       \
		if ((said_)->flag_)                                                                \
			return -EEXIST;                                                            \
		(said_)->flag_ = true;                                                             \
		(field_) = (value_);                                                               \
	} while (0)

static int take_flag(struct said *s, enum flag flag)
{
	struct tg_gpio_line *line = &s->read.line;

	switch (flag) {
	case INPUT:
	case OUTPUT:
		ONCE(s, direction, line->output, flag == OUTPUT);
		return 0;
	case ACTIVE_LOW:
		if (line->active_low)
			return -EEXIST;
		line->active_low = true;
		return 0;
	case PULL_UP:
		ONCE(s, bias, line->bias, TG_GPIO_PULL_UP);
		return 0;
	case PULL_DOWN:
		ONCE(s, bias, line->bias, TG_GPIO_PULL_DOWN);
		return 0;
	case NO_PULL:
		ONCE(s, bias, line->bias, TG_GPIO_NO_PULL);
		return 0;
	case OPEN_DRAIN:
		ONCE(s, drive, line->drive, TG_GPIO_OPEN_DRAIN);
		return 0;
	case OPEN_SOURCE:
		ONCE(s, drive, line->drive, TG_GPIO_OPEN_SOURCE);
		return 0;
	}
	return -EINVAL;
}

static int parse_option(struct said *s, const char *word, struct tg_fault *reterr)
{
	const char *value;
	unsigned flag;
	int r;

	value = tg_read_option(word, "edge");
	if (value)
		return parse_edges("edge", value, &s->read.edges, reterr);
	value = tg_read_option(word, "count");
	if (value)
		return parse_edges("count", value, &s->read.count, reterr);
	value = tg_read_option(word, "debounce");
	if (value)
		return parse_debounce(&s->read.line, value, reterr);
	if (strchr(word, '='))
		return tg_fault_set(
			reterr, -EINVAL,
			"'%s' has no place here; there are edge=, count= and debounce=", word);
	r = tg_word_parse(word, flags, &flag, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "'%s'", word);
		return r;
	}
	if (take_flag(s, (enum flag) flag) < 0)
		return tg_fault_set(reterr, -EINVAL,
				    "'%s' comes on top of another word of its kind", word);
	return 0;
}

/* What each word alone cannot tell. */
static int check_whole(const struct said *s, struct tg_fault *reterr)
{
	const struct tg_gpio_read *read = &s->read;

	if (read->edges && read->count)
		return tg_fault_set(reterr, -EINVAL,
				    "edge= and count= are two points; they may be of the same "
				    "line");
	if (read->line.output && (read->edges || read->count || read->line.debounce_us))
		return tg_fault_set(reterr, -EINVAL,
				    "an output has no edge=, count= and debounce=");
	if (!read->line.output && read->line.drive != TG_GPIO_PUSH_PULL)
		return tg_fault_set(reterr, -EINVAL, "open-drain and open-source are for outputs");
	return 0;
}

int tg_gpio_read_parse(const char *text, struct tg_gpio_read *ret, struct tg_fault *reterr)
{
	struct tg_read_words w = TG_READ_WORDS_INIT(text);
	struct said s = { .direction = false };
	int r = parse_line(&w, &s.read.line, reterr);

	if (r < 0)
		return r;
	while ((r = tg_read_words_next(&w, reterr)) > 0) {
		r = parse_option(&s, w.word, reterr);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = check_whole(&s, reterr);
	if (r == 0)
		*ret = s.read;
	return r;
}
