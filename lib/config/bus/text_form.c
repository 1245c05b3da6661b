/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/text_form.h"

#include <errno.h>
#include <string.h>

#define BLANKS   " \t"
#define LETTERS  "abcdefghijklmnopqrstuvwxyz-"
#define WORD_MAX 16 /* of an on= or off= */

bool tg_slice_is(const struct tg_slice *s, const char *word)
{
	return strlen(word) == s->len && memcmp(s->at, word, s->len) == 0;
}

const char *tg_slice_text(const struct tg_slice *s, char *out, size_t size)
{
	size_t n = s->len < size ? s->len : size - 1;

	if (n)
		memcpy(out, s->at, n);
	out[n] = '\0';
	return out;
}

int tg_slice_next(const char **rest, struct tg_slice_word *ret, struct tg_fault *reterr)
{
	const char *s = *rest + strspn(*rest, BLANKS), *end;
	struct tg_slice_word w = { 0 };
	size_t letters = strspn(s, LETTERS);

	if (*s == '\0') {
		*rest = s;
		return 0;
	}
	if (letters > 0 && s[letters] == '=') {
		w.key = (struct tg_slice){ s, (unsigned) letters };
		s += letters + 1;
	}
	w.quoted = *s == '"';
	if (w.quoted)
		s++;
	end = w.quoted ? strchr(s, '"') : s + strcspn(s, BLANKS);
	if (!end)
		return tg_fault_set(reterr, -EINVAL, "a quotation mark is not closed");
	if (end - s > TG_SLICE_MAX)
		return tg_fault_set(reterr, -EINVAL, "'%.20s...' is longer than %d bytes", s,
				    TG_SLICE_MAX);
	w.value = (struct tg_slice){ s, (unsigned) (end - s) };
	end += w.quoted;
	if (*end && !strchr(BLANKS, *end))
		return tg_fault_set(reterr, -EINVAL, "'%.20s' stands right behind a quotation mark",
				    end);
	if (w.value.len == 0 && (w.key.len || w.quoted))
		return tg_fault_set(reterr, -EINVAL, "a word is empty");
	*rest = end;
	*ret = w;
	return 1;
}

static int set_kind(struct tg_text_form *form, enum tg_text_kind kind, struct tg_fault *reterr)
{
	if (form->given)
		return tg_fault_set(reterr, -EINVAL,
				    "number, hex, bool and text exclude each other");
	form->kind = kind;
	form->given = true;
	return 1;
}

static int set_word(struct tg_slice *to, const struct tg_slice_word *w, struct tg_fault *reterr)
{
	if (to->len)
		return tg_fault_set(reterr, -EINVAL, "%.*s= stands twice", (int) w->key.len,
				    w->key.at);
	if (w->value.len > WORD_MAX)
		return tg_fault_set(reterr, -EINVAL, "%.*s= is longer than %d bytes",
				    (int) w->key.len, w->key.at, WORD_MAX);
	*to = w->value;
	return 1;
}

int tg_text_form_take(struct tg_text_form *form, const struct tg_slice_word *w,
		      struct tg_fault *reterr)
{
	static const struct {
		const char *word;
		enum tg_text_kind kind;
	} kinds[] = {
		{ "number", TG_TEXT_NUMBER },
		{ "hex", TG_TEXT_HEX },
		{ "bool", TG_TEXT_BOOL },
		{ "text", TG_TEXT_AS_IS },
	};

	if (tg_slice_is(&w->key, "on"))
		return set_word(&form->on, w, reterr);
	if (tg_slice_is(&w->key, "off"))
		return set_word(&form->off, w, reterr);
	for (size_t i = 0; !w->key.len && !w->quoted && i < TG_ARRAY_SIZE(kinds); i++) {
		if (tg_slice_is(&w->value, kinds[i].word))
			return set_kind(form, kinds[i].kind, reterr);
	}
	return 0;
}

int tg_text_form_check(const struct tg_text_form *form, struct tg_fault *reterr)
{
	if (!form->on.len && !form->off.len)
		return 0;
	if (!form->on.len || !form->off.len)
		return tg_fault_set(reterr, -EINVAL, "on= and off= stand together");
	if (form->on.len == form->off.len && memcmp(form->on.at, form->off.at, form->on.len) == 0)
		return tg_fault_set(reterr, -EINVAL, "on= and off= are the same");
	if (form->given && form->kind != TG_TEXT_BOOL)
		return tg_fault_set(reterr, -EINVAL, "on= and off= are for bool");
	return 0;
}
