/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/sysfs/chips.h"

#include "agent/bus/sysfs/attr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX 120 /* bytes of the names in an error */

/* Names behind each other, as many as fit. */
struct list {
	char text[LIST_MAX];
	size_t len;
};

static void list_add(struct list *l, const char *word)
{
	int n = snprintf(l->text + l->len, sizeof l->text - l->len, "%s%s", l->len ? ", " : "",
			 word);

	if (n > 0 && (size_t) n < sizeof l->text - l->len)
		l->len += (size_t) n;
	else
		l->text[l->len] = '\0';
}

/*
 * What the chip belongs to: where its link `device` leads, or else the folder that it is in (as with IIO, whose devices
 * stand below the chip's own).
 */
static void find_at(int dir, char out[static TG_CHIP_NAME_MAX + 1])
{
	char path[PATH_MAX], link[PATH_MAX], *slash;
	ssize_t n = readlinkat(dir, "device", path, sizeof path - 1);

	if (n < 0) {
		(void) snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
		n = readlink(link, path, sizeof path - 1);
		if (n < 0)
			n = 0;
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} else {
		path[n] = '\0';
	}
	slash = strrchr(path, '/');
	slash = slash ? slash + 1 : path;
	(void) tg_printable(out, TG_CHIP_NAME_MAX + 1, slash, strlen(slash));
}

/* Returns 0 with an open chip, or -errno for what is none, or has gone meanwhile. */
static int open_chip(int class_dir, const char *entry, struct tg_chip *ret)
{
	char name[TG_ATTR_MAX + 1];
	int r, dir = openat(class_dir, entry, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	r = tg_attr_read(dir, "name", name, NULL);
	if (r < 0) {
		(void) close(dir);
		return r;
	}
	ret->dir = dir;
	(void) tg_printable(ret->name, sizeof ret->name, name, strlen(name));
	find_at(dir, ret->at);
	return 0;
}

int tg_chip_each(const char *root, const struct tg_chip_class *class, tg_chip_fn each, void *user,
		 struct tg_fault *reterr)
{
	struct dirent **entries;
	char path[PATH_MAX];
	int n, dir;

	n = snprintf(path, sizeof path, "%s/%s", root, class->folder);
	if (n < 0 || (size_t) n >= sizeof path)
		return tg_fault_set(reterr, -ENAMETOOLONG, "%s: path too long", root);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	n = dir < 0 ? -1 : scandirat(dir, ".", &entries, NULL, versionsort);
	if (n < 0) {
		int r = -errno;

		if (dir >= 0)
			(void) close(dir);
		return tg_fault_set(reterr, r, "%s: %s", path, strerror(-r));
	}
	for (int i = 0; i < n; i++) {
		struct tg_chip chip;

		if (i < TG_CHIPS_MAX &&
		    strncmp(entries[i]->d_name, class->prefix, strlen(class->prefix)) == 0 &&
		    open_chip(dir, entries[i]->d_name, &chip) == 0) {
			each(user, &chip);
			(void) close(chip.dir);
		}
		free(entries[i]);
	}
	free(entries);
	(void) close(dir);
	return 0;
}

struct search {
	const char *name, *at;
	int dir; /* of the first that fits; -1: none */
	unsigned found;
	struct list names, places;
};

static void consider(void *user, const struct tg_chip *chip)
{
	struct search *s = user;

	list_add(&s->names, chip->name);
	if (strcmp(chip->name, s->name) != 0)
		return;
	list_add(&s->places, chip->at);
	if (*s->at && strcmp(chip->at, s->at) != 0)
		return;
	if (s->found++ == 0)
		s->dir = fcntl(chip->dir, F_DUPFD_CLOEXEC, 0);
}

int tg_chip_find(const char *root, const struct tg_chip_class *class, const char *name,
		 const char *at, int *ret_dir, struct tg_fault *reterr)
{
	struct search s = { .name = name, .at = at, .dir = -1 };
	int r = tg_chip_each(root, class, consider, &s, reterr);

	if (r == -ENOENT)
		return tg_fault_set(reterr, -ENODEV, "this machine has no %ss", class->article);
	if (r < 0)
		return r;
	if (s.found == 1 && s.dir < 0)
		return tg_fault_set(reterr, -EMFILE, "too many open files");
	if (s.found == 1) {
		*ret_dir = s.dir;
		return 0;
	}
	if (s.dir >= 0)
		(void) close(s.dir);
	if (s.found > 1)
		return tg_fault_set(reterr, -EEXIST, "several chips are called %s: at = one of %s",
				    name, s.places.text);
	if (s.places.len)
		return tg_fault_set(reterr, -ENODEV, "no %s at %s; there is one at %s", name, at,
				    s.places.text);
	return tg_fault_set(reterr, -ENODEV, "no %s called %s; there is %s", class->article, name,
			    s.names.len ? s.names.text : "none at all");
}
