/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/sim_read.h"

#include "base/parse.h"
#include "config/word.h"

#include <tidegate/sample.h>

#include <errno.h>
#include <string.h>

#define WORD_MAX 48 /* longer than any option here */

static const struct tg_word forms[] = {
	{ "constant", TG_SIM_CONSTANT, NULL },
	{ "sine", TG_SIM_SINE, NULL },
	{ "ramp", TG_SIM_RAMP, NULL },
	{ "square", TG_SIM_SQUARE, NULL },
	{ "random", TG_SIM_RANDOM, NULL },
	{ "counter", TG_SIM_COUNTER, NULL },
	{ "text", TG_SIM_TEXT, NULL },
	{ "writes", TG_SIM_WRITES, NULL },
	{ NULL, 0, NULL },
};

enum option { PERIOD, LOW, HIGH, BOOL, SEED, STEP, START, BITS, BAD_EVERY, OPTIONS };
#define O(option_) (1u << (option_))

static const struct tg_word options[] = {
	{ "period", PERIOD, NULL }, { "low", LOW, NULL },   { "high", HIGH, NULL },
	{ "bool", BOOL, NULL },     { "seed", SEED, NULL }, { "step", STEP, NULL },
	{ "start", START, NULL },   { "bits", BITS, NULL }, { "bad-every", BAD_EVERY, NULL },
	{ NULL, 0, NULL },
};

/* What each form may have beside bad-every. */
static const unsigned takes[] = {
	[TG_SIM_CONSTANT] = 0,
	[TG_SIM_SINE] = O(PERIOD) | O(LOW) | O(HIGH),
	[TG_SIM_RAMP] = O(PERIOD) | O(LOW) | O(HIGH),
	[TG_SIM_SQUARE] = O(PERIOD) | O(LOW) | O(HIGH) | O(BOOL),
	[TG_SIM_RANDOM] = O(LOW) | O(HIGH) | O(SEED),
	[TG_SIM_COUNTER] = O(STEP) | O(START) | O(BITS),
	[TG_SIM_TEXT] = 0,
	[TG_SIM_WRITES] = 0,
};

struct words {
	const char *rest;
	char word[WORD_MAX];
	unsigned seen; /* O() of the options so far */
};

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

static int parse_constant(struct words *w, struct tg_sim_read *read, struct tg_fault *reterr)
{
	bool truth;
	int r = next_word(w, reterr);

	if (r < 0)
		return r;
	if (r == 0)
		return tg_fault_set(reterr, -EINVAL, "a value is missing behind 'constant'");
	if (tg_parse_real(w->word, &read->low) == 0)
		return 0;
	if (tg_parse_bool(w->word, &truth) < 0)
		return tg_fault_set(reterr, -EINVAL, "'%s' is neither a number nor yes or no",
				    w->word);
	read->truth = true;
	read->low = truth;
	return 0;
}

static int parse_text(struct words *w, struct tg_sim_read *read, struct tg_fault *reterr)
{
	size_t len;

	w->rest += strspn(w->rest, " \t");
	len = strlen(w->rest);
	read->text = w->rest;
	read->text_len = len;
	if (*w->rest == '"') {
		if (len < 2 || strchr(w->rest + 1, '"') != w->rest + len - 1)
			return tg_fault_set(reterr, -EINVAL,
					    "a text in quotes ends with the second quote");
		read->text++;
		read->text_len -= 2;
	}
	if (read->text_len > TG_TEXT_MAX)
		return tg_fault_set(reterr, -EINVAL, "a text has at most %d bytes", TG_TEXT_MAX);
	w->rest += len;
	return 0;
}

static int whole(const char *name, const char *value, uint64_t lo, uint64_t hi, uint64_t *ret,
		 struct tg_fault *reterr)
{
	uint64_t v;

	if (tg_parse_u64(value, &v) < 0 || v < lo || v > hi)
		return tg_fault_set(reterr, -EINVAL,
				    "%s=%s is not a whole number from %llu to %llu", name, value,
				    (unsigned long long) lo, (unsigned long long) hi);
	*ret = v;
	return 0;
}

static int store_option(enum option o, const char *name, const char *value,
			struct tg_sim_read *read, struct tg_fault *reterr)
{
	uint64_t v = 0;
	int r = 0;

	switch (o) {
	case PERIOD:
		if (tg_parse_duration(value, &read->period_us) < 0 || !read->period_us ||
		    read->period_us > TG_SIM_PERIOD_MAX_US)
			return tg_fault_set(reterr, -EINVAL,
					    "period=%s is no duration up to 30d, as 250ms or 60s",
					    value);
		return 0;
	case LOW:
	case HIGH:
		if (tg_parse_real(value, o == LOW ? &read->low : &read->high) < 0)
			return tg_fault_set(reterr, -EINVAL, "%s=%s is not a number", name, value);
		return 0;
	case BOOL:
		read->truth = true;
		return 0;
	case SEED:
		return whole(name, value, 0, UINT64_MAX, &read->seed, reterr);
	case STEP:
		return whole(name, value, 0, UINT64_MAX, &read->step, reterr);
	case START:
		return whole(name, value, 0, UINT64_MAX, &read->start, reterr);
	case BITS:
		r = whole(name, value, 1, 64, &v, reterr);
		read->bits = r == 0 ? (unsigned) v : read->bits;
		return r;
	case BAD_EVERY:
		r = whole(name, value, 1, 1000000, &v, reterr);
		read->bad_every = r == 0 ? (unsigned) v : 0;
		return r;
	case OPTIONS:
		break;
	}
	return -EINVAL;
}

static int parse_option(struct words *w, struct tg_sim_read *read, struct tg_fault *reterr)
{
	char *value = strchr(w->word, '=');
	unsigned o;
	int r;

	if (value)
		*value++ = '\0';
	r = tg_word_parse(w->word, options, &o, reterr);
	if (r < 0) {
		(void) tg_fault_prefix(reterr, "option '%s'", w->word);
		return r;
	}
	if (!((takes[read->form] | O(BAD_EVERY)) & O(o)) || (w->seen & O(o)))
		return tg_fault_set(reterr, -EINVAL, "%s has no place here%s", w->word,
				    w->seen & O(o) ? ": it stands there already" : "");
	if ((o == BOOL) != !value)
		return tg_fault_set(reterr, -EINVAL,
				    value ? "'%s' stands alone" : "'%s' needs a value, as %s=5",
				    w->word, w->word);
	w->seen |= O(o);
	return store_option((enum option) o, w->word, value, read, reterr);
}

static int check_whole(const struct words *w, const struct tg_sim_read *read,
		       struct tg_fault *reterr)
{
	if ((takes[read->form] & O(PERIOD)) && !(w->seen & O(PERIOD)))
		return tg_fault_set(reterr, -EINVAL, "period= is missing, as period=60s");
	if (read->truth && (w->seen & (O(LOW) | O(HIGH))))
		return tg_fault_set(reterr, -EINVAL, "bool has neither low= nor high=");
	return 0;
}

int tg_sim_read_parse(const char *text, struct tg_sim_read *ret, struct tg_fault *reterr)
{
	struct tg_sim_read read = { .high = 1, .step = 1, .bits = 64, .text = "" };
	struct words w = { .rest = text };
	unsigned form;
	int r = next_word(&w, reterr);

	if (r == 0)
		return tg_fault_set(reterr, -EINVAL, "empty");
	if (r > 0)
		r = tg_word_parse(w.word, forms, &form, reterr);
	if (r < 0)
		return r;
	read.form = (enum tg_sim_form) form;
	if (read.form == TG_SIM_CONSTANT)
		r = parse_constant(&w, &read, reterr);
	else if (read.form == TG_SIM_TEXT)
		r = parse_text(&w, &read, reterr);
	while (r == 0 && (r = next_word(&w, reterr)) > 0)
		r = parse_option(&w, &read, reterr);
	if (r == 0)
		r = check_whole(&w, &read, reterr);
	if (r == 0)
		*ret = read;
	return r;
}
