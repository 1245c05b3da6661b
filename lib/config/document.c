/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"

#include "config/ini.h"

#include <tidegate/sample.h>

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* The file that is being read. */
struct reading {
	struct tg_document *doc;
	const struct tg_source *source;
	struct tg_section *current; /* NULL behind a header that is no section of ours */
	bool any;                   /* a header has been seen */
};

static int by_name(const void *a, const void *b)
{
	const struct tg_section *x = a, *y = b;

	return strcmp(x->name, y->name);
}

struct tg_section *tg_document_find(const struct tg_document *d, const char *name)
{
	const struct tg_section wanted = { .name = (char *) name };
	struct tg_section *const *node = tfind(&wanted, &d->index, by_name);

	return node ? *node : NULL;
}

struct tg_setting *tg_section_get(const struct tg_section *s, const char *key)
{
	for (struct tg_setting *i = s ? s->settings : NULL; i; i = i->next)
		if (strcmp(i->key->name, key) == 0)
			return i;
	return NULL;
}

struct tg_place tg_section_place(const struct tg_section *s, const char *key)
{
	const struct tg_setting *set = tg_section_get(s, key);

	if (set)
		return set->place;
	return s ? s->place : (struct tg_place){ .source = NULL };
}

static int on_problem(void *user, unsigned line, const char *text)
{
	struct reading *rd = user;

	tg_complain(rd->doc->complain, (struct tg_place){ rd->source, line }, "%s", text);
	return 0;
}

static void unknown_section(struct reading *rd, struct tg_place place, const char *word)
{
	struct tg_guess guess = TG_GUESS_INIT(word);

	for (size_t i = 0; i < TG_KINDS && tg_complainer_has_room(rd->doc->complain); i++)
		tg_guess_consider(&guess, tg_config_sorts[i].word);
	if (guess.best)
		tg_complain(rd->doc->complain, place, "unknown section [%s], did you mean [%s]?",
			    word, guess.best);
	else
		tg_complain(rd->doc->complain, place, "unknown section [%s]", word);
}

/* Names within the tree of DEVICE/NAME: `_q` is the encoders' suffix for quality, a leading '_'
 * theirs for pack records. */
static const char *point_problem(const char *argument)
{
	const char *slash = strchr(argument, '/');
	char device[TG_NAME_MAX + 1];
	size_t len;

	if (!slash)
		return "a point is named [point DEVICE/NAME]";
	len = (size_t) (slash - argument);
	if (len > TG_NAME_MAX)
		return "the device's name is longer than 64";
	memcpy(device, argument, len);
	device[len] = '\0';
	if (!tg_config_name_ok(device) || !tg_config_name_ok(slash + 1))
		return "names are 1 to 64 letters, digits, '.', '_' or '-'";
	if (slash[1] == '_')
		return "point names do not start with '_'";
	len = strlen(slash + 1);
	if (len >= 2 && strcmp(slash + len - 1, "_q") == 0)
		return "point names do not end in '_q'";
	return NULL;
}

static const char *argument_problem(enum tg_config_kind kind, const char *argument)
{
	if (!tg_config_sorts[kind].argument)
		return *argument ? "this section takes no name" : NULL;
	if (!*argument)
		return kind == TG_KIND_POINT ? "a point is named [point DEVICE/NAME]"
					     : "the section needs a name, as [bus NAME]";
	if (kind == TG_KIND_POINT)
		return point_problem(argument);
	return tg_config_name_ok(argument) ? NULL
					   : "names are 1 to 64 letters, digits, '.', '_' or '-'";
}

static const char *too_many(const struct tg_document *d, enum tg_config_kind kind)
{
	if (kind == TG_KIND_BUS && d->kinds[kind].n >= TG_CONFIG_BUSES)
		return "more than " TEXT(TG_CONFIG_BUSES) " buses";
	if (kind == TG_KIND_DEVICE && d->kinds[kind].n >= TG_CONFIG_DEVICES)
		return "more than " TEXT(TG_CONFIG_DEVICES) " devices";
	if (kind == TG_KIND_POINT && d->kinds[kind].n >= TG_CONFIG_POINTS)
		return "more than " TEXT(TG_CONFIG_POINTS) " points";
	return NULL;
}

static int add_section(struct tg_document *d, enum tg_config_kind kind, const char *argument,
		       struct tg_section **ret)
{
	const char *word = tg_config_sorts[kind].word;
	struct tg_section *s = tg_pool_alloc(d->pool, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->name = tg_pool_format(d->pool, *argument ? "%s %s" : "%s%s", word, argument);
	if (!s->name || !tsearch(s, &d->index, by_name))
		return -ENOMEM;
	s->argument = *argument ? s->name + strlen(word) + 1 : "";
	s->kind = kind;
	if (d->kinds[kind].last)
		d->kinds[kind].last->next = s;
	else
		d->kinds[kind].first = s;
	d->kinds[kind].last = s;
	d->kinds[kind].n++;
	*ret = s;
	return 0;
}

/* Makes the section current, new or from an earlier file. */
static int enter_section(struct reading *rd, struct tg_place place, enum tg_config_kind kind,
			 const char *argument)
{
	char name[TG_INI_SECTION_MAX + 1];
	struct tg_section *s;
	const char *problem;
	int r;

	(void) snprintf(name, sizeof name, *argument ? "%s %s" : "%s%s", tg_config_sorts[kind].word,
			argument);
	s = tg_document_find(rd->doc, name);
	if (s && s->place.source == place.source)
		tg_complain(rd->doc->complain, place, "[%s] is given twice, first at line %u", name,
			    s->place.line);
	if (!s) {
		problem = too_many(rd->doc, kind);
		if (problem) {
			tg_complain(rd->doc->complain, place, "%s", problem);
			return 0;
		}
		r = add_section(rd->doc, kind, argument, &s);
		if (r < 0)
			return r;
	}
	if (s->place.source != place.source)
		s->place = place;
	rd->current = s;
	return 0;
}

static int on_section(void *user, const char *name, unsigned line)
{
	struct reading *rd = user;
	struct tg_place place = { rd->source, line };
	char word[TG_INI_SECTION_MAX + 1];
	const char *argument, *problem;
	size_t len;

	rd->any = true;
	rd->current = NULL;
	if (!name)
		return 0;
	len = strcspn(name, " \t");
	memcpy(word, name, len);
	word[len] = '\0';
	argument = name + len + strspn(name + len, " \t");
	for (enum tg_config_kind kind = 0; kind < TG_KINDS; kind++) {
		if (strcmp(tg_config_sorts[kind].word, word) != 0)
			continue;
		problem = argument_problem(kind, argument);
		if (!problem)
			return enter_section(rd, place, kind, argument);
		tg_complain(rd->doc->complain, place, "[%s]: %s", name, problem);
		return 0;
	}
	unknown_section(rd, place, word);
	return 0;
}

/* The key may be misspelt, or stand in the wrong section. */
static void unknown_key(struct reading *rd, struct tg_place place, const char *name)
{
	struct tg_guess guess = TG_GUESS_INIT(name);
	const struct tg_config_key *elsewhere = NULL, *key;
	bool explain = tg_complainer_has_room(rd->doc->complain);
	const char *member;

	for (size_t i = 0; explain && (key = tg_config_key_at(i)); i++)
		if (key->kind == rd->current->kind)
			tg_guess_consider(&guess, key->name);
	for (enum tg_config_kind k = 0; explain && !elsewhere && k < TG_KINDS; k++)
		elsewhere = tg_config_key_find(k, name, &member);
	if (guess.best)
		tg_complain(rd->doc->complain, place, "unknown key '%s', did you mean '%s'?", name,
			    guess.best);
	else if (elsewhere)
		tg_complain(rd->doc->complain, place,
			    "unknown key '%s' in [%s]; there is one in [%s]", name,
			    rd->current->name, tg_config_sorts[elsewhere->kind].word);
	else
		tg_complain(rd->doc->complain, place, "unknown key '%s' in [%s]", name,
			    rd->current->name);
}

static bool same_member(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* What a later file says about a list replaces the whole of it. */
static void drop_earlier(struct tg_section *s, const struct tg_config_key *key,
			 const struct tg_source *source)
{
	struct tg_setting **at = &s->settings;

	while (*at) {
		if ((*at)->key == key && (*at)->place.source != source)
			*at = (*at)->next;
		else
			at = &(*at)->next;
	}
}

/* The setting that a new one of @key replaces, if there is one; *@ret_tail is where it goes
 * otherwise. */
static struct tg_setting *find_same(struct tg_section *s, const struct tg_config_key *key,
				    const char *member, struct tg_setting ***ret_tail,
				    size_t *ret_n)
{
	struct tg_setting **at = &s->settings;

	*ret_n = 0;
	for (; *at; at = &(*at)->next) {
		if ((*at)->key != key)
			continue;
		(*ret_n)++;
		if (!tg_config_type_is_list(key->type) && same_member((*at)->member, member))
			return *at;
	}
	*ret_tail = at;
	return NULL;
}

static int put(struct reading *rd, struct tg_place place, const struct tg_config_key *key,
	       const char *member, const char *value)
{
	struct tg_document *d = rd->doc;
	struct tg_setting *set, **tail = NULL;
	size_t n;

	if (tg_config_type_is_list(key->type))
		drop_earlier(rd->current, key, rd->source);
	set = find_same(rd->current, key, member, &tail, &n);
	if (set && set->place.source == rd->source) {
		tg_complain(d->complain, place, "'%s%s' is given twice, first at line %u",
			    key->name, member ? member : "", set->place.line);
		return 0;
	}
	if (!set && n >= TG_CONFIG_PAIRS) {
		tg_complain(d->complain, place, "more than %d times '%s'", TG_CONFIG_PAIRS,
			    key->name);
		return 0;
	}
	if (!set) {
		set = tg_pool_alloc(d->pool, sizeof(*set));
		if (!set)
			return -ENOMEM;
		set->key = key;
		*tail = set;
		set->member = member ? tg_pool_copy(d->pool, member) : NULL;
		if (member && !set->member)
			return -ENOMEM;
	}
	set->place = place;
	set->value = tg_pool_copy(d->pool, value);
	return set->value ? 0 : -ENOMEM;
}

static int on_setting(void *user, const char *name, const char *value, unsigned line)
{
	struct reading *rd = user;
	struct tg_place place = { rd->source, line };
	const struct tg_config_key *key;
	const char *member;

	if (!rd->any) {
		tg_complain(rd->doc->complain, place, "'%s' stands before the first [SECTION]",
			    name);
		rd->any = true; /* told once */
	}
	if (!rd->current)
		return 0;
	key = tg_config_key_find(rd->current->kind, name, &member);
	if (!key) {
		unknown_key(rd, place, name);
		return 0;
	}
	if (member && !tg_config_name_ok(member)) {
		tg_complain(rd->doc->complain, place,
			    "'%s' needs a name of letters, digits, '.', '_' or '-' behind the dot",
			    name);
		return 0;
	}
	return put(rd, place, key, member, value);
}

int tg_document_add(struct tg_document *d, const struct tg_source *source, const char *data,
		    size_t len)
{
	static const struct tg_ini_events events = {
		.section = on_section,
		.setting = on_setting,
		.problem = on_problem,
	};
	struct reading rd = { .doc = d, .source = source };

	return tg_ini_read(data, len, &events, &rd);
}

static void keep_node(void *section)
{
	(void) section; /* the pool's */
}

void tg_document_done(struct tg_document *d)
{
	tdestroy(d->index, keep_node);
	d->index = NULL;
}
