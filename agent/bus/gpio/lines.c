/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/gpio/lines.h"

#include "agent/bus/gpio/kernel.h"
#include "agent/bus/gpio/park.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define AGAIN_US (5 * TG_US_PER_S) /* somebody else may give a line back */
#define EVENTS   1024              /* edges that the kernel keeps for a line; its upper limit */

/* --- which lines --- */

static bool same_line(const struct tg_gpio_line *a, const struct tg_gpio_line *b)
{
	return strcmp(a->name, b->name) == 0 && a->offset == b->offset;
}

static bool same_setup(const struct tg_gpio_line *a, const struct tg_gpio_line *b)
{
	return a->output == b->output && a->active_low == b->active_low && a->bias == b->bias &&
	       a->drive == b->drive && a->debounce_us == b->debounce_us;
}

static int grow(struct tg_gpio_lines *l)
{
	size_t cap = l->cap ? 2 * l->cap : 8;
	struct tg_gpio_held *items;

	if (l->n < l->cap)
		return 0;
	items = reallocarray(l->items, cap, sizeof(*items));
	if (!items)
		return -ENOMEM;
	l->items = items;
	l->cap = cap;
	return 0;
}

static int find_or_add(struct tg_gpio_lines *l, const struct tg_config_point *point, size_t *ret,
		       struct tg_fault *reterr)
{
	const struct tg_gpio_line *cfg = &point->gpio.line;
	size_t i = 0;

	while (i < l->n && !same_line(&l->items[i].cfg, cfg))
		i++;
	if (i < l->n && (!same_setup(&l->items[i].cfg, cfg) || cfg->output))
		return tg_fault_set(reterr, -EINVAL, "%s: two points have the same line %s",
				    point->origin,
				    cfg->output ? "as an output" : "with different words");
	if (i == l->n) {
		if (grow(l) < 0)
			return tg_fault_set(reterr, -ENOMEM, "out of memory");
		l->items[l->n++] = (struct tg_gpio_held){
			.cfg = *cfg,
			.fd = -1,
			.initial = point->has_safe && point->safe != 0,
			.reason = "not requested yet",
		};
	}
	*ret = i;
	return 0;
}

int tg_gpio_lines_add(struct tg_gpio_lines *l, const struct tg_config_device *dev, size_t index,
		      size_t *ret, struct tg_fault *reterr)
{
	const struct tg_config_point *point = &dev->points[index];
	struct tg_gpio_point *p;
	size_t i;
	int r = find_or_add(l, point, &i, reterr);

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	*p = (struct tg_gpio_point){ .dev = dev, .point = index, .next = l->items[i].points };
	l->items[i].points = p;
	l->items[i].wanted |= point->gpio.edges | point->gpio.count;
	*ret = i;
	return 0;
}

/* --- the kernel's part --- */

static int resolve(const struct tg_gpio_chip *chip, const struct tg_gpio_held *h, uint32_t *ret)
{
	struct gpio_v2_line_info info;

	if (!*h->cfg.name) {
		*ret = h->cfg.offset;
		return h->cfg.offset < chip->info.lines ? 0 : -ERANGE;
	}
	for (uint32_t i = 0; i < chip->info.lines; i++) {
		if (tg_gpio_line_info(chip->fd, i, &info) < 0 ||
		    strcmp(info.name, h->cfg.name) != 0)
			continue;
		*ret = i;
		return 0;
	}
	return -ENOENT;
}

static struct tg_gpio_setup setup_of(const struct tg_gpio_held *h)
{
	static const uint64_t bias[] = {
		[TG_GPIO_PULL_UP] = GPIO_V2_LINE_FLAG_BIAS_PULL_UP,
		[TG_GPIO_PULL_DOWN] = GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN,
		[TG_GPIO_NO_PULL] = GPIO_V2_LINE_FLAG_BIAS_DISABLED,
	};
	static const uint64_t drive[] = {
		[TG_GPIO_OPEN_DRAIN] = GPIO_V2_LINE_FLAG_OPEN_DRAIN,
		[TG_GPIO_OPEN_SOURCE] = GPIO_V2_LINE_FLAG_OPEN_SOURCE,
	};
	struct tg_gpio_setup s = {
		.flags = h->cfg.output ? GPIO_V2_LINE_FLAG_OUTPUT : GPIO_V2_LINE_FLAG_INPUT,
		.debounce_us = h->cfg.debounce_us,
		.active = h->initial,
		.events = h->wanted ? EVENTS : 0,
	};

	s.flags |= bias[h->cfg.bias] | drive[h->cfg.drive];
	if (h->cfg.active_low)
		s.flags |= GPIO_V2_LINE_FLAG_ACTIVE_LOW;
	if (h->wanted & TG_GPIO_RISING)
		s.flags |= GPIO_V2_LINE_FLAG_EDGE_RISING;
	if (h->wanted & TG_GPIO_FALLING)
		s.flags |= GPIO_V2_LINE_FLAG_EDGE_FALLING;
	return s;
}

/* Makes the held line @fd what @h says, with the level that it has. Closes it when that fails. */
static int keep_level(const struct tg_gpio_held *h, int fd)
{
	struct tg_gpio_setup setup = setup_of(h);
	int r = tg_gpio_get(fd, &setup.active);

	if (r == 0)
		r = tg_gpio_configure(fd, &setup);
	if (r < 0)
		(void) close(fd);
	return r < 0 ? r : fd;
}

/*
 * An output that drives its line already is requested as it is, read, and only then made ours: without an instant of another
 * level. Returns a descriptor or -errno.
 */
static int request_output(const struct tg_gpio_chip *chip, const struct tg_gpio_held *h,
			  uint32_t offset)
{
	struct tg_gpio_setup as_is = { .flags = h->cfg.active_low ? GPIO_V2_LINE_FLAG_ACTIVE_LOW
								  : 0 };
	struct gpio_v2_line_info info;
	int r = tg_gpio_line_info(chip->fd, offset, &info), fd;

	if (r < 0)
		return r;
	if (!(info.flags & GPIO_V2_LINE_FLAG_OUTPUT) || (info.flags & GPIO_V2_LINE_FLAG_USED))
		return -ENOENT;
	r = tg_gpio_request(chip->fd, offset, &as_is, &fd);
	return r < 0 ? r : keep_level(h, fd);
}

static int request(const struct tg_gpio_chip *chip, const struct tg_gpio_held *h, uint32_t offset,
		   int *ret_fd)
{
	const struct tg_gpio_setup setup = setup_of(h);
	int fd = tg_gpio_unpark(chip->info.name, chip->info.label, offset);

	if (fd >= 0 && h->cfg.output)
		fd = keep_level(h, fd);
	else if (fd >= 0)
		fd = (close(fd), -1);
	if (fd < 0 && h->cfg.output)
		fd = request_output(chip, h, offset);
	if (fd < 0)
		return tg_gpio_request(chip->fd, offset, &setup, ret_fd);
	*ret_fd = fd;
	return 0;
}

static void explain(const struct tg_gpio_chip *chip, struct tg_gpio_held *h, uint32_t offset, int r)
{
	struct gpio_v2_line_info info;
	char text[2 * TG_REASON_MAX];

	if (r == -ERANGE)
		(void) snprintf(text, sizeof(text), "the chip has lines 0 to %u only",
				chip->info.lines - 1);
	else if (r == -ENOENT)
		(void) snprintf(text, sizeof(text), "no line of the chip is called '%s'",
				h->cfg.name);
	else if (r == -EBUSY && tg_gpio_line_info(chip->fd, offset, &info) == 0)
		(void) snprintf(text, sizeof(text), "line %u is used by '%s'", offset,
				info.consumer);
	else if (r == -ENXIO || (r == -EOPNOTSUPP && h->wanted))
		(void) snprintf(text, sizeof(text), "line %u cannot tell edges (%s)", offset,
				strerror(-r));
	else
		(void) snprintf(text, sizeof(text), "line %u: %s", offset, strerror(-r));
	(void) tg_printable(h->reason, sizeof(h->reason), text, strlen(text));
}

static int watch(const struct tg_gpio_held *h, size_t index, int epoll)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = index };

	if (!h->wanted)
		return 0;
	return epoll_ctl(epoll, EPOLL_CTL_ADD, h->fd, &ev) < 0 ? -errno : 0;
}

static void request_one(struct tg_gpio_lines *l, size_t i, const struct tg_gpio_chip *chip,
			int epoll)
{
	struct tg_gpio_held *h = &l->items[i];
	uint32_t offset = 0;
	int r = resolve(chip, h, &offset);

	if (r == 0)
		r = request(chip, h, offset, &h->fd);
	if (r == 0) {
		h->offset = offset;
		tg_gpio_edges_restart(&h->edges);
		r = watch(h, i, epoll);
	}
	if (r == 0)
		return;
	explain(chip, h, offset, r);
	if (h->fd >= 0)
		(void) close(h->fd);
	h->fd = -1;
}

void tg_gpio_lines_request(struct tg_gpio_lines *l, const struct tg_gpio_chip *chip, int epoll,
			   uint64_t now_us)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->items[i].fd >= 0 || l->items[i].again_us > now_us)
			continue;
		request_one(l, i, chip, epoll);
		l->items[i].again_us = now_us + AGAIN_US;
	}
}

void tg_gpio_lines_release(struct tg_gpio_lines *l, const struct tg_gpio_chip *chip, bool keep,
			   uint64_t now_us)
{
	for (size_t i = 0; i < l->n; i++) {
		struct tg_gpio_held *h = &l->items[i];

		h->again_us = 0;
		if (h->fd < 0)
			continue;
		if (keep && h->cfg.output && chip->fd >= 0)
			tg_gpio_park(chip->info.name, chip->info.label, h->offset, h->fd, now_us);
		else
			(void) close(h->fd);
		h->fd = -1;
	}
}

void tg_gpio_lines_done(struct tg_gpio_lines *l)
{
	for (size_t i = 0; i < l->n; i++) {
		while (l->items[i].points) {
			struct tg_gpio_point *p = l->items[i].points;

			l->items[i].points = p->next;
			free(p);
		}
	}
	free(l->items);
	*l = (struct tg_gpio_lines){ .n = 0 };
}
