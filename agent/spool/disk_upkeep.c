/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk_private.h"

#include "base/clock.h"

#define CHECKPOINT_US (10 * TG_US_PER_S) /* durability = normal: what a power cut may take */
#define AGE_US        (60 * TG_US_PER_S)
#define AUDIT_US      (60 * TG_US_PER_S)
#define SHRINK_BYTES                                                                               \
	(UINT64_C(1) << 20) /* less than this of unused file is left for the next outage */

static int store_oldest(void *user, const struct tg_row *row, enum tg_row_state state)
{
	struct tg_disk *d = user;

	if (state != TG_ROW_BAD)
		d->oldest_wall_us = row->made_wall_us;
	return 1;
}

static enum tg_clock_trust trust_of(const struct tg_parcel *p)
{
	enum tg_clock_trust trust = TG_CLOCK_SUSPECT;
	struct tg_unpacked u;

	if (p && tg_parcel_unpack(p, &u) == 0) {
		trust = u.pack.clock;
		tg_unpacked_done(&u);
	}
	return trust;
}

/* Age is a matter of two wall clocks, the one then and the one now: without trust in both, nothing
 * is thrown away. */
static bool expired(void *user, const struct tg_row *row)
{
	const struct tg_disk *d = user;
	tg_cleanup(tg_parcel_unrefp) struct tg_parcel *p = NULL;
	int64_t age = tg_clock_wall_us() - row->made_wall_us;

	if (age < 0 || (uint64_t) age < d->limits.max_age_us)
		return false;
	if (!row->bytes || tg_parcel_from_bytes(row->bytes, row->len, &p) < 0)
		return false;
	return trust_of(p) == TG_CLOCK_SYNCHRONISED;
}

static int expire(struct tg_disk *d)
{
	struct tg_drop drop = { .expired = expired, .user = d };

	d->age_us = tg_us_add(d->now_us, AGE_US);
	if (d->limits.max_age_us == 0 || d->counts.rows == 0 ||
	    trust_of(d->latest) != TG_CLOCK_SYNCHRONISED)
		return 0;
	return tg_disk_drop_oldest(d, &drop, "max-age is reached");
}

/* All has been sent, says the queue, but the file says that rows are left: then its tree hides
 * some. */
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
	if (d->counts.rows > 0)
		tg_queue_row_added(d->queue, 1);
	return 0;
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
		d->checkpoint_us = tg_us_add(d->now_us, CHECKPOINT_US);
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
