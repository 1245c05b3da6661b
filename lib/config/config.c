/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include "config/load.h"
#include "config/loaded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tg_loaded *loaded_of(const struct tg_config *c)
{
	return (struct tg_loaded *) c;
}

struct tg_loaded *tg_loaded_free(struct tg_loaded *l)
{
	if (!l)
		return NULL;
	tg_document_done(&l->doc);
	tg_pool_done(&l->pool);
	free(l);
	return NULL;
}

struct tg_config *tg_config_ref(struct tg_config *c)
{
	atomic_fetch_add_explicit(&loaded_of(c)->refs, 1, memory_order_relaxed);
	return c;
}

struct tg_config *tg_config_unref(struct tg_config *c)
{
	/* Whoever frees must see what all others have done with it before. */
	if (c && atomic_fetch_sub_explicit(&loaded_of(c)->refs, 1, memory_order_acq_rel) == 1)
		(void) tg_loaded_free(loaded_of(c));
	return NULL;
}

/* Where one dump stands. */
struct dump {
	tg_config_dump_fn line;
	void *user;
	const char *section;
};

static int dump_setting(const struct dump *d, const struct tg_setting *set)
{
	tg_autofree char *key = NULL, *origin = NULL;

	if (asprintf(&key, "%s%s", set->key->name, set->member ? set->member : "") < 0) {
		key = NULL;
		return -ENOMEM;
	}
	if (asprintf(&origin, "%s:%u", set->place.source->path, set->place.line) < 0) {
		origin = NULL;
		return -ENOMEM;
	}
	return d->line(d->user, d->section, key, set->value, origin);
}

/* Every setting of @key in @s, of which families and lists may have many; else its default. */
static int dump_key(const struct dump *d, const struct tg_config_key *key,
		    const struct tg_section *s)
{
	bool given = false;
	int r = 0;

	for (const struct tg_setting *set = s ? s->settings : NULL; r == 0 && set;
	     set = set->next) {
		/* By name: the setting's row may be that of another bus type. */
		if (strcmp(set->key->name, key->name) != 0)
			continue;
		given = true;
		r = dump_setting(d, set);
	}
	if (given || tg_config_key_is_family(key))
		return r;
	return d->line(d->user, d->section, key->name, key->dflt ? key->dflt : "", "default");
}

static int dump_section(struct dump *d, enum tg_config_kind kind, const struct tg_section *s)
{
	const struct tg_config_key *key;
	int r = 0;

	d->section = s ? s->name : tg_config_sorts[kind].word;
	for (size_t i = 0; r == 0 && (key = tg_config_key_at(i)); i++)
		if (key->kind == kind && tg_config_key_fits(key, s ? s->buses : 0))
			r = dump_key(d, key, s);
	return r;
}

int tg_config_dump(const struct tg_config *c, tg_config_dump_fn line, void *user)
{
	const struct tg_document *doc = &loaded_of(c)->doc;
	struct dump d = { .line = line, .user = user };
	int r = 0;

	for (enum tg_config_kind kind = 0; r == 0 && kind < TG_KINDS; kind++) {
		const struct tg_section *s = doc->kinds[kind].first;

		if (!s && !tg_config_sorts[kind].argument)
			r = dump_section(&d, kind, NULL);
		for (; r == 0 && s; s = s->next)
			r = dump_section(&d, kind, s);
	}
	return r;
}
