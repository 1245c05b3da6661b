/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/total.h"

#include "base/buffer.h"
#include "base/crc32c.h"
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD "tidegate totals 1\n"
#define TAIL "crc %08" PRIx32 "\n"

/* Of the tail as text. */
#define TAIL_LEN 13

void tg_total_step(struct tg_total *t, unsigned bits, uint64_t raw)
{
	uint64_t mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
	uint64_t last = t->last & mask;

	raw &= mask;
	if (!t->begun)
		t->total = raw;
	else if (t->fresh)
		t->total += raw;
	else if (raw >= last || last - raw > mask / 2)
		t->total += (raw - last) & mask;
	else
		t->total += raw;
	t->begun = true;
	t->fresh = false;
	t->last = raw;
}

void tg_totals_put_head(struct tg_buffer *b)
{
	tg_buffer_adds(b, HEAD);
}

void tg_totals_put(struct tg_buffer *b, const char *name, const struct tg_total *t)
{
	tg_buffer_addf(b, "%s %" PRIu64 " %" PRIu64 "\n", name, t->last, t->total);
}

void tg_totals_put_tail(struct tg_buffer *b)
{
	tg_buffer_addf(b, TAIL, tg_crc32c(0, tg_buffer_text(b), b->len));
}

/* --- reading --- */

struct line {
	char name[TG_NAME_MAX + 1];
	uint64_t last, total;
};

/* The next of the fields, which stand apart by one blank, ends at @stop; at most @size - 1 bytes. */
static const char *take_field(const char *at, const char *end, char stop, char *out, size_t size)
{
	const char *p = memchr(at, stop, (size_t) (end - at));

	if (!p || p == at || (size_t) (p - at) >= size)
		return NULL;
	memcpy(out, at, (size_t) (p - at));
	out[p - at] = '\0';
	return p + 1;
}

/* Returns the beginning of the next line, or NULL. */
static const char *take_line(const char *at, const char *end, struct line *ret)
{
	char last[24], total[24];

	at = take_field(at, end, ' ', ret->name, sizeof(ret->name));
	at = at ? take_field(at, end, ' ', last, sizeof(last)) : NULL;
	at = at ? take_field(at, end, '\n', total, sizeof(total)) : NULL;
	if (!at || strlen(ret->name) != strcspn(ret->name, "\n") ||
	    tg_parse_u64(last, &ret->last) < 0 || tg_parse_u64(total, &ret->total) < 0)
		return NULL;
	return at;
}

static bool is_whole(const char *text, size_t len)
{
	char tail[TAIL_LEN + 1];
	size_t body;

	if (len < strlen(HEAD) + TAIL_LEN || memcmp(text, HEAD, strlen(HEAD)) != 0 ||
	    memchr(text, '\0', len))
		return false;
	body = len - TAIL_LEN;
	(void) snprintf(tail, sizeof(tail), TAIL, tg_crc32c(0, text, body));
	return memcmp(text + body, tail, TAIL_LEN) == 0;
}

int tg_totals_parse(const char *text, size_t len, tg_totals_line_fn line, void *user)
{
	const char *at, *end;
	struct line l;

	if (!is_whole(text, len))
		return -EBADMSG;
	end = text + len - TAIL_LEN;
	/* Once to see that all of it is right, once to tell. */
	for (at = text + strlen(HEAD); at < end;) {
		at = take_line(at, end, &l);
		if (!at)
			return -EBADMSG;
	}
	for (at = text + strlen(HEAD); at && at < end;) {
		at = take_line(at, end, &l);
		if (at)
			line(user, l.name, l.last, l.total);
	}
	return 0;
}
