/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk_private.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

/*
 * What the file keeps beside the packs: events for the cloud, and how much of what was dropped has been told, which are
 * written at once, as that is rare; and what was set aside.
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

static int on_aside(void *user, const struct tg_row *row, enum tg_row_state state)
{
	struct tg_disk *d = user;

	(void) state;
	if (row->seq != d->aside_seq)
		return 0;
	(void) tg_printable(d->aside_device, sizeof(d->aside_device), row->device, strlen(row->device));
	return 1;
}

void tg_disk_name_aside(struct tg_disk *d)
{
	d->aside_device[0] = '\0';
	(void) !tg_db_aside_read(tg_disk_db(d), on_aside, d);
}
