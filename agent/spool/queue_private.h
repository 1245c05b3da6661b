/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/queue.h"

/*
 * What queue.c and queue_disk.c share, and nobody else.
 */

/* Whether the item of `live` still has to be written. */
static inline bool tg_queue_is_dirty(const struct tg_item *i)
{
	return !i->on_disk && i->parcel &&
	       (i->state == TG_ITEM_FRESH || i->state == TG_ITEM_OUT || i->state == TG_ITEM_ASIDE);
}

/* A gap record that later losses are merged into. */
static inline bool tg_queue_is_open_gap(const struct tg_item *i)
{
	return i->gap != 0 && !i->closed && i->state == TG_ITEM_FRESH;
}

/* The item is of no more use; if it has, or may have, a row, that goes with the next transaction. */
void tg_queue_finish(struct tg_queue *q, struct tg_ring *ring, struct tg_item *i, uint64_t now_us);
/* The pack is on the disk only from now on, and will be read back from there. */
void tg_queue_leave_to_disk(struct tg_queue *q, struct tg_item *i);
