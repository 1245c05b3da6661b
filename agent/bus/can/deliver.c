/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/can_internal.h"

#include "agent/bus/can/j1939.h"
#include "agent/bus/can/signal.h"
#include "base/clock.h"
#include "config/bus/can_read.h"

/* When @m came, CLOCK_BOOTTIME: by the controller's clock, the kernel's, or now. */
static uint64_t time_of(struct tg_bus *bus, const struct tg_can_message *m)
{
	uint64_t kernel_us;

	if (m->kernel_us == 0)
		return tg_clock_boot_us();
	kernel_us = tg_clock_boot_from_real_us((int64_t) m->kernel_us);
	return m->controller_us ? tg_can_stamp(&bus->stamps, kernel_us, m->controller_us) : kernel_us;
}

static void tell(struct tg_bus *bus, const struct tg_can_entry *e, const struct tg_can_message *m,
		 uint64_t boot_us, const struct tg_bus_ear *ear)
{
	const struct tg_config_point *point = &e->dev->points[e->point];
	struct tg_sample s = {
		.point = point->name,
		.unit = point->unit,
		.boot_us = boot_us,
	};

	if (tg_can_signal(&point->can, m->data, m->len, bus->room, &s))
		ear->heard(ear->user, e->dev, e->point, &s);
}

void tg_can_deliver(struct tg_bus *bus, const struct tg_can_message *m, bool is_group,
		    const struct tg_bus_ear *ear)
{
	const struct tg_can_index *x = &bus->index;
	const struct tg_can_entry *e;
	uint64_t boot_us = time_of(bus, m);
	size_t n = 0;

	if (!is_group) {
		uint32_t key = m->id & CAN_EFF_FLAG ? m->id & (CAN_EFF_FLAG | CAN_EFF_MASK) :
						      m->id & CAN_SFF_MASK;

		n = tg_can_index_find(x->frames, x->n_frames, key, &e);
		for (size_t i = 0; i < n; i++)
			tell(bus, &e[i], m, boot_us, ear);
	}
	/* Where the kernel puts groups together, the raw socket has those of one frame as well: each is taken once. */
	if (!is_group && (!bus->no_groups || !(m->id & CAN_EFF_FLAG)))
		return;
	n = tg_can_index_find(x->groups, x->n_groups, is_group ? m->id : tg_j1939_pgn(m->id), &e);
	for (size_t i = 0; i < n; i++) {
		uint8_t source = is_group ? m->source : tg_j1939_source(m->id);

		if (e[i].source == TG_CAN_ANY || e[i].source == source)
			tell(bus, &e[i], m, boot_us, ear);
	}
}

void tg_can_deliver_no_groups(struct tg_bus *bus, const struct tg_bus_ear *ear)
{
	for (size_t i = 0; i < bus->index.n_groups; i++) {
		const struct tg_can_entry *e = &bus->index.groups[i];
		const struct tg_config_point *point = &e->dev->points[e->point];
		const struct tg_sample s = {
			.point = point->name,
			.unit = point->unit,
			.quality = TG_BAD,
			.reason = "longer than a frame, and this kernel has no can-j1939",
			.boot_us = tg_clock_boot_us(),
		};

		if (tg_can_field_bytes(&point->can.field) > CAN_MAX_DLEN)
			ear->heard(ear->user, e->dev, e->point, &s);
	}
}
