/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/modbus/plan.h"

#include "agent/bus/modbus/pdu.h"
#include "agent/bus/modbus/value.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CUT_NONE, CUT_SOFT, CUT_FIRM };

static unsigned width_of(const struct tg_modbus_read *r)
{
	return tg_modbus_is_bits(r->table) ? 1 : tg_modbus_read_span(r);
}

static const struct tg_modbus_read *read_at(const struct tg_modbus_plan *p, size_t i)
{
	return &p->dev->points[p->order[i]].modbus;
}

/* One behind the last register, which may be 65536. */
static uint32_t end_of(const struct tg_modbus_read *r)
{
	return r->address + width_of(r);
}

static uint32_t limit_of(const struct tg_config_device *dev, enum tg_modbus_table table)
{
	uint32_t limit = dev->modbus.max_registers;

	if (limit == 0 || limit > TG_MODBUS_REGISTERS_MAX)
		limit = TG_MODBUS_REGISTERS_MAX;
	return tg_modbus_is_bits(table) ? 16 * limit : limit;
}

static int compare(const void *a, const void *b, void *user)
{
	const struct tg_config_device *dev = user;
	size_t ia = *(const size_t *) a, ib = *(const size_t *) b;
	const struct tg_modbus_read *ra = &dev->points[ia].modbus, *rb = &dev->points[ib].modbus;

	if (ra->table != rb->table)
		return ra->table < rb->table ? -1 : 1;
	if (ra->address != rb->address)
		return ra->address < rb->address ? -1 : 1;
	if (width_of(ra) != width_of(rb))
		return width_of(ra) < width_of(rb) ? -1 : 1;
	return ia < ib ? -1 : ia > ib;
}

static int check_point(const struct tg_config_device *dev, const struct tg_config_point *pt,
		       struct tg_fault *reterr)
{
	const struct tg_modbus_read *r = &pt->modbus;

	if (end_of(r) > 65536)
		return tg_fault_set(reterr, -ERANGE, "point %s reaches beyond address 65535",
				    pt->name);
	if (tg_modbus_is_bits(r->table) && (r->type != TG_MODBUS_BOOL || r->bit >= 0))
		return tg_fault_set(reterr, -EINVAL,
				    "point %s: coils and discrete inputs are of type bool",
				    pt->name);
	if (width_of(r) > limit_of(dev, r->table))
		return tg_fault_set(reterr, -EINVAL,
				    "point %s: takes %u registers, max-registers is %u", pt->name,
				    width_of(r), dev->modbus.max_registers);
	if (r->type == TG_MODBUS_STRING && (r->length < 1 || r->length > TG_MODBUS_STRING_MAX))
		return tg_fault_set(reterr, -EINVAL, "point %s: a string of %u bytes", pt->name,
				    r->length);
	if (r->n_bits > 0)
		return 0;
	if (r->bit > 15 || (r->bit >= 0 && r->type != TG_MODBUS_BOOL))
		return tg_fault_set(reterr, -EINVAL, "point %s: a bit is 0 to 15 and of type bool",
				    pt->name);
	return 0;
}

/* The block of the points @first .. @first + @n - 1 of the order. */
static struct tg_modbus_block block_of(const struct tg_modbus_plan *p, size_t first, size_t n)
{
	const struct tg_modbus_read *r = read_at(p, first);
	struct tg_modbus_block b = {
		.table = r->table, .address = r->address, .first = first, .n = n
	};
	uint32_t end = 0;

	for (size_t i = first; i < first + n; i++)
		end = end_of(read_at(p, i)) > end ? end_of(read_at(p, i)) : end;
	b.count = (uint16_t) (end - b.address);
	return b;
}

static bool joins(const struct tg_modbus_plan *p, size_t i, uint32_t start, uint32_t end)
{
	const struct tg_modbus_read *prev = read_at(p, i - 1), *r = read_at(p, i);

	return p->cuts[i - 1] == CUT_NONE && r->table == prev->table &&
	       r->address <= end + p->dev->modbus.max_gap &&
	       end_of(r) - start <= limit_of(p->dev, r->table);
}

static void build(struct tg_modbus_plan *p)
{
	p->n_blocks = 0;
	for (size_t i = 0; i < p->dev->n_points;) {
		uint32_t start = read_at(p, i)->address, end = end_of(read_at(p, i));
		size_t first = i;

		for (i++; i < p->dev->n_points && joins(p, i, start, end); i++)
			end = end_of(read_at(p, i)) > end ? end_of(read_at(p, i)) : end;
		p->blocks[p->n_blocks++] = block_of(p, first, i - first);
	}
}

int tg_modbus_plan_new(const struct tg_config_device *dev, struct tg_modbus_plan **ret,
		       struct tg_fault *reterr)
{
	tg_cleanup(tg_modbus_plan_freep) struct tg_modbus_plan *p = calloc(1, sizeof(*p));
	size_t n = dev->n_points;

	assert(n > 0 && n <= TG_PACK_SAMPLES);
	for (size_t i = 0; i < n; i++) {
		int r = check_point(dev, &dev->points[i], reterr);

		if (r < 0)
			return r;
	}

	if (!p)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");
	p->dev = dev;
	p->order = calloc(n, sizeof(*p->order));
	p->cuts = calloc(n, sizeof(*p->cuts));
	p->blocks = calloc(n, sizeof(*p->blocks));
	if (!p->order || !p->cuts || !p->blocks)
		return tg_fault_set(reterr, -ENOMEM, "out of memory");

	for (size_t i = 0; i < n; i++)
		p->order[i] = i;
	qsort_r(p->order, n, sizeof(*p->order), compare, (void *) (uintptr_t) dev);
	build(p);

	*ret = tg_take(p);
	return 0;
}

struct tg_modbus_plan *tg_modbus_plan_free(struct tg_modbus_plan *p)
{
	if (p) {
		free(p->order);
		free(p->cuts);
		free(p->blocks);
		free(p);
	}
	return NULL;
}

static void set_cut(struct tg_modbus_plan *p, size_t behind, uint8_t kind)
{
	if (p->cuts[behind] < kind)
		p->cuts[behind] = kind;
}

/* Whether all points of @b read the very same registers, so that cutting it gains nothing. */
static bool is_one_range(const struct tg_modbus_plan *p, const struct tg_modbus_block *b)
{
	const struct tg_modbus_read *first = read_at(p, b->first),
				    *last = read_at(p, b->first + b->n - 1);

	/* Sorted by address and then width: first and last are the extremes. */
	return first->address == last->address && width_of(first) == width_of(last);
}

static size_t distance(size_t a, size_t b)
{
	return a > b ? a - b : b - a;
}

/*
 * How many points the first half of @b gets. A block that was joined again and is refused has no
 * bad point in it: what it trips over lies between points, or it is too long. So it is cut at its
 * widest gap, the one nearest to the middle.
 */
static size_t cut_at(const struct tg_modbus_plan *p, const struct tg_modbus_block *b)
{
	size_t half = b->n / 2, best = half;
	uint32_t end = end_of(read_at(p, b->first)), widest = 0;

	for (size_t k = 1; b->settled && k < b->n; k++) {
		const struct tg_modbus_read *r = read_at(p, b->first + k);
		uint32_t gap = r->address > end ? r->address - end : 0;

		if (gap > widest ||
		    (gap > 0 && gap == widest && distance(k, half) < distance(best, half))) {
			widest = gap;
			best = k;
		}
		end = end_of(r) > end ? end_of(r) : end;
	}
	return best;
}

bool tg_modbus_plan_split(struct tg_modbus_plan *p, size_t i)
{
	struct tg_modbus_block b = p->blocks[i];
	size_t half = cut_at(p, &b);

	assert(i < p->n_blocks);
	if (is_one_range(p, &b)) {
		if (b.first > 0)
			set_cut(p, b.first - 1, CUT_FIRM);
		set_cut(p, b.first + b.n - 1, CUT_FIRM);
		return false;
	}

	set_cut(p, b.first + half - 1, b.settled ? CUT_FIRM : CUT_SOFT);
	memmove(&p->blocks[i + 2], &p->blocks[i + 1], (p->n_blocks - i - 1) * sizeof(*p->blocks));
	p->n_blocks++;
	p->blocks[i] = block_of(p, b.first, half);
	p->blocks[i + 1] = block_of(p, b.first + half, b.n - half);
	p->blocks[i].settled = p->blocks[i + 1].settled = b.settled;
	return true;
}

static void mark_settled(struct tg_modbus_plan *p, const bool *soft)
{
	for (size_t i = 0; i < p->n_blocks; i++) {
		struct tg_modbus_block *b = &p->blocks[i];

		for (size_t k = b->first; k + 1 < b->first + b->n; k++)
			b->settled = b->settled || soft[k];
	}
}

void tg_modbus_plan_settle(struct tg_modbus_plan *p)
{
	bool soft[TG_PACK_SAMPLES] = { false };
	bool any = false;

	for (size_t i = 0; i < p->dev->n_points; i++) {
		soft[i] = p->cuts[i] == CUT_SOFT;
		any = any || soft[i];
		if (soft[i])
			p->cuts[i] = CUT_NONE;
	}
	if (!any)
		return;
	build(p);
	mark_settled(p, soft);
}

bool tg_modbus_plan_is_cut(const struct tg_modbus_plan *p)
{
	for (size_t i = 0; i < p->dev->n_points; i++) {
		if (p->cuts[i] != CUT_NONE)
			return true;
	}
	return false;
}

void tg_modbus_plan_forget(struct tg_modbus_plan *p)
{
	memset(p->cuts, CUT_NONE, p->dev->n_points);
	build(p);
}
