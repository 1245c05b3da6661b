/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk_private.h"

#include "agent/pack/stored.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define AGE_US        (60 * TG_US_PER_S)
#define AUDIT_US      (60 * TG_US_PER_S)
/* What slewing does between two packs; ages are told in days. */
#define CLOCK_SLACK_US ((int64_t) (300 * TG_US_PER_S))
#define SHRINK_BYTES                                                                               \
	(UINT64_C(1) << 20) /* less than this of unused file is left for the next outage */

static int store_oldest(void *user, const struct tg_row *row, enum tg_row_state state)
{
	struct tg_disk *d = user;

	if (state != TG_ROW_BAD)
		d->oldest_wall_us = row->made_wall_us;
	return 1;
}

/* What a pack says of when it was made. False when it cannot be read, or its clock could not be trusted. */
static bool dated(const struct tg_parcel *p, struct tg_pack *ret)
{
	struct tg_unpacked u;

	if (!p || tg_parcel_unpack(p, &u) < 0)
		return false;
	*ret = u.pack;
	tg_unpacked_done(&u);
	return ret->clock == TG_CLOCK_SYNCHRONISED;
}

/*
 * Whether the clock of the latest pack could be trusted and still can: nothing is thrown away because somebody
 * has set the clock.
 */
static bool clock_holds(const struct tg_disk *d, struct tg_pack *ret)
{
	int64_t off;

	if (!dated(d->latest, ret))
		return false;
	off = tg_clock_wall_us() - (int64_t) tg_clock_boot_us() - ret->wall_offset_us;
	return off < CLOCK_SLACK_US && off > -CLOCK_SLACK_US;
}

struct age {
	const struct tg_disk *d;
	struct tg_pack now; /* of the latest pack: its clock and boot are today's; no samples */
};

/*
 * Within one boot age is the time since then; across boots it is a matter of two wall clocks, the one then and the one
 * now: without trust in both, nothing is thrown away.
 */
static bool expired(void *user, const struct tg_row *row)
{
	const struct age *a = user;
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	int64_t age = (int64_t) a->d->now_us;
	struct tg_pack then;

	if (!row->bytes || tg_stored_read(row->bytes, row->len, &p) < 0 || !dated(p, &then))
		return false;
	age -= (int64_t) p->boot_us;
	if (memcmp(then.boot_id, a->now.boot_id, sizeof(then.boot_id)) != 0)
		age += a->now.wall_offset_us - then.wall_offset_us;
	return age >= 0 && (uint64_t) age >= a->d->limits.max_age_us;
}

static int expire(struct tg_disk *d)
{
	struct age age = { .d = d };
	struct tg_drop drop = { .expired = expired, .user = &age };

	d->age_us = tg_us_add(d->now_us, AGE_US);
	if (d->limits.max_age_us == 0 || d->counts.rows == 0 || !clock_holds(d, &age.now))
		return 0;
	return tg_disk_drop_oldest(d, &drop, "max-age is reached");
}

/*
 * All has been sent, says the queue, but the file says that rows are left. If so, its tree hides some, from reads or from
 * deletes, also when its pages look right: they come from a repaired file.
 */
static int audit(struct tg_disk *d)
{
	const struct tg_queue *q = d->queue;
	int r;

	if (!q->up || !q->drained || q->replay.count > 0 || q->live.count > q->dirty ||
	    d->counts.rows == 0 || d->now_us < d->audit_us)
		return 0;
	d->audit_us = tg_us_add(d->now_us, AUDIT_US);
	r = tg_db_verify(tg_disk_db(d));
	if (r == 0)
		r = tg_db_recount(tg_disk_db(d));
	if (r < 0)
		return r;
	tg_disk_look(d);
	return d->counts.rows > 0 ? -EUCLEAN : 0;
}

static int fold_log(struct tg_disk *d)
{
	uint64_t used, file;
	int r = tg_db_usage(tg_disk_db(d), &used, &file);

	if (r == 0 && d->counts.rows == 0 && file - used >= SHRINK_BYTES) {
		d->log_dirty = false;
		return tg_db_shrink(tg_disk_db(d));
	}
	if (r == 0 && !d->limits.full && d->log_dirty &&
	    (d->now_us >= d->checkpoint_us || d->counts.rows == 0)) {
		d->log_dirty = false;
		d->checkpoint_us = tg_us_add(d->now_us, TG_DISK_CHECKPOINT_US);
		r = tg_db_checkpoint(tg_disk_db(d), false);
	}
	return r;
}

int tg_disk_upkeep(struct tg_disk *d)
{
	int r = fold_log(d);

	if (r == 0 && d->now_us >= d->age_us)
		r = expire(d);
	if (r == 0)
		r = audit(d);
	d->oldest_wall_us = 0;
	if (r == 0 && d->counts.rows > 0)
		r = tg_db_read(tg_disk_db(d), 1, TG_ROW_SEQ_MAX, false, 1, store_oldest, d);
	if (r >= 0 && d->queue->disk == TG_QUEUE_DISK_BOUND)
		r = tg_disk_make_room(d);
	if (r < 0)
		return r;
	tg_disk_look(d);
	return 0;
}
