/* SPDX-License-Identifier: Apache-2.0 */
#include "config/complain.h"

#include <tidegate/error.h>

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 512 /* without the path, which may be as long as paths are */

/* Room for one more: a free one, or that of a warning when an error comes and all are taken. */
static struct tg_complaint_kept *make_room(struct tg_complainer *c, bool warning)
{
	if (c->n < TG_CONFIG_COMPLAINTS)
		return &c->kept[c->n++];
	for (size_t i = c->n; !warning && i > 0; i--) {
		struct tg_complaint_kept *k = &c->kept[i - 1];

		if (!k->complaint.warning)
			continue;
		free(k->complaint.text);
		return k;
	}
	return NULL;
}

bool tg_complainer_has_room(const struct tg_complainer *c)
{
	return c->errors < TG_CONFIG_COMPLAINTS;
}

static char *compose(struct tg_place place, const char *text)
{
	char *line = NULL;
	int n;

	if (!place.source)
		n = asprintf(&line, "%s", text);
	else if (place.line == 0)
		n = asprintf(&line, "%s: %s", place.source->path, text);
	else
		n = asprintf(&line, "%s:%u: %s", place.source->path, place.line, text);
	return n < 0 ? NULL : line;
}

static void keep(struct tg_complainer *c, struct tg_place place, bool warning, const char *raw)
{
	size_t nth = c->errors + c->warnings;
	struct tg_complaint_kept *k;
	char text[TEXT_MAX];

	if (warning)
		c->warnings++;
	else
		c->errors++;
	k = make_room(c, warning);
	if (!k)
		return;
	(void) tg_printable(text, sizeof text, raw, strlen(raw));
	*k = (struct tg_complaint_kept){
		.place = place,
		.nth = nth,
		.complaint = { .warning = warning, .text = compose(place, text) },
	};
	if (!k->complaint.text)
		c->failure = -ENOMEM;
}

void tg_complain(struct tg_complainer *c, struct tg_place place, const char *fmt, ...)
{
	char raw[2 * TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(raw, sizeof raw, fmt, ap) < 0)
		raw[0] = '\0';
	va_end(ap);
	keep(c, place, false, raw);
}

void tg_warn(struct tg_complainer *c, struct tg_place place, const char *fmt, ...)
{
	char raw[2 * TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(raw, sizeof raw, fmt, ap) < 0)
		raw[0] = '\0';
	va_end(ap);
	keep(c, place, true, raw);
}

static int by_place(const void *a, const void *b)
{
	const struct tg_complaint_kept *x = a, *y = b;
	unsigned fx = x->place.source ? x->place.source->order : UINT_MAX;
	unsigned fy = y->place.source ? y->place.source->order : UINT_MAX;

	if (fx != fy)
		return fx < fy ? -1 : 1;
	if (x->place.line != y->place.line)
		return x->place.line < y->place.line ? -1 : 1;
	return x->nth < y->nth ? -1 : 1;
}

int tg_complainer_finish(struct tg_complainer *c, struct tg_complaints *ret)
{
	struct tg_complaint *items = NULL;

	if (c->failure)
		return c->failure;
	if (c->n) {
		items = calloc(c->n, sizeof(*items));
		if (!items)
			return -ENOMEM;
		qsort(c->kept, c->n, sizeof(c->kept[0]), by_place);
	}
	for (size_t i = 0; i < c->n; i++)
		items[i] = c->kept[i].complaint;
	*ret = (struct tg_complaints){
		.items = items, .n = c->n, .errors = c->errors, .warnings = c->warnings
	};
	c->n = 0;
	return 0;
}

void tg_complainer_done(struct tg_complainer *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->kept[i].complaint.text);
	c->n = 0;
}

void tg_complaints_done(struct tg_complaints *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->items[i].text);
	free(c->items);
	*c = (struct tg_complaints){ .items = NULL };
}
