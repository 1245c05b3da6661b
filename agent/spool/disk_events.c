/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk_private.h"

#include "base/clock.h"

#include <errno.h>

/*
 * What the file keeps beside the packs: events for the cloud, and how much of what was dropped has been told. Written at
 * once, as it is rare.
 */
#define AGAIN_US (10 * TG_US_PER_S) /* for what found no room */

static bool is_dirty(const struct tg_disk *d)
{
	return tg_shelf_is_dirty(&d->shelf) || d->dropped_told > d->counts.dropped_told;
}

static int write_events(struct tg_disk *d)
{
	struct tg_db *db = tg_disk_db(d);
	int r = tg_db_begin(db);

	if (r == 0)
		r = tg_shelf_write(&d->shelf, db);
	if (r == 0 && d->dropped_told > d->counts.dropped_told)
		r = tg_db_set_dropped_told(db, d->dropped_told);
	if (r == 0)
		r = tg_db_commit(db);
	/* Without this a commit of `normal` may be lost; one more sync for each event is no burden. */
	if (r == 0 && !d->limits.full)
		r = tg_db_checkpoint(db, false);
	return r;
}

int tg_disk_events(struct tg_disk *d)
{
	int r;

	if (!is_dirty(d) || d->now_us < d->events_us)
		return 0;
	r = write_events(d);
	tg_shelf_written(&d->shelf, r == 0);
	if (r == -ENOSPC || r == -EDQUOT) {
		/* Be it the disk or the file's own bound: that is for packs to find out. Events are in memory, too. */
		tg_db_rollback(tg_disk_db(d));
		d->events_us = tg_us_add(d->now_us, AGAIN_US);
		return 0;
	}
	if (r == 0)
		tg_disk_look(d);
	return r;
}

uint64_t tg_disk_events_due_us(const struct tg_disk *d)
{
	return is_dirty(d) ? d->events_us : TG_US_FOREVER;
}
