/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/disk_private.h"

#include "agent/pack/stored.h"
#include "agent/spool/page.h"
#include "base/clock.h"

#include <tidegate/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_US TG_US_PER_S
#define RETRY_MAX_US (60 * TG_US_PER_S)
#define REPAIR_PAUSE_US                                                                            \
	(60 *                                                                                      \
	 TG_US_PER_S) /* a file that is damaged again so soon is a bad medium, not bad luck   \
			    */
#define UPKEEP_US    TG_US_PER_S
#define LOG_PAUSE_US (60 * TG_US_PER_S)
#define LOG_BYTES    (UINT64_C(2) << 20) /* what the log may take, of a large spool */
#define COMMIT_BYTES 16384u              /* pages of the tree that a commit may add */
#define UNREADABLE                                                                                 \
	3u /* verifications that a file may fail by errors of the medium before it is given up */
#define SIZE_MIN (UINT64_C(1) << 18) /* less than this holds no group commit */

/* Of max-size, the file gets what its log does not need. */
static uint64_t file_bound(uint64_t max_size)
{
	uint64_t log = max_size / 8 < LOG_BYTES ? max_size / 8 : LOG_BYTES;

	return max_size > SIZE_MIN ? max_size - log : SIZE_MIN;
}

/* Room that only gap records may use, and that pages which are not full take. */
static uint64_t reserve(uint64_t bound)
{
	return bound / 16 < LOG_BYTES / 2 ? bound / 16 : LOG_BYTES / 2;
}

static struct tg_db_options options_of(const struct tg_disk *d)
{
	return (struct tg_db_options){
		.max_bytes = file_bound(d->limits.max_size),
		.full = d->limits.full,
		.tick = d->tick,
		.user = d->tick_user,
	};
}

struct tg_db *tg_disk_db(const struct tg_disk *d)
{
	return tg_store_db(d->store);
}

/* --- failing and coming back --- */

void tg_disk_look(struct tg_disk *d)
{
	uint64_t used, file;

	d->counts = tg_db_counts(tg_disk_db(d));
	if (tg_db_usage(tg_disk_db(d), &used, &file) == 0)
		d->file_bytes = file;
}

static bool keeps_file(int r)
{
	return r == -ENOSPC || r == -EROFS || r == -ENOMEM || r == -EDQUOT;
}

static void say(struct tg_disk *d, const char *text)
{
	(void) tg_printable(d->error_text, sizeof(d->error_text), text, strlen(text));
}

static void tell_failure(struct tg_disk *d)
{
	char text[256];

	d->fail_told = tg_log_allowed(&d->fail_log, d->now_us, 1, LOG_PAUSE_US);
	if (!d->fail_told)
		return;
	(void) snprintf(text, sizeof(text),
			"The spool cannot be written, readings stay in memory: %s", d->error_text);
	tg_event(TG_EV_SPOOL_FAILED, LOG_ERR, text, TG_F_REASON, d->error_text, NULL);
}

/* The medium refuses: packs stay in memory until it is tried again. */
static void refuse(struct tg_disk *d, int r, const char *text)
{
	say(d, text);
	if (d->error != 0) {
		d->retry_delay_us =
			d->retry_delay_us * 2 < RETRY_MAX_US ? d->retry_delay_us * 2 : RETRY_MAX_US;
	} else {
		d->retry_delay_us = RETRY_MIN_US;
		d->error_since_us = d->now_us;
		tell_failure(d);
	}
	d->error = r;
	d->retry_us = tg_us_add(d->now_us, d->retry_delay_us);
	if (!keeps_file(r)) {
		d->verify = d->verify || tg_disk_db(d);
		tg_store_abandon(d->store);
	}
	tg_queue_set_disk(d->queue, TG_QUEUE_DISK_FAILING);
}

static void recovered(struct tg_disk *d)
{
	if (d->error == 0)
		return;
	if (d->fail_told)
		tg_log(LOG_NOTICE, "spool", "the disk takes readings again");
	d->fail_told = false;
	d->error = 0;
	d->error_text[0] = '\0';
	d->retry_delay_us = 0;
}

static void repair(struct tg_disk *d, const char *why)
{
	struct tg_store_repair done = { 0 };
	struct tg_fault fault = { 0 };
	char count[32];
	int r;

	if (d->repaired_us != 0 && d->now_us - d->repaired_us < REPAIR_PAUSE_US) {
		refuse(d, -EUCLEAN, why);
		return;
	}
	d->repaired_us = d->now_us;
	r = tg_store_repair(d->store, &done, &fault);
	if (r == 0)
		r = tg_shelf_load(&d->shelf, tg_disk_db(d));
	if (r < 0) {
		refuse(d, r, fault.text);
		return;
	}
	(void) snprintf(count, sizeof(count), "%" PRIu64, done.rescued);
	tg_event(TG_EV_SPOOL_DAMAGED, LOG_ERR,
		 "The spool was damaged: what could be read is in a new one, the old file is set "
		 "aside",
		 TG_F_REASON, why, TG_F_COUNT, count, NULL);
	d->repairs++;
	d->repaired = done;
	tg_log(LOG_NOTICE, "spool", "kept as %s; %" PRIu64 " packs rescued, %" PRIu64 " lost",
	       done.aside, done.rescued, done.lost);
	recovered(d);
	d->verify = false;
	tg_queue_set_disk(d->queue, TG_QUEUE_DISK_OK);
	tg_queue_file_replaced(d->queue);
	tg_disk_look(d);
}

static void fail(struct tg_disk *d, int r, const char *what)
{
	char text[160];

	(void) snprintf(text, sizeof(text), "%s: %s (%s)", what,
			tg_disk_db(d) ? tg_db_error_text(tg_disk_db(d)) : "closed", strerror(-r));
	if (tg_disk_db(d) && r != -EUCLEAN)
		tg_db_rollback(tg_disk_db(d));
	if (r == -EUCLEAN)
		repair(d, text);
	else
		refuse(d, r, text);
}

/* A transaction that writes something, whatever there is to write. */
static int probe(struct tg_disk *d)
{
	int r = tg_db_begin(tg_disk_db(d));

	if (r == 0)
		r = tg_db_carry_counts(tg_disk_db(d), &(struct tg_db_counts){ 0 });
	if (r == 0)
		r = tg_db_commit(tg_disk_db(d));
	return r;
}

static int open_store(struct tg_disk *d, struct tg_fault *reterr)
{
	int r = tg_store_open(d->store, d->verify, reterr);

	if (r == 0) {
		r = tg_shelf_load(&d->shelf, tg_disk_db(d));
		if (r < 0) {
			(void) tg_fault_set(reterr, r, "%s", tg_db_error_text(tg_disk_db(d)));
			tg_store_abandon(d->store);
		}
	}
	if (r == 0) {
		d->verify = false;
		d->unreadable = 0;
	}
	return r;
}

static void come_back(struct tg_disk *d)
{
	struct tg_fault fault = { 0 };
	int r;

	if (!tg_disk_db(d)) {
		r = open_store(d, &fault);
		if (r == -EIO && d->verify && ++d->unreadable >= UNREADABLE)
			/* A bad sector will not go away: what else is there moves to a new file. */
			r = -EUCLEAN;
		if (r == -EUCLEAN) {
			repair(d, fault.text);
			return;
		}
		if (r < 0) {
			refuse(d, r, fault.text);
			return;
		}
	}
	/* Only what needs new pages proves that there is room: if packs wait, they are the test. */
	if (d->queue->dirty == 0) {
		r = probe(d);
		if (r < 0) {
			fail(d, r, "write");
			return;
		}
		recovered(d);
	}
	tg_queue_set_disk(d->queue, TG_QUEUE_DISK_OK);
	tg_disk_look(d);
}

/* --- writing --- */

/* When a pack was made, by today's opinion of the wall clock. */
static int64_t made_wall_us(const struct tg_disk *d, const struct tg_parcel *p)
{
	int64_t age = p->boot_us < d->now_us ? (int64_t) (d->now_us - p->boot_us) : 0;

	return tg_clock_wall_us() - age;
}

static int sink_append(void *user, const struct tg_item *i)
{
	tg_cleanup(tg_buffer_done) struct tg_buffer stored = TG_BUFFER_INIT(TG_STORED_MAX);
	struct tg_disk *d = user;
	int r = tg_stored_write(&stored, i->parcel);
	const struct tg_row row = {
		.seq = i->seq,
		.device = tg_parcel_device(i->parcel),
		.made_wall_us = made_wall_us(d, i->parcel),
		.gap = i->gap,
		.gap_first = i->gap_first,
		.bytes = (const uint8_t *) stored.data,
		.len = stored.len,
	};

	return r < 0 ? r : tg_db_append(tg_disk_db(d), &row);
}

static int sink_aside(void *user, uint64_t seq)
{
	struct tg_disk *d = user;

	d->aside_seq = seq;
	return tg_db_set_aside(tg_disk_db(d), seq);
}

static int sink_remove(void *user, uint64_t seq)
{
	struct tg_disk *d = user;

	return tg_db_remove(tg_disk_db(d), seq);
}

static void tell_dropped(struct tg_disk *d, uint64_t dropped, const char *why)
{
	char count[32];

	d->dropped_logged += dropped;
	if (d->dropped_logged == 0 || !tg_log_allowed(&d->drop_log, d->now_us, 1, LOG_PAUSE_US))
		return;
	(void) snprintf(count, sizeof(count), "%" PRIu64, d->dropped_logged);
	tg_event(TG_EV_SPOOL_DROPPED, LOG_WARNING,
		 "Readings were dropped; gap records tell the receiver", TG_F_REASON, why,
		 TG_F_COUNT, count, NULL);
	d->dropped_logged = 0;
}

int tg_disk_drop_oldest(struct tg_disk *d, struct tg_drop *drop, const char *why)
{
	uint64_t dropped = 0;
	int r;

	drop->db = tg_disk_db(d);
	drop->queue = d->queue;
	r = tg_drop_oldest(drop, &dropped);
	if (r < 0)
		return r;
	tell_dropped(d, dropped, why);
	/* The next transaction may fail and close the file, and what it counts then is what is told. */
	tg_disk_look(d);
	return 0;
}

/* How many bytes are missing for what waits; 0: none. */
static int missing_bytes(struct tg_disk *d, uint64_t *ret)
{
	uint64_t bound = file_bound(d->limits.max_size), used, file;
	uint64_t need = tg_queue_dirty_bytes(d->queue) + COMMIT_BYTES;
	int r = tg_db_usage(tg_disk_db(d), &used, &file);

	if (r < 0)
		return r;
	bound -= reserve(bound);
	*ret = used + need > bound ? used + need - bound : 0;
	return 0;
}

/*
 * While the link is down nothing leaves the disk, so what it cannot hold is dropped in memory: all of it where the newest
 * go, else as many of the oldest as make the rest fit. More may wait than fits at all, once the disk has failed for a
 * while; but as long as it does fail, memory is all there is.
 */
static int drop_waiting(struct tg_disk *d, uint64_t *missing)
{
	int r = d->error != 0 ? probe(d) : 0;
	uint64_t before;

	if (r < 0)
		return r;
	/* Gap records take room, too. */
	do {
		before = d->queue->dropped;
		tg_queue_drop_dirty(d->queue, d->limits.drop_newest ? UINT64_MAX : *missing);
		r = missing_bytes(d, missing);
	} while (r == 0 && *missing > 0 && d->queue->dropped > before);
	return r;
}

int tg_disk_make_room(struct tg_disk *d)
{
	struct tg_drop drop = { 0 };
	uint64_t missing;
	int r;

	if (d->queue->dirty == 0)
		return 0;
	r = missing_bytes(d, &missing);
	if (r == 0 && missing > 0 && !d->limits.drop_newest) {
		/* Some slack, so that not every commit has to drop. */
		drop.bytes = missing + file_bound(d->limits.max_size) / 32;
		r = tg_disk_drop_oldest(d, &drop, "max-size is reached");
		if (r == 0)
			r = missing_bytes(d, &missing);
	}
	if (r == 0 && missing > 0 && !d->queue->up)
		r = drop_waiting(d, &missing);
	if (r < 0)
		return r;
	/* Rows that are in memory, too, cannot be dropped: then packs stay in memory until those have gone. */
	tg_queue_set_disk(d->queue, missing > 0 ? TG_QUEUE_DISK_BOUND : TG_QUEUE_DISK_OK);
	return 0;
}

static int commit(struct tg_disk *d)
{
	const struct tg_queue_sink sink = {
		.append = sink_append, .aside = sink_aside, .remove = sink_remove, .user = d
	};
	int r = tg_disk_make_room(d);

	if (r == 0)
		r = tg_db_begin(tg_disk_db(d));
	if (r == 0)
		r = tg_queue_flush(d->queue, &sink);
	if (r == 0)
		r = tg_db_add_dropped(tg_disk_db(d), d->queue->dropped);
	if (r == 0)
		r = tg_db_commit(tg_disk_db(d));
	return r;
}

static void flush(struct tg_disk *d)
{
	uint64_t dropped, aside = d->counts.set_aside;
	int r = commit(d);

	if (r < 0)
		fail(d, r, "commit");
	dropped = d->queue->dropped;
	tg_queue_flushed(d->queue, r == 0, d->now_us);
	if (r < 0)
		return;
	recovered(d);
	d->log_dirty = true;
	tell_dropped(d, dropped, "the spool is full");
	tg_disk_look(d);
	if (d->counts.set_aside > aside)
		tg_disk_name_aside(d);
	if (d->counts.set_aside > aside)
		tg_event(TG_EV_PACK_SET_ASIDE, LOG_WARNING,
			 "A pack that cannot be published was set aside in the spool", TG_F_DEVICE,
			 d->aside_device, NULL);
}

static void read_page(struct tg_disk *d)
{
	unsigned bad = 0;
	char count[32];
	int r = tg_page_read(tg_disk_db(d), d->queue, &bad);

	if (bad > 0) {
		(void) snprintf(count, sizeof(count), "%u", bad);
		tg_event(TG_EV_SPOOL_DAMAGED, LOG_ERR,
			 "Rows of the spool fail their checksum and are not sent", TG_F_COUNT,
			 count, NULL);
		tg_disk_look(d);
	}
	if (r < 0)
		fail(d, r, "read");
}

/* --- */

int tg_disk_init(struct tg_disk *d, const char *state_dir, const struct tg_disk_limits *limits,
		 void (*tick)(void *user), void *user, struct tg_queue *q, struct tg_fault *reterr)
{
	struct tg_fault fault = { 0 };
	struct tg_db_options o;
	int r;

	*d = (struct tg_disk){ .queue = q, .limits = *limits, .tick = tick, .tick_user = user };
	d->now_us = tg_clock_boot_us();
	o = options_of(d);
	r = tg_store_new(state_dir, &o, &d->store);
	if (r < 0)
		return r;
	r = open_store(d, &fault);
	if (r == 0) {
		tg_disk_look(d);
		return 0;
	}
	if (r == -EPROTONOSUPPORT) {
		tg_disk_done(d);
		return tg_fault_set(reterr, r,
				    "%s: install the newer version again, or move spool.db* away "
				    "to go on without what waits there",
				    fault.text);
	}
	if (r == -EUCLEAN) {
		/* To be repaired by the first turn: that may take long, and must not hold up the
		 * start. */
		d->error = r;
		d->error_since_us = d->now_us;
		say(d, fault.text);
		tg_queue_set_disk(q, TG_QUEUE_DISK_FAILING);
		return 0;
	}
	refuse(d, r, fault.text);
	return 0;
}

void tg_disk_done(struct tg_disk *d)
{
	d->store = tg_store_free(d->store);
	tg_shelf_done(&d->shelf);
	d->latest = tg_parcel_unref(d->latest);
}

void tg_disk_configure(struct tg_disk *d, const struct tg_disk_limits *limits)
{
	bool mode_changed = d->limits.full != limits->full;
	struct tg_db_options o;

	d->limits = *limits;
	o = options_of(d);
	tg_store_configure(d->store, &o);
	if (mode_changed && tg_disk_db(d)) {
		/* The mode belongs to the connection. */
		tg_store_close(d->store);
		d->retry_us = 0;
		tg_queue_set_disk(d->queue, TG_QUEUE_DISK_FAILING);
	}
}

void tg_disk_latest(struct tg_disk *d, struct tg_parcel *p)
{
	tg_parcel_unref(d->latest);
	d->latest = tg_parcel_ref(p);
}

void tg_disk_turn(struct tg_disk *d, uint64_t now_us)
{
	int r;

	d->now_us = now_us;
	if (d->queue->disk == TG_QUEUE_DISK_FAILING && now_us >= d->retry_us)
		come_back(d);
	if (tg_disk_db(d) && tg_queue_flush_us(d->queue, now_us) <= now_us)
		flush(d);
	if (tg_disk_db(d) && d->queue->disk != TG_QUEUE_DISK_FAILING) {
		r = tg_disk_events(d);
		if (r < 0)
			fail(d, r, "events");
	}
	tg_queue_settle(d->queue);
	if (tg_disk_db(d) && tg_queue_wants_page(d->queue))
		read_page(d);
	if (tg_disk_db(d) && d->queue->disk != TG_QUEUE_DISK_FAILING && now_us >= d->upkeep_us) {
		d->upkeep_us = tg_us_add(now_us, UPKEEP_US);
		r = tg_disk_upkeep(d);
		if (r < 0)
			fail(d, r, "upkeep");
	}
}

uint64_t tg_disk_due_us(const struct tg_disk *d)
{
	return d->queue->disk == TG_QUEUE_DISK_FAILING ? d->retry_us : tg_disk_events_due_us(d);
}

int tg_disk_finish(struct tg_disk *d, uint64_t now_us)
{
	d->now_us = now_us;
	if (d->queue->up)
		tg_queue_link_down(d->queue, false, now_us);
	if (d->queue->disk == TG_QUEUE_DISK_FAILING)
		come_back(d);
	if (tg_disk_db(d) && (d->queue->dirty > 0 || d->queue->done > 0))
		flush(d);
	d->events_us = 0;
	if (tg_disk_db(d) && d->queue->disk != TG_QUEUE_DISK_FAILING && tg_disk_events(d) < 0)
		tg_log(LOG_ERR, "spool", "events for the cloud are lost with this process");
	tg_store_close(d->store);
	if (d->queue->dirty == 0)
		return 0;
	return d->error ? d->error : -ENOSPC;
}
