/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/db.h"
#include "agent/spool/queue.h"

/*
 * Reads the backlog's next page into the queue.
 *
 * A row that fails its checksum, or whose bytes are no pack, becomes a gap record of the same number, in the queue and in the
 * file; one of which not even the key can be trusted is deleted and counted. Blocks as long as the disk does.
 */

/* Returns 0 or -errno as db.h says, and in any case how many rows were bad. */
int tg_page_read(struct tg_db *db, struct tg_queue *q, unsigned *ret_bad) TG_CHECKED;
