/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/index.h"

#include "agent/bus/can/j1939.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_key(const void *pa, const void *pb)
{
	const struct tg_can_entry *a = pa, *b = pb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return (a->source > b->source) - (a->source < b->source);
}

static void add_point(struct tg_can_index *x, const struct tg_config_device *dev, size_t point)
{
	const struct tg_can_read *read = &dev->points[point].can;
	struct tg_can_entry *e = read->j1939 ? &x->groups[x->n_groups++] : &x->frames[x->n_frames++];

	*e = (struct tg_can_entry){
		.key = read->extended && !read->j1939 ? read->id | CAN_EFF_FLAG : read->id,
		.source = read->source != TG_CAN_ANY ? read->source : dev->can.source,
		.dev = dev,
		.point = point,
	};
}

int tg_can_index_init(struct tg_can_index *x, const struct tg_config *cfg, size_t bus)
{
	size_t frames = 0, groups = 0;

	*x = (struct tg_can_index){ 0 };
	for (size_t i = 0; i < cfg->n_devices; i++) {
		const struct tg_config_device *dev = &cfg->devices[i];

		for (size_t k = 0; dev->bus == bus && k < dev->n_points; k++)
			*(dev->points[k].can.j1939 ? &groups : &frames) += 1;
	}
	x->frames = calloc(frames ? frames : 1, sizeof(*x->frames));
	x->groups = calloc(groups ? groups : 1, sizeof(*x->groups));
	if (!x->frames || !x->groups) {
		tg_can_index_done(x);
		return -ENOMEM;
	}

	for (size_t i = 0; i < cfg->n_devices; i++) {
		const struct tg_config_device *dev = &cfg->devices[i];

		for (size_t k = 0; dev->bus == bus && k < dev->n_points; k++)
			add_point(x, dev, k);
	}
	qsort(x->frames, x->n_frames, sizeof(*x->frames), by_key);
	qsort(x->groups, x->n_groups, sizeof(*x->groups), by_key);
	return 0;
}

void tg_can_index_done(struct tg_can_index *x)
{
	free(x->frames);
	free(x->groups);
	*x = (struct tg_can_index){ 0 };
}

size_t tg_can_index_find(const struct tg_can_entry *entries, size_t n, uint32_t key,
			 const struct tg_can_entry **ret)
{
	size_t lo = 0, hi = n, count = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (entries[mid].key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + count < n && entries[lo + count].key == key)
		count++;
	*ret = entries + lo;
	return count;
}

/* Same as the entry before it, which has its filter already. */
static bool is_repeated(const struct tg_can_entry *entries, size_t i)
{
	return i > 0 && by_key(&entries[i - 1], &entries[i]) == 0;
}

static struct can_filter group_filter(const struct tg_can_entry *e)
{
	struct can_filter f = {
		.can_id = tg_j1939_id(e->key) | CAN_EFF_FLAG,
		.can_mask = tg_j1939_mask(e->key) | CAN_EFF_FLAG | CAN_RTR_FLAG,
	};

	if (e->source != TG_CAN_ANY) {
		f.can_id |= (canid_t) e->source;
		f.can_mask |= 0xff;
	}
	return f;
}

size_t tg_can_index_filters(const struct tg_can_index *x, bool groups, struct can_filter *out,
			    size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n_frames && n <= max; i++) {
		if (is_repeated(x->frames, i))
			continue;
		if (n < max)
			out[n] = (struct can_filter){
				.can_id = x->frames[i].key,
				.can_mask = CAN_EFF_FLAG | CAN_RTR_FLAG |
					    (x->frames[i].key & CAN_EFF_FLAG ? CAN_EFF_MASK :
									       CAN_SFF_MASK),
			};
		n++;
	}
	for (size_t i = 0; groups && i < x->n_groups && n <= max; i++) {
		if (is_repeated(x->groups, i))
			continue;
		if (n < max)
			out[n] = group_filter(&x->groups[i]);
		n++;
	}
	if (n <= max)
		return n;
	out[0] = (struct can_filter){ .can_id = 0, .can_mask = CAN_RTR_FLAG };
	return 1;
}

size_t tg_can_index_group_filters(const struct tg_can_index *x, struct j1939_filter *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n_groups; i++) {
		const struct tg_can_entry *e = &x->groups[i];

		if (is_repeated(x->groups, i))
			continue;
		if (n == max) {
			/* All masks 0: everything. */
			out[0] = (struct j1939_filter){ 0 };
			return 1;
		}
		out[n++] = (struct j1939_filter){
			.pgn = e->key,
			.pgn_mask = J1939_PGN_MAX,
			.addr = e->source == TG_CAN_ANY ? 0 : (uint8_t) e->source,
			.addr_mask = e->source == TG_CAN_ANY ? 0 : 0xff,
		};
	}
	return n;
}
