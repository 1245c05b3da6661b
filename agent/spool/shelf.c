/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/shelf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void remove_at(struct tg_shelf *s, size_t at)
{
	free(s->items[at].text);
	s->n--;
	memmove(&s->items[at], &s->items[at + 1], (s->n - at) * sizeof(s->items[0]));
}

void tg_shelf_done(struct tg_shelf *s)
{
	while (s->n)
		remove_at(s, s->n - 1);
}

static struct tg_shelf_item *find(struct tg_shelf *s, uint64_t number)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].number == number)
			return &s->items[i];
	return NULL;
}

static size_t count(const struct tg_shelf *s, bool stored)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->items[i].text && (!stored || s->items[i].stored);
	return n;
}

size_t tg_shelf_waiting(const struct tg_shelf *s)
{
	return count(s, false);
}

size_t tg_shelf_stored(const struct tg_shelf *s)
{
	return count(s, true);
}

static void finish(struct tg_shelf *s, struct tg_shelf_item *i, bool delivered)
{
	s->lost += !delivered;
	free(i->text);
	i->text = NULL;
	/* What the file has never seen needs no delete. */
	if (!i->stored && !i->tried)
		remove_at(s, (size_t) (i - s->items));
}

void tg_shelf_finish(struct tg_shelf *s, uint64_t number, bool delivered)
{
	struct tg_shelf_item *i = find(s, number);

	if (i && i->text)
		finish(s, i, delivered);
}

/* There is room for one more after this, @waits: one that waits. */
static void make_room(struct tg_shelf *s, bool waits)
{
	size_t i = 0;

	if (waits && tg_shelf_waiting(s) == TG_SHELF_EVENTS) {
		while (!s->items[i].text)
			i++;
		finish(s, &s->items[i], false);
	}
	if (s->n < TG_SHELF_ITEMS)
		return;
	/* The file has refused deletes for long: after a restart this one may be sent once more. */
	for (i = 0; s->items[i].text; i++)
		;
	remove_at(s, i);
}

static struct tg_shelf_item *insert(struct tg_shelf *s, uint64_t number, char *text)
{
	size_t at;

	make_room(s, text);
	for (at = s->n; at > 0 && s->items[at - 1].number > number; at--)
		s->items[at] = s->items[at - 1];
	s->n++;
	s->items[at] = (struct tg_shelf_item){ .number = number, .text = text };
	return &s->items[at];
}

void tg_shelf_put(struct tg_shelf *s, uint64_t number, char *text)
{
	if (!text)
		return;
	if (find(s, number))
		free(text);
	else
		insert(s, number, text)->given = true;
}

struct tg_shelf_item *tg_shelf_next(struct tg_shelf *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].text && !s->items[i].given)
			return &s->items[i];
	return NULL;
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

static bool is_behind(const struct tg_shelf_item *i)
{
	return !i->text || !i->stored;
}

bool tg_shelf_is_dirty(const struct tg_shelf *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_behind(&s->items[i]))
			return true;
	return s->lost > 0;
}

int tg_shelf_write(struct tg_shelf *s, struct tg_db *db)
{
	int r = tg_db_add_events_lost(db, s->lost);

	for (size_t i = 0; i < s->n && r == 0; i++) {
		struct tg_shelf_item *item = &s->items[i];

		if (!is_behind(item))
			continue;
		item->tried = true;
		r = item->text ? tg_db_event_append(db, item->number, item->text)
			       : tg_db_event_remove(db, item->number);
	}
	return r;
}

void tg_shelf_written(struct tg_shelf *s, bool committed)
{
	if (!committed)
		return;
	s->lost = 0;
	for (size_t i = s->n; i-- > 0;) {
		s->items[i].stored = true;
		s->items[i].tried = false;
		if (!s->items[i].text)
			remove_at(s, i);
	}
}

static int on_event(void *user, uint64_t number, const char *text)
{
	struct tg_shelf *s = user;
	struct tg_shelf_item *i = find(s, number);
	char *copy;

	if (!i && text) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
		i = insert(s, number, copy);
	} else if (!i) {
		/* Nobody can read it: it is deleted with the next transaction. */
		i = insert(s, number, NULL);
		s->lost++;
	}
	i->stored = text || !i->text;
	i->tried = true;
	return 0;
}

int tg_shelf_load(struct tg_shelf *s, struct tg_db *db)
{
	int r;

	for (size_t i = 0; i < s->n; i++)
		s->items[i].stored = false;
	r = tg_db_event_read(db, on_event, s);
	return r < 0 ? r : 0;
}
