/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include "config/load.h"

#include <tidegate/identity.h>

#include <errno.h>
#include <string.h>

struct dump {
	bool json;
	json_t *list;
	char section[2 * TG_NAME_MAX + 16];
};

static int on_key(void *user, const char *section, const char *key, const char *value,
		  const char *origin)
{
	struct dump *d = user;

	if (d->json)
		return json_array_append_new(d->list, json_pack("{s:s, s:s, s:s, s:s}", "section",
								section, "key", key, "value", value,
								"origin", origin));
	if (strcmp(d->section, section) != 0) {
		(void) printf("%s[%s]\n", d->section[0] ? "\n" : "", section);
		(void) snprintf(d->section, sizeof(d->section), "%s", section);
	}
	(void) printf("%s = %s    # %s\n", key, value, origin);
	return 0;
}

static int dump(const struct tg_ctl *ctl, const struct tg_config *cfg)
{
	struct dump d = { .json = ctl->json, .list = ctl->json ? json_array() : NULL };
	int r = tg_config_dump(cfg, on_key, &d);

	if (d.json)
		tg_ctl_print_json(d.list);
	json_decref(d.list);
	return r < 0 ? TG_EXIT_FAILED : TG_EXIT_OK;
}

static void print_complaints(const struct tg_ctl *ctl, const struct tg_complaints *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n; i++) {
		if (ctl->json)
			(void) json_array_append_new(list, json_pack("{s:b, s:s}", "warning",
								     c->items[i].warning, "text",
								     c->items[i].text));
		else
			(void) fprintf(stderr, "%s%s\n", c->items[i].warning ? "warning: " : "",
				       c->items[i].text);
	}
	if (ctl->json)
		tg_ctl_print_json(list);
	else if (c->errors + c->warnings > c->n)
		(void) fprintf(stderr, "and %zu more\n", c->errors + c->warnings - c->n);
	json_decref(list);
}

static int run(struct tg_ctl *ctl)
{
	tg_cleanup(tg_config_unrefp) struct tg_config *cfg = NULL;
	struct tg_complaints c = { .n = 0 };
	const char *path = ctl->config_path;
	int r;

	if (ctl->argc > 1) {
		(void) fputs("Usage: tidegate check [--dump] [FILE|DIR]\n", stderr);
		return TG_EXIT_USAGE;
	}
	if (ctl->argc)
		path = ctl->argv[0];
	r = tg_config_load(path, &c, &cfg);
	if (!ctl->dump || r < 0)
		print_complaints(ctl, &c);
	if (r < 0 && c.errors == 0)
		(void) fprintf(stderr, "tidegate: %s: %s\n", path, strerror(-r));
	else if (r == 0 && !ctl->dump && !ctl->json)
		(void) printf("%s: ok, %zu buses, %zu devices%s\n", path, cfg->n_buses,
			      cfg->n_devices, c.warnings ? ", with warnings" : "");
	tg_complaints_done(&c);
	if (r < 0)
		return TG_EXIT_CONFIG;
	return ctl->dump ? dump(ctl, cfg) : TG_EXIT_OK;
}

const struct tg_ctl_verb tg_verb_check = { "check", "[--dump] [FILE|DIR]",
					   "validate configuration; needs no agent", run };
