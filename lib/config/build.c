/* SPDX-License-Identifier: Apache-2.0 */
#include "config/loaded.h"
#include "config/type_enrol.h"

#include <errno.h>
#include <string.h>

/* The most common mistake in a value that cannot be parsed. */
static const char *comment_hint(const char *value)
{
	return strstr(value, " #") || strstr(value, " ;") ? " (comments stand on lines of their "
							    "own)"
							  : "";
}

static void refuse(struct tg_loaded *l, const struct tg_setting *set, const char *reason)
{
	tg_complain(l->doc.complain, set->place, "%s%s = %.120s: %s%s", set->key->name,
		    set->member ? set->member : "", set->value, reason, comment_hint(set->value));
}

/*
 * One value into its field. -ENOMEM is the only failure, since a refused value is a complaint: the
 * field keeps what it had.
 */
static int parse_value(struct tg_loaded *l, const struct tg_config_key *key,
		       const struct tg_setting *set, void *base)
{
	struct tg_fault why;
	int r;

	/* Without a value means not given at all, which is legal where the default says so; nowhere
	 * else. */
	if (!*set->value && (!key->dflt || *key->dflt)) {
		tg_complain(l->doc.complain, set->place, "%s needs a value", set->key->name);
		return 0;
	}
	r = key->type->parse(key, set->value, base, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		refuse(l, set, why.text);
	return 0;
}

/* What is kept of an item, NULL without memory; one that was refused stays as it is. */
static char *item_value(struct tg_loaded *l, const struct tg_config_key *key, char *text)
{
	char digits[TG_FINGERPRINT_HEX];

	if (key->type != &tg_type_fingerprint_list ||
	    tg_config_fingerprint(text, digits, NULL) < 0)
		return text;
	return tg_pool_copy(&l->pool, digits);
}

/* Settings of a family or a list into the pairs at the key's offset, in the order of the files. */
static int build_pairs(struct tg_loaded *l, const struct tg_config_key *key,
		       const struct tg_section *section, void *base)
{
	void *field = (char *) base + key->offset;
	struct tg_pairs *pairs = field;
	size_t n = 0;
	int r;

	for (struct tg_setting *set = section ? section->settings : NULL; set; set = set->next)
		n += strcmp(set->key->name, key->name) == 0;
	pairs->items = tg_pool_alloc(&l->pool, n * sizeof(*pairs->items));
	if (!pairs->items)
		return -ENOMEM;
	for (struct tg_setting *set = n ? section->settings : NULL; set; set = set->next) {
		struct tg_pair *pair = &pairs->items[pairs->n];

		/* By name: the setting's row may be that of another bus type. */
		if (strcmp(set->key->name, key->name) != 0)
			continue;
		r = parse_value(l, key, set, base);
		if (r < 0)
			return r;
		if (!*set->value && !tg_config_key_is_family(key))
			continue; /* an empty item only takes back those of earlier files */
		pair->name = tg_pool_copy(&l->pool, set->member ? set->member : "");
		pair->value = item_value(l, key, set->value);
		if (!pair->name || !pair->value)
			return -ENOMEM;
		pairs->n++;
	}
	return 0;
}

/*
 * The default first, so that the field is sound whatever becomes of the user's value. Parsers do
 * not write to the text and nobody does to a configuration, so strings may point at the table's
 * own.
 */
static int build_default(const struct tg_config_key *key, void *base)
{
	char *text = (char *) (key->dflt ? key->dflt : "");
	int r = key->type->parse(key, text, base, NULL);

	/* A required value has no default; parsing nothing at all gives a string that is at least
	 * not NULL. */
	return r == -ENOMEM || key->dflt ? r : 0;
}

static int build_key(struct tg_loaded *l, const struct tg_config_key *key,
		     const struct tg_section *section, void *base)
{
	const struct tg_setting *set = tg_section_get(section, key->name);
	int r;

	if (key->type == &tg_type_pair || tg_config_type_is_list(key->type))
		return build_pairs(l, key, section, base);
	r = build_default(key, base);
	if (r < 0)
		return r;
	if (set)
		return parse_value(l, key, set, base);
	if (!key->dflt)
		tg_complain(l->doc.complain, section->place, "[%s]: %s is missing", section->name,
			    key->name);
	return 0;
}

/* Every key of the section's kind; keys of one bus type only once section->buses says which it is.
 */
static int build_section(struct tg_loaded *l, enum tg_config_kind kind,
			 const struct tg_section *section, void *base)
{
	unsigned buses = section ? section->buses : 0;

	const struct tg_config_key *key;

	for (size_t i = 0; (key = tg_config_key_at(i)); i++) {
		int r;

		if (key->kind != kind || !tg_config_key_fits(key, buses))
			continue;
		r = build_key(l, key, section, base);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Keys that exist, but not on a bus of this type. Where the type is not known, that has been told.
 */
static void refuse_foreign_keys(struct tg_loaded *l, const struct tg_section *section)
{
	for (struct tg_setting *set = section->settings; section->buses && set; set = set->next) {
		const struct tg_config_key *key;
		bool fits = false;

		for (size_t i = 0; !fits && (key = tg_config_key_at(i)); i++)
			fits = key->kind == section->kind &&
			       strcmp(key->name, set->key->name) == 0 &&
			       tg_config_key_fits(key, section->buses);
		if (!fits)
			tg_complain(l->doc.complain, set->place,
				    "%s is no key for this type of bus", set->key->name);
	}
}

static int format_origin(struct tg_loaded *l, const struct tg_section *section, const char **ret)
{
	*ret = tg_pool_format(&l->pool, "%s:%u", section->place.source->path, section->place.line);
	return *ret ? 0 : -ENOMEM;
}

static int build_named(struct tg_loaded *l, struct tg_section *section, void *base, char **ret_name,
		       const char **ret_origin)
{
	const char *slash = strrchr(section->argument, '/');
	int r;

	*ret_name = tg_pool_copy(&l->pool, slash ? slash + 1 : section->argument);
	if (!*ret_name)
		return -ENOMEM;
	r = format_origin(l, section, ret_origin);
	if (r < 0)
		return r;
	r = build_section(l, section->kind, section, base);
	if (r < 0)
		return r;
	refuse_foreign_keys(l, section);
	return 0;
}

static int build_buses(struct tg_loaded *l)
{
	struct tg_config *c = &l->config;
	int r;

	c->buses = tg_pool_alloc(&l->pool, l->doc.kinds[TG_KIND_BUS].n * sizeof(*c->buses));
	if (!c->buses)
		return -ENOMEM;
	for (struct tg_section *s = l->doc.kinds[TG_KIND_BUS].first; s; s = s->next) {
		const struct tg_setting *type = tg_section_get(s, "type");
		unsigned value;

		/* The type decides which keys there are, so it comes before them; what is wrong
		 * with it is told with them. */
		if (type && tg_word_parse(type->value, tg_config_bus_types, &value, NULL) == 0)
			s->buses = TG_BUS_BIT(value);
		s->index = c->n_buses++;
		r = build_named(l, s, &c->buses[s->index], &c->buses[s->index].name,
				&c->buses[s->index].origin);
		if (r < 0)
			return r;
	}
	return 0;
}

static void unknown_name(struct tg_loaded *l, struct tg_place place, enum tg_config_kind kind,
			 const char *name)
{
	struct tg_guess guess = TG_GUESS_INIT(name);
	const char *word = tg_config_sorts[kind].word;
	const struct tg_section *s = l->doc.kinds[kind].first;

	for (; s && tg_complainer_has_room(l->doc.complain); s = s->next)
		tg_guess_consider(&guess, s->argument);
	if (guess.best)
		tg_complain(l->doc.complain, place, "there is no [%s %s], did you mean '%s'?", word,
			    name, guess.best);
	else
		tg_complain(l->doc.complain, place, "there is no [%s %s]", word, name);
}

/* The bus of a device, or NULL; a name that is none is told. */
static const struct tg_section *find_bus(struct tg_loaded *l, const struct tg_section *device)
{
	const struct tg_setting *set = tg_section_get(device, "bus");
	const struct tg_section *bus;

	if (!set || !tg_config_name_ok(set->value))
		return NULL;
	for (bus = l->doc.kinds[TG_KIND_BUS].first; bus; bus = bus->next)
		if (strcmp(bus->argument, set->value) == 0)
			return bus;
	unknown_name(l, set->place, TG_KIND_BUS, set->value);
	return NULL;
}

static int build_devices(struct tg_loaded *l)
{
	struct tg_config *c = &l->config;
	int r;

	c->devices = tg_pool_alloc(&l->pool, l->doc.kinds[TG_KIND_DEVICE].n * sizeof(*c->devices));
	if (!c->devices)
		return -ENOMEM;
	for (struct tg_section *s = l->doc.kinds[TG_KIND_DEVICE].first; s; s = s->next) {
		const struct tg_section *bus = find_bus(l, s);
		struct tg_config_device *dev = &c->devices[c->n_devices];

		s->buses = bus ? bus->buses : 0;
		s->index = c->n_devices++;
		r = build_named(l, s, dev, &dev->name, &dev->origin);
		if (r < 0)
			return r;
		dev->bus = bus ? bus->index : 0;
	}
	return 0;
}

/* The device of a point, or NULL; one that does not exist is told. */
static struct tg_section *find_device(struct tg_loaded *l, const struct tg_section *point)
{
	size_t len = strcspn(point->argument, "/");
	char name[sizeof "device " + 64];
	struct tg_section *device;

	memcpy(name, "device ", 7);
	memcpy(name + 7, point->argument, len);
	name[7 + len] = '\0';
	device = tg_document_find(&l->doc, name);
	if (!device)
		unknown_name(l, point->place, TG_KIND_DEVICE, name + 7);
	return device;
}

/* How many points each device has, so that their arrays can be made; finds the devices of all
 * points on the way. */
static int make_room(struct tg_loaded *l)
{
	struct tg_config *c = &l->config;

	for (struct tg_section *s = l->doc.kinds[TG_KIND_POINT].first; s; s = s->next) {
		s->parent = find_device(l, s);
		if (!s->parent)
			continue;
		s->buses = s->parent->buses;
		c->devices[s->parent->index].n_points++;
	}
	for (size_t i = 0; i < c->n_devices; i++) {
		struct tg_config_device *dev = &c->devices[i];

		dev->points = tg_pool_alloc(&l->pool, dev->n_points * sizeof(*dev->points));
		if (!dev->points)
			return -ENOMEM;
		dev->n_points = 0;
	}
	return 0;
}

static int build_points(struct tg_loaded *l)
{
	int r = make_room(l);

	for (struct tg_section *s = l->doc.kinds[TG_KIND_POINT].first; r == 0 && s; s = s->next) {
		struct tg_config_point ignored = { .name = NULL }, *point = &ignored;

		if (s->parent) {
			struct tg_config_device *dev = &l->config.devices[s->parent->index];

			s->index = dev->n_points;
			point = &dev->points[dev->n_points++];
		}
		r = build_named(l, s, point, &point->name, &point->origin);
	}
	return r;
}

int tg_config_build(struct tg_loaded *l)
{
	int r = 0;

	for (enum tg_config_kind kind = 0; r == 0 && kind < TG_KINDS; kind++)
		if (!tg_config_sorts[kind].argument)
			r = build_section(l, kind, l->doc.kinds[kind].first, &l->config);
	if (r == 0)
		r = build_buses(l);
	if (r == 0)
		r = build_devices(l);
	if (r == 0)
		r = build_points(l);
	return r;
}
