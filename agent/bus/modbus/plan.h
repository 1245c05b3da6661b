/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

#include <tidegate/error.h>

/*
 * Which block reads fetch the points of a device.
 *
 * Points that are neighbours in one table are read together, as long as the
 * protocol's limit holds and at most max_gap unused registers (or bits) lie
 * between; a value is never split. A block that the device refuses is cut in
 * two, again and again, until what is left is read or is one point: so one
 * bad address costs its own point and no other.
 *
 * What was learnt is kept for the next polls. Cuts made on the way are soft:
 * after the poll tg_modbus_plan_settle() takes them out, so that the good
 * points around a bad one are read together again. Cuts around a refused
 * point, and cuts that proved needed (a hole between points, a device with a
 * smaller limit), are firm until tg_modbus_plan_forget().
 *
 * Pure but for its memory: no I/O, no clock. Owned by one thread.
 */
struct tg_modbus_block {
	enum tg_modbus_table table;
	uint16_t address, count;
	size_t first, n; /* points order[first .. first + n - 1] */
	bool settled;    /* joined again after soft cuts: if it is refused, its cuts are needed */
	bool silent;     /* not answered at the last poll: asked last at the next */
	bool done;       /* during a poll */
	char reason[TG_REASON_MAX + 1]; /* of this poll, for the samples; "" when read */
};

struct tg_modbus_plan {
	const struct tg_config_device *dev; /* outlives the plan */
	size_t *order;                      /* indices of points, by table and address */
	uint8_t *cuts;                      /* behind order[i]: none, soft, firm */
	struct tg_modbus_block *blocks;     /* room for as many as points */
	size_t n_blocks;
};

/* Returns 0 and an owned plan, -ERANGE when a point reaches beyond address 65535, -EINVAL when its
 * type is none of its table's, -ENOMEM. */
int tg_modbus_plan_new(const struct tg_config_device *dev, struct tg_modbus_plan **ret,
		       struct tg_fault *reterr) TG_CHECKED;
struct tg_modbus_plan *tg_modbus_plan_free(
	struct tg_modbus_plan *p); /* accepts NULL, returns NULL */
TG_DEFINE_CLEANUP(struct tg_modbus_plan *, tg_modbus_plan_free)

/*
 * The device refused blocks[i]. Returns true when it was cut: blocks[i] and blocks[i + 1] now are
 * its halves. Returns false when there is nothing to cut; its one address range is then kept apart
 * from its neighbours.
 */
bool tg_modbus_plan_split(struct tg_modbus_plan *p, size_t i);
/* After a poll, when a block was cut: take the soft cuts out. Never fails. */
void tg_modbus_plan_settle(struct tg_modbus_plan *p);
/* Whether a cut of any kind is in force. */
bool tg_modbus_plan_is_cut(const struct tg_modbus_plan *p);
/* Back to the first plan, as devices get repaired and configured. Never fails. */
void tg_modbus_plan_forget(struct tg_modbus_plan *p);
