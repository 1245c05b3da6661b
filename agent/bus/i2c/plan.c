/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/i2c/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

TG_DEFINE_CLEANUP(struct tg_i2c_plan *, tg_i2c_plan_free)

static bool same(const struct tg_i2c_transfer *a, const struct tg_i2c_transfer *b)
{
	return a->n_write == b->n_write && memcmp(a->write, b->write, a->n_write) == 0 &&
	       a->n_read == b->n_read && a->split == b->split && a->delay_us == b->delay_us &&
	       a->check == b->check;
}

static size_t find_or_add(struct tg_i2c_plan *p, const struct tg_i2c_transfer *t)
{
	for (size_t i = 0; i < p->n_transfers; i++) {
		if (same(p->transfers[i].transfer, t))
			return i;
	}
	p->transfers[p->n_transfers].transfer = t;
	return p->n_transfers++;
}

int tg_i2c_plan_new(const struct tg_config_device *dev, struct tg_i2c_plan **ret)
{
	tg_cleanup(tg_i2c_plan_freep) struct tg_i2c_plan *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->transfer_of = calloc(dev->n_points + 1, sizeof(*p->transfer_of));
	p->transfers = calloc(dev->n_points + 1, sizeof(*p->transfers));
	if (!p->transfer_of || !p->transfers)
		return -ENOMEM;
	for (size_t i = 0; i < dev->n_points; i++)
		p->transfer_of[i] = find_or_add(p, &dev->points[i].i2c.transfer);
	*ret = tg_take(p);
	return 0;
}

struct tg_i2c_plan *tg_i2c_plan_free(struct tg_i2c_plan *p)
{
	if (!p)
		return NULL;
	free(p->transfer_of);
	free(p->transfers);
	free(p);
	return NULL;
}
