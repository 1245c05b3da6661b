/* SPDX-License-Identifier: Apache-2.0 */
#include "config/word.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFIX_MIN 3

/* How far a typing error goes: a third of the word, at least one letter, at most three. */
static unsigned reach(const char *word)
{
	size_t third = strlen(word) / 3;

	return third < 1 ? 1 : third > 3 ? 3 : (unsigned) third;
}

void tg_guess_consider(struct tg_guess *g, const char *candidate)
{
	unsigned limit = reach(g->word), distance = tg_parse_distance(g->word, candidate, limit);
	size_t len = strlen(g->word), length = strlen(candidate);
	size_t common = len < length ? len : length;

	/* A word cut short or drawn out, as `float` or `baudrate`, is near to what begins like it. */
	if (common >= PREFIX_MIN && strncmp(g->word, candidate, common) == 0)
		distance = distance < limit ? distance : limit;

	/* A word of one letter is one edit away from every other: no guess is better than that. */
	if (distance > limit || distance >= strlen(candidate) ||
	    (g->best && distance >= g->distance))
		return;
	g->best = candidate;
	g->distance = distance;
}

const char *tg_word_list(const struct tg_word *words, const char *separator, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (; words->word; words++) {
		int n;

		if (words->refused)
			continue;
		n = snprintf(out + used, size - used, "%s%s", used ? separator : "", words->word);
		if (n < 0 || (size_t) n >= size - used)
			break;
		used += (size_t) n;
	}
	return out;
}

int tg_word_parse(const char *text, const struct tg_word *words, unsigned *ret,
		  struct tg_fault *reterr)
{
	struct tg_guess guess = TG_GUESS_INIT(text);
	char list[160];

	(void) tg_word_list(words, ", ", list, sizeof list);
	for (const struct tg_word *w = words; w->word; w++) {
		if (strcmp(w->word, text) == 0 && w->refused)
			return tg_fault_set(reterr, -EINVAL, "%s; possible: %s", w->refused, list);
		if (strcmp(w->word, text) == 0) {
			*ret = w->value;
			return 0;
		}
		tg_guess_consider(&guess, w->word);
	}
	if (guess.best)
		return tg_fault_set(reterr, -EINVAL, "unknown word, did you mean '%s'?",
				    guess.best);
	return tg_fault_set(reterr, -EINVAL, "unknown word; possible: %s", list);
}
