/* SPDX-License-Identifier: Apache-2.0 */
#include "config/bus/read_words.h"

#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int tg_read_words_next(struct tg_read_words *w, struct tg_fault *reterr)
{
	size_t n;

	w->rest += strspn(w->rest, " \t");
	n = strcspn(w->rest, " \t");
	if (n > TG_READ_WORD_MAX)
		return tg_fault_set(reterr, -EINVAL, "'%.20s...' is too long", w->rest);
	memcpy(w->word, w->rest, n);
	w->word[n] = '\0';
	w->rest += n;
	return n > 0;
}

const char *tg_read_option(const char *word, const char *name)
{
	size_t n = strlen(name);

	return strncmp(word, name, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

int tg_read_number(const char *what, const char *text, uint64_t lo, uint64_t hi, uint64_t *ret,
		   struct tg_fault *reterr)
{
	uint64_t value;

	if (tg_parse_u64(text, &value) < 0 || value < lo || value > hi)
		return tg_fault_set(reterr, -EINVAL, "%s '%s' is not %" PRIu64 " to %" PRIu64, what,
				    text, lo, hi);
	*ret = value;
	return 0;
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

	return p ? (int) (p - digits) : -1;
}

bool tg_read_byte(const char *word, uint8_t *ret)
{
	int value = 0;

	if (word[0] == '0' && word[1] == 'x')
		word += 2;
	if (!*word || strlen(word) > 2)
		return false;
	for (; *word; word++) {
		int d = digit(*word);

		if (d < 0)
			return false;
		value = value * 16 + d;
	}
	*ret = (uint8_t) value;
	return true;
}
