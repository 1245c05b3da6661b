/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load.h"

#include "config/loaded.h"
#include "config/source.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES (4u << 20) /* 8192 points in one file take about a megabyte */
#define SUFFIX     ".conf"

/* A load under way. */
struct loading {
	struct tg_loaded *l;
	unsigned files;
};

static int new_source(struct loading *g, const char *path, struct tg_source **ret)
{
	struct tg_source *source = tg_pool_alloc(&g->l->pool, sizeof(*source));

	if (!source)
		return -ENOMEM;
	source->path = tg_pool_copy(&g->l->pool, path);
	if (!source->path)
		return -ENOMEM;
	source->order = g->files++;
	*ret = source;
	return 0;
}

/* Who may write the configuration names the broker that is trusted and the files that are removed.
 */
static void check_mode(struct loading *g, const struct tg_source *source, mode_t mode)
{
	if (mode & S_IWOTH)
		tg_complain(g->l->doc.complain, (struct tg_place){ source, 0 },
			    "writable by everyone (mode %04o)", mode & 07777u);
}

/* Returns 0, or -errno of reading; contents that are refused are a complaint. */
static int load_file(struct loading *g, const char *path, struct tg_source **ret)
{
	tg_autofree char *data = NULL;
	struct tg_source *source;
	struct tg_fault why;
	size_t len;
	mode_t mode;
	int r;

	r = new_source(g, path, &source);
	if (r < 0)
		return r;
	*ret = source;
	r = tg_source_read(path, FILE_BYTES, &data, &len, &mode, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		tg_complain(g->l->doc.complain, (struct tg_place){ source, 0 }, "%s", why.text);
		return r;
	}
	check_mode(g, source, mode);
	return tg_document_add(&g->l->doc, source, data, len);
}

static int is_conf(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), suffix = strlen(SUFFIX);

	return entry->d_name[0] != '.' && len > suffix &&
	       strcmp(entry->d_name + len - suffix, SUFFIX) == 0;
}

/* By bytes, so that the order is the same in every locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_entries(struct loading *g, const char *dir, struct dirent **entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tg_source *source;
		const char *path = tg_pool_format(&g->l->pool, "%s/%s", dir, entries[i]->d_name);
		int r = path ? load_file(g, path, &source) : -ENOMEM;

		if (r == -ENOMEM)
			return r; /* any other failure is a complaint by now */
	}
	return 0;
}

static int load_dir(struct loading *g, const char *dir)
{
	struct dirent **entries = NULL;
	struct tg_source *source;
	struct stat st;
	int n, r;

	if (stat(dir, &st) < 0 && errno == ENOENT)
		return 0;
	r = new_source(g, dir, &source);
	if (r < 0)
		return r;
	n = scandir(dir, &entries, is_conf, by_bytes);
	if (n < 0) {
		r = -errno;
		tg_complain(g->l->doc.complain, (struct tg_place){ source, 0 },
			    "cannot be read: %s", strerror(-r));
		return r == -ENOMEM ? r : 0;
	}
	check_mode(g, source, st.st_mode);
	r = load_entries(g, dir, entries, (size_t) n);
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	return r;
}

/* The main file and conf.d beside it, of a path that is that file or the directory of both. */
static int load_all(struct loading *g, const char *path)
{
	struct tg_pool *pool = &g->l->pool;
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t) (slash - path) + 1 : 0;
	struct stat st;
	char *file, *dir;
	int r;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		const char *separator = path[strlen(path) - 1] == '/' ? "" : "/";

		file = tg_pool_format(pool, "%s%stidegate.conf", path, separator);
		dir = tg_pool_format(pool, "%s%sconf.d", path, separator);
	} else {
		file = tg_pool_copy(pool, path);
		dir = tg_pool_format(pool, "%.*sconf.d", (int) len, path);
	}
	if (!file || !dir)
		return -ENOMEM;
	r = load_file(g, file, &g->l->main);
	return r < 0 ? r : load_dir(g, dir);
}

/* Everything but the handing over: 0, or -EBADMSG and the like with complaints in @out. */
static int load(struct tg_loaded *l, const char *path, struct tg_complainer *out)
{
	struct loading g = { .l = l };
	int r;

	r = load_all(&g, path);
	if (r == 0)
		r = tg_config_build(l);
	if (r < 0)
		return r;
	tg_config_check(l);
	return out->errors ? -EBADMSG : 0;
}

int tg_config_load(const char *path, struct tg_complaints *c, struct tg_config **ret)
{
	tg_cleanup(tg_loaded_freep) struct tg_loaded *l = calloc(1, sizeof(*l));
	tg_cleanup(tg_complainer_done) struct tg_complainer out = { .n = 0 };
	int r;

	*c = (struct tg_complaints){ .items = NULL };
	if (!l)
		return -ENOMEM;
	atomic_init(&l->refs, 1);
	l->doc.pool = &l->pool;
	l->doc.complain = &out;
	r = load(l, path, &out);
	l->doc.complain = NULL;
	if (r != -ENOMEM) {
		/* A refusal without its reasons is no use: the failure to keep them comes first. */
		int kept = tg_complainer_finish(&out, c);

		r = kept < 0 ? kept : r;
	}
	if (r < 0)
		return r;
	*ret = &tg_take(l)->config;
	return 0;
}
