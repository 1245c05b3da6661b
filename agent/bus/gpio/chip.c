/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gpio/chip.h"

#include "agent/bus/gpio/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX "gpiochip"

static int open_path(const char *path, struct tg_gpio_chip *ret)
{
	struct tg_gpio_chip c = { .fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) };
	int r;

	if (c.fd < 0)
		return -errno;
	r = tg_gpio_chip_info(c.fd, &c.info);
	if (r < 0)
		tg_gpio_chip_close(&c);
	else
		*ret = c;
	return r;
}

/* What was seen while chips were looked through. */
struct search {
	const char *name;
	struct tg_gpio_chip found;
	char where[256]; /* its file */
	bool twice, denied;
};

static void consider(struct search *s, const char *dev, const char *file)
{
	tg_cleanup(tg_gpio_chip_close) struct tg_gpio_chip c = TG_GPIO_CHIP_NULL;
	char path[320];
	struct stat st;
	int r;

	(void) snprintf(path, sizeof(path), "%s/%s", dev, file);
	/* Old names of chips are links to new ones: the same chip, not a second. */
	if (lstat(path, &st) < 0 || S_ISLNK(st.st_mode))
		return;
	r = open_path(path, &c);
	s->denied |= r == -EACCES;
	if (r < 0 || (strcmp(c.info.label, s->name) != 0 && strcmp(c.info.name, s->name) != 0))
		return;
	if (s->found.fd >= 0) {
		s->twice = true;
		return;
	}
	s->found = c;
	c.fd = -1;
	(void) snprintf(s->where, sizeof(s->where), "%s", file);
}

static int search(const char *dev, const char *name, struct tg_gpio_chip *ret,
		  struct tg_fault *reterr)
{
	struct search s = { .name = name, .found = TG_GPIO_CHIP_NULL };
	struct dirent *e;
	DIR *dir = opendir(dev);

	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0)
			consider(&s, dev, e->d_name);
	}
	if (dir)
		(void) closedir(dir);
	if (s.twice) {
		tg_gpio_chip_close(&s.found);
		return tg_fault_set(reterr, -ENOTCONN,
				    "several chips are labelled '%s', one of them %s: name one by "
				    "its path",
				    name, s.where);
	}
	if (s.found.fd < 0)
		return tg_fault_set(reterr, -ENOTCONN, "no GPIO chip is called '%s'%s", name,
				    s.denied ? "; some may not be looked at, they are for group "
					       "gpio"
					     : "");
	*ret = s.found;
	return 0;
}

int tg_gpio_chip_open(const char *dev, const char *name, struct tg_gpio_chip *ret,
		      struct tg_fault *reterr)
{
	int r;

	if (name[0] != '/')
		return search(dev, name, ret, reterr);
	r = open_path(name, ret);
	if (r == -ENOENT)
		return tg_fault_set(reterr, -ENOTCONN, "%s is not there", name);
	if (r == -EACCES)
		return tg_fault_set(reterr, -ENOTCONN, "%s: no permission; it is for group gpio",
				    name);
	if (r < 0)
		return tg_fault_set(reterr, -ENOTCONN, "%s is no GPIO chip: %s", name,
				    strerror(-r));
	return 0;
}

bool tg_gpio_chip_there(const struct tg_gpio_chip *c)
{
	struct gpiochip_info info;

	return c->fd >= 0 && tg_gpio_chip_info(c->fd, &info) == 0;
}

void tg_gpio_chip_close(struct tg_gpio_chip *c)
{
	if (c->fd >= 0)
		(void) close(c->fd);
	c->fd = -1;
}
