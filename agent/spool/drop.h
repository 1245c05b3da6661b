/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/queue.h"
#include "agent/spool/store.h"

/*
 * Drops the oldest packs of the file and puts a gap record of each device in
 * their place, in one transaction.
 *
 * Rows that the queue has in memory stay: they are on their way. Gap records among the rows are
 * merged into the new ones.
 */
struct tg_drop {
	struct tg_db *db;
	struct tg_queue *queue;
	uint64_t bytes; /* drop until so many bytes of packs are gone */
	/* or, if not NULL, while it says so of the oldest pack */
	bool (*expired)(void *user, const struct tg_row *row);
	void *user;
};

/* Returns 0 and how many packs were dropped (0: nothing was changed), or -errno, with everything as
 * it was. */
int tg_drop_oldest(const struct tg_drop *drop, uint64_t *ret_dropped) TG_CHECKED;
