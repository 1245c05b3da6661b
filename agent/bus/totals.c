/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/totals.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"

#include <tidegate/log.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY "totals"
/* Names of devices may be "." and "..", with this behind them they are none. */
#define SUFFIX    ".txt"
#define TWO_TO_64 18446744073709551616.0

static void file_name(const struct tg_totals *t, const char *suffix,
		      char out[static TG_NAME_MAX + 16])
{
	(void) snprintf(out, TG_NAME_MAX + 16, "%s%s", t->cfg->name, suffix);
}

static size_t find_counters(struct tg_totals *t, tg_counts_fn counts)
{
	size_t n = 0;

	for (size_t i = 0; i < t->cfg->n_points; i++) {
		const struct tg_config_point *p = &t->cfg->points[i];
		bool fresh = counts && counts(p);

		t->bits[i] = fresh ? 64 : p->counter_bits;
		t->items[i].fresh = fresh;
		n += t->bits[i] > 0;
	}
	return n;
}

/* --- the file --- */

static int open_directory(const char *state_dir)
{
	char path[PATH_MAX];

	if (!state_dir)
		return -1;
	(void) snprintf(path, sizeof(path), "%s/" DIRECTORY, state_dir);
	if (tg_file_mkdirs(path, 0700, NULL) < 0)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void take_line(void *user, const char *name, uint64_t last, uint64_t total)
{
	struct tg_totals *t = user;

	for (size_t i = 0; i < t->cfg->n_points; i++) {
		if (t->bits[i] == 0 || strcmp(t->cfg->points[i].name, name) != 0)
			continue;
		t->items[i].begun = true;
		t->items[i].last = last;
		t->items[i].total = total;
	}
}

static void set_aside(struct tg_totals *t, const char *reason)
{
	char name[TG_NAME_MAX + 16], aside[TG_NAME_MAX + 16], text[TG_FAULT_MAX];

	file_name(t, SUFFIX, name);
	file_name(t, SUFFIX ".bad", aside);
	(void) renameat(t->dir, name, t->dir, aside);
	(void) snprintf(text, sizeof(text), "The totals of device %s are lost: %.200s", t->cfg->name,
			reason);
	tg_event(TG_EV_TOTALS_LOST, LOG_ERR, text, TG_F_DEVICE, t->cfg->name, TG_F_REASON, reason,
		 NULL);
}

static void load(struct tg_totals *t)
{
	tg_autofree char *text = NULL;
	struct tg_fault why = { .text = "" };
	char name[TG_NAME_MAX + 16];
	size_t len = 0;
	int r;

	file_name(t, SUFFIX, name);
	r = tg_file_read(t->dir, name, TG_TOTALS_FILE_MAX, &text, &len, &why);
	if (r == -ENOENT)
		return;
	if (r == 0 && tg_totals_parse(text, len, take_line, t) == 0)
		return;
	set_aside(t, r == 0 ? "the file is damaged" : why.text);
}

int tg_totals_init(struct tg_totals *t, const struct tg_config_device *cfg, tg_counts_fn counts,
		   const char *state_dir, uint64_t now_us)
{
	*t = (struct tg_totals){ .cfg = cfg, .dir = -1 };
	t->next_us = tg_us_add(now_us, cfg->totals_interval_us);
	t->items = calloc(cfg->n_points ? cfg->n_points : 1, sizeof(*t->items));
	t->bits = calloc(cfg->n_points ? cfg->n_points : 1, sizeof(*t->bits));
	if (!t->items || !t->bits)
		return -ENOMEM;
	if (find_counters(t, counts) == 0) {
		tg_totals_done(t);
		return 0;
	}
	t->dir = open_directory(state_dir);
	if (t->dir >= 0)
		load(t);
	else if (state_dir)
		tg_log(LOG_WARNING, "bus", "totals of %s are not kept: no directory " DIRECTORY,
		       cfg->name);
	return 0;
}

void tg_totals_done(struct tg_totals *t)
{
	free(t->items);
	free(t->bits);
	t->items = NULL;
	t->bits = NULL;
	tg_closep(&t->dir);
	t->dir = -1;
}

/* --- counting --- */

static bool to_count(const struct tg_value *v, uint64_t *ret)
{
	switch (v->type) {
	case TG_VALUE_UINT:
		*ret = v->u;
		return true;
	case TG_VALUE_INT:
		*ret = (uint64_t) v->i;
		return v->i >= 0;
	case TG_VALUE_REAL:
		if (!(v->real >= 0 && v->real < TWO_TO_64) || v->real != floor(v->real))
			return false;
		*ret = (uint64_t) v->real;
		return true;
	case TG_VALUE_NONE:
	case TG_VALUE_BOOL:
	case TG_VALUE_TEXT:
		break;
	}
	return false;
}

void tg_totals_apply(struct tg_totals *t, size_t i, struct tg_sample *s)
{
	uint64_t raw, before;

	if (!t->items || t->bits[i] == 0 || s->quality != TG_GOOD)
		return;
	if (!to_count(&s->value, &raw) || (t->bits[i] < 64 && raw >> t->bits[i])) {
		s->value = (struct tg_value){ .type = TG_VALUE_NONE };
		s->quality = TG_BAD;
		s->reason = "not a count of as many bits as 'counter' says";
		return;
	}
	before = t->items[i].total;
	t->changed |= !t->items[i].begun;
	tg_total_step(&t->items[i], t->bits[i], raw);
	t->changed |= t->items[i].total != before;
	s->value = (struct tg_value){ .type = TG_VALUE_UINT, .u = t->items[i].total };
}

uint64_t tg_totals_next_us(const struct tg_totals *t)
{
	return t->changed && t->dir >= 0 ? t->next_us : TG_US_FOREVER;
}

void tg_totals_save(struct tg_totals *t, uint64_t now_us)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer b = TG_BUFFER_INIT(TG_TOTALS_FILE_MAX);
	struct tg_fault why = { .text = "" };
	char name[TG_NAME_MAX + 16];
	int r;

	if (!t->changed || t->dir < 0)
		return;
	t->next_us = tg_us_add(now_us, t->cfg->totals_interval_us);
	tg_totals_put_head(&b);
	for (size_t i = 0; i < t->cfg->n_points; i++) {
		if (t->bits[i] > 0 && t->items[i].begun)
			tg_totals_put(&b, t->cfg->points[i].name, &t->items[i]);
	}
	tg_totals_put_tail(&b);
	file_name(t, SUFFIX, name);
	r = tg_buffer_error(&b);
	if (r == 0)
		r = tg_file_replace(t->dir, name, tg_buffer_text(&b), b.len, 0600, &why);
	if (r < 0 && !t->failing)
		tg_log(LOG_ERR, "bus", "totals of %s are not saved: %s; trying again", t->cfg->name,
		       why.text);
	t->failing = r < 0;
	t->changed = r < 0;
}
