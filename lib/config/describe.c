/* SPDX-License-Identifier: Apache-2.0 */
#include "config/describe.h"

#include "config/table.h"

#include <stdio.h>
#include <string.h>

#define SECTION_BYTES 64
#define VALUE_BYTES   256

static void bus_names(unsigned buses, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (const struct tg_word *w = tg_config_bus_types; w->word; w++) {
		int n;

		if (!(buses & TG_BUS_BIT(w->value)))
			continue;
		n = snprintf(out + used, size - used, "%s%s", used ? ", " : "", w->word);
		if (n < 0 || (size_t) n >= size - used)
			return;
		used += (size_t) n;
	}
}

static int describe_key(const struct tg_config_key *key, tg_config_entry_fn entry, void *user)
{
	const struct tg_config_sort *sort = &tg_config_sorts[key->kind];
	char section[SECTION_BYTES], name[SECTION_BYTES], words[VALUE_BYTES], types[VALUE_BYTES],
		buses[VALUE_BYTES];
	const struct tg_config_entry e = {
		.section = section,
		.key = name,
		.value = key->type->shape ? key->type->shape
					  : tg_word_list(key->words, "|", words, sizeof words),
		.dflt = key->dflt,
		.types = types,
		.buses = buses,
		.help = key->help,
	};

	(void) snprintf(section, sizeof section, "%s%s%s", sort->word, sort->argument ? " " : "",
			sort->argument ? sort->argument : "");
	(void) snprintf(name, sizeof name, "%s%s", key->name,
			tg_config_key_is_family(key) ? "NAME" : "");
	bus_names(tg_config_key_types(key), types, sizeof types);
	bus_names(key->buses, buses, sizeof buses);
	return entry(user, &e);
}

int tg_config_describe(tg_config_entry_fn entry, void *user)
{
	const struct tg_config_key *key;
	int r = 0;

	for (size_t i = 0; r == 0 && (key = tg_config_key_at(i)); i++)
		r = describe_key(key, entry, user);
	return r;
}

/* The sample as far as it is written. */
struct sample {
	struct tg_buffer *out;
	char section[SECTION_BYTES];
};

static void add_section(struct sample *s, const struct tg_config_entry *e)
{
	const char *word_end = strchr(e->section, ' ');

	for (size_t i = 0; i < TG_KINDS; i++) {
		size_t len = strlen(tg_config_sorts[i].word);

		if (strncmp(tg_config_sorts[i].word, e->section, len) == 0 &&
		    (e->section[len] == ' ' || !e->section[len]))
			tg_buffer_addf(s->out, "\n# %s\n", tg_config_sorts[i].help);
	}
	/* A section with a name is one of many, so there is none by default. */
	tg_buffer_addf(s->out, "%s[%s]\n", word_end ? "#" : "", e->section);
	(void) snprintf(s->section, sizeof s->section, "%s", e->section);
}

static int add_entry(void *user, const struct tg_config_entry *e)
{
	struct sample *s = user;

	if (strcmp(s->section, e->section) != 0)
		add_section(s, e);
	tg_buffer_addf(s->out, "\n# %s: %s%s%s%s\n", e->value, e->help,
		       *e->buses ? "; only on " : "", e->buses, e->dflt ? "" : "; must be given");
	tg_buffer_addf(s->out, "#%s =%s%s\n", e->key, e->dflt && *e->dflt ? " " : "",
		       e->dflt ? e->dflt : "");
	return 0;
}

int tg_config_sample(struct tg_buffer *out)
{
	struct sample s = { .out = out };
	int r;

	tg_buffer_adds(out, "# tidegate.conf: what can be set, with its default. Files of conf.d "
			    "beside this\n"
			    "# one are read after it, in the order of their names; what they set "
			    "wins, lists\n"
			    "# as a whole.\n");
	r = tg_config_describe(add_entry, &s);
	return r < 0 ? r : tg_buffer_error(out);
}
