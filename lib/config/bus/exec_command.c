/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/exec_command.h"

#include <errno.h>
#include <string.h>

/* Where the splitting stands: what is read, and where its characters go. */
struct split {
	const char *from;
	char *to;
};

/* What stands in quotes, from behind the first to behind the last. */
static int take_quoted(struct split *s, char quote, struct tg_fault *reterr)
{
	for (; *s->from && *s->from != quote; s->from++) {
		if (*s->from == '\\' && quote == '"' && s->from[1])
			s->from++;
		*s->to++ = *s->from;
	}
	if (!*s->from)
		return tg_fault_set(reterr, -EINVAL, "a quote is not closed");
	s->from++;
	return 0;
}

static int take_word(struct split *s, struct tg_fault *reterr)
{
	while (*s->from && *s->from != ' ' && *s->from != '\t') {
		char c = *s->from++;
		int r = 0;

		if (c == '\'' || c == '"')
			r = take_quoted(s, c, reterr);
		else if (c == '\\' && !*s->from)
			r = tg_fault_set(reterr, -EINVAL, "a backslash at the end");
		else
			*s->to++ = c == '\\' ? *s->from++ : c;
		if (r < 0)
			return r;
	}
	*s->to++ = '\0';
	return 0;
}

int tg_exec_words_split(const char *command, struct tg_exec_words *ret, struct tg_fault *reterr)
{
	struct split s = { .from = command };

	*ret = (struct tg_exec_words){ .n = 0 };
	/* Every word ends with a NUL in place of a blank, and the last one with its own. */
	ret->text = malloc(strlen(command) + 2);
	if (!ret->text)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	s.to = ret->text;
	for (;;) {
		int r;

		s.from += strspn(s.from, " \t");
		if (!*s.from)
			break;
		if (ret->n == TG_EXEC_WORDS)
			return tg_fault_set(reterr, -EINVAL, "more than %d words", TG_EXEC_WORDS);
		ret->words[ret->n++] = s.to;
		r = take_word(&s, reterr);
		if (r < 0)
			return r;
	}
	if (ret->n == 0 || ret->words[0][0] != '/')
		return tg_fault_set(reterr, -EINVAL,
				    "the program is named by its whole path, from / on; there is "
				    "no shell");
	return 0;
}

void tg_exec_words_done(struct tg_exec_words *w)
{
	free(w->text);
	*w = (struct tg_exec_words){ .n = 0 };
}
