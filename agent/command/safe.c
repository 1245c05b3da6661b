/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command/safe.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct tg_config_point *config_of(const struct tg_config *cfg,
					       const struct tg_safe_point *p)
{
	return &cfg->devices[p->device].points[p->point];
}

static bool falls(const struct tg_config_point *p)
{
	return p->write && p->has_safe;
}

static size_t count(const struct tg_config *cfg)
{
	size_t n = 0;

	for (size_t d = 0; d < cfg->n_devices; d++) {
		for (size_t i = 0; i < cfg->devices[d].n_points; i++)
			n += falls(&cfg->devices[d].points[i]);
	}
	return n;
}

/* What the configuration before knew of the same point, by its names. */
static const struct tg_safe_point *known(const struct tg_safe *s, const char *device,
					 const char *point)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct tg_safe_point *p = &s->points[i];

		if (strcmp(s->cfg->devices[p->device].name, device) == 0 &&
		    strcmp(config_of(s->cfg, p)->name, point) == 0)
			return p;
	}
	return NULL;
}

static void begin(struct tg_safe_point *p, const struct tg_config_point *cfg, uint64_t now_us)
{
	p->due_us = tg_us_add(now_us, cfg->safe_after_us);
	p->pause_us = TG_SAFE_PAUSE_US;
	p->since_us = 0;
	p->failures = 0;
}

int tg_safe_configure(struct tg_safe *s, const struct tg_config *cfg, uint64_t now_us)
{
	struct tg_safe_point *points = calloc(count(cfg) + 1, sizeof(*points));
	size_t n = 0;

	if (!points)
		return -ENOMEM;
	for (size_t d = 0; d < cfg->n_devices; d++) {
		const struct tg_config_device *dev = &cfg->devices[d];

		for (size_t i = 0; i < dev->n_points; i++) {
			const struct tg_safe_point *was = known(s, dev->name, dev->points[i].name);

			if (!falls(&dev->points[i]))
				continue;
			begin(&points[n], &dev->points[i], now_us);
			/* A new value or a new time counts from now. */
			if (was && config_of(s->cfg, was)->safe == dev->points[i].safe &&
			    config_of(s->cfg, was)->safe_after_us == dev->points[i].safe_after_us)
				points[n] = *was;
			/* What was being written went with the worker that did it. */
			if (points[n].due_us == TG_US_FOREVER && !points[n].since_us)
				points[n].due_us = now_us;
			points[n].device = d;
			points[n++].point = i;
		}
	}
	free(s->points);
	s->points = points;
	s->n = n;
	s->cfg = cfg;
	return 0;
}

void tg_safe_done(struct tg_safe *s)
{
	free(s->points);
	*s = (struct tg_safe){ .n = 0 };
}

struct tg_safe_point *tg_safe_next(struct tg_safe *s, uint64_t now_us)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->points[i].due_us > now_us)
			continue;
		s->points[i].due_us = TG_US_FOREVER;
		return &s->points[i];
	}
	return NULL;
}

uint64_t tg_safe_due_us(const struct tg_safe *s)
{
	uint64_t due = TG_US_FOREVER;

	for (size_t i = 0; i < s->n; i++) {
		if (s->points[i].due_us < due)
			due = s->points[i].due_us;
	}
	return due;
}

void tg_safe_tell(struct tg_safe_point *p, bool written, uint64_t now_us)
{
	if (p->due_us != TG_US_FOREVER)
		return;
	if (written) {
		p->since_us = now_us;
		p->pause_us = TG_SAFE_PAUSE_US;
		p->failures = 0;
		return;
	}
	p->failures++;
	p->due_us = tg_us_add(now_us, p->pause_us);
	p->pause_us =
		p->pause_us < TG_SAFE_PAUSE_MAX_US / 2 ? 2 * p->pause_us : TG_SAFE_PAUSE_MAX_US;
}

struct tg_safe_point *tg_safe_find(struct tg_safe *s, size_t device, size_t point)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->points[i].device == device && s->points[i].point == point)
			return &s->points[i];
	}
	return NULL;
}

void tg_safe_commanded(struct tg_safe *s, size_t device, size_t point, uint64_t now_us)
{
	struct tg_safe_point *p = tg_safe_find(s, device, point);

	if (p)
		begin(p, config_of(s->cfg, p), now_us);
}
