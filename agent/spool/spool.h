/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/pack/parcel.h"
#include "base/mailbox.h"
#include "config/config.h"

#include <tidegate/error.h>

/*
 * The spool: keeps every pack until the broker has acknowledged it.
 *
 * Its own thread owns SQLite and everything else in here; all functions but
 * _new, _stop and _free only post a message, and any thread may call them.
 *
 * What it promises (DESIGN section 7): a pack is in memory until
 * acknowledged; it is written to the disk when that has not happened within
 * commit-interval, at once when the link is down, at shutdown, or when the
 * memory ring is full; acknowledged rows are deleted in bulk.
 *
 * Packs go out through @out of tg_spool_link_up(): at most `window` handed out
 * and unacknowledged, at most rate-limit a second, live packs first up to
 * their share, the backlog from the disk oldest first in pages. After
 * tg_spool_link_down() everything handed out counts as not sent.
 */
struct tg_spool;

/* With durability = normal a power cut may take what was committed in so long. */
#define TG_SPOOL_CHECKPOINT_US (UINT64_C(10) * 1000 * 1000)

/* What the link gets to publish. The receiver owns one reference of the parcel. */
struct tg_spool_out {
	unsigned session; /* the one of tg_spool_link_up(); of an older one: drop it */
	enum tg_stream stream;
	struct tg_parcel *parcel;
};

struct tg_spool_state {
	uint64_t memory_packs, memory_bytes; /* in the ring */
	uint64_t disk_packs, disk_bytes;     /* in the database file: rows, and its size */
	uint64_t in_flight;
	unsigned held; /* packs that are passed over, as the broker ended sessions with each of them alone in flight */
	unsigned refused_devices;	     /* of which the broker takes nothing: their packs are passed over */
	uint64_t refused_total;		     /* times that this began, since start; of the last one: */
	char refused_device[TG_NAME_MAX + 1];
	int64_t oldest_wall_us;		     /* when the oldest pack on disk was made; 0: none */
	uint64_t dropped, set_aside;	     /* since the spool was made (kept in the file) */
	char aside_device[TG_NAME_MAX + 1];  /* of the pack that was set aside last, and its number; "": none since start */
	uint64_t aside_seq;
	uint64_t dropped_told;		     /* the part of it that the cloud knows of */
	uint64_t gaps;			     /* gap records that wait */
	uint64_t events, events_stored;	     /* that wait for their PUBACK; the part of them that is in the file */
	uint64_t events_lost;		     /* since the spool was made: too many waited, or nobody took them */
	uint64_t repairs;		     /* of a damaged file, since start; of the last one: */
	uint64_t rescued, lost;		     /* packs that are in the new file, and that are not */
	char aside[64];			     /* under which name the old one is kept */
	uint64_t acknowledged;		     /* since start */
	int error;			     /* 0, or -errno of the medium: packs stay in memory */
	uint64_t error_since_us;	     /* CLOCK_BOOTTIME; 0: there is none */
	char error_text[160];
	uint64_t progress_us;		     /* CLOCK_BOOTTIME of the thread's last turn, for the watchdog */
};
/* Called on the spool's thread when the state has changed, at most once a second, and once a second while idle; must only post. */
typedef void (*tg_spool_state_fn)(void *user, const struct tg_spool_state *state);

/*
 * Opens (or makes, or sets aside as spool.bad-TIME and makes anew) `spool.db` in @state_dir and starts the thread.
 * A damaged or refused file is no failure: the state says so. Returns 0, or -errno when no thread can be had;
 * -EPROTONOSUPPORT when the file was written by a newer version (it is left alone).
 */
int tg_spool_new(const char *state_dir, const struct tg_config *cfg, tg_spool_state_fn changed, void *user,
		 struct tg_spool **ret, struct tg_fault *reterr) TG_CHECKED;
/*
 * The highest number of a pack or an event in the file as _new found it, so that no new one repeats it; 0 when there was none, or none
 * could be read. Does not change; any thread.
 */
uint64_t tg_spool_last_seq(const struct tg_spool *s);
/* Takes over one reference. Returns 0, or -EAGAIN when the mailbox is full: the caller keeps the parcel and counts a loss. */
int tg_spool_put(struct tg_spool *s, struct tg_parcel *p) TG_CHECKED;
/*
 * The rest returns 0 or -EAGAIN (-ENOMEM for _configure). Packs leave part of the mailbox to these messages: acknowledgements
 * of what is in flight, at most 512 as the window is clamped to that, always find room.
 */
/* New limits from a reloaded configuration. */
int tg_spool_configure(struct tg_spool *s, const struct tg_config *cfg) TG_CHECKED;
/* A session is up: hand out packs to @out (struct tg_spool_out) from now. @out must outlive the session and _stop. */
int tg_spool_link_up(struct tg_spool *s, unsigned session, unsigned window, struct tg_mailbox *out) TG_CHECKED;
/*
 * The session is over. @blamed: it had proved itself, and then the broker ended it, or left packs without an answer for
 * too long: one of those in flight may be why.
 */
int tg_spool_link_down(struct tg_spool *s, unsigned session, bool blamed) TG_CHECKED;
/* The broker acknowledged @seq. Unknown ones are ignored. */
int tg_spool_ack(struct tg_spool *s, unsigned session, uint64_t seq) TG_CHECKED;
/* The pack cannot be published at all (too large, refused): set it aside and tell. */
int tg_spool_refuse(struct tg_spool *s, unsigned session, uint64_t seq) TG_CHECKED;
/*
 * Events for the cloud, which outlive a restart: who publishes them puts them here with numbers that rise and are above
 * tg_spool_last_seq(), and says when each is @delivered or given up. They are written at once; while the medium refuses they
 * are in memory. Of more than TG_SPOOL_EVENTS that wait the oldest goes. _put copies @json: 0, -EAGAIN, -ENOMEM, -EMSGSIZE.
 */
#define TG_SPOOL_EVENTS    64u
#define TG_SPOOL_EVENT_MAX 8192u /* bytes */
int tg_spool_event_put(struct tg_spool *s, uint64_t number, const char *json) TG_CHECKED;
int tg_spool_event_done(struct tg_spool *s, uint64_t number, bool delivered) TG_CHECKED;
/* Where those go that earlier runs have left (struct tg_spool_event, @json changes hands), by number; @out as above. */
struct tg_spool_event {
	uint64_t number;
	char *json;
};
int tg_spool_events_to(struct tg_spool *s, struct tg_mailbox *out) TG_CHECKED;
/* For tg_mailbox_new(). */
void tg_spool_drop_event(void *event);
/*
 * Asks for a list of what was set aside, newest first: @fn is called once, on the spool's thread, with @client and the list,
 * which it owns and frees (NULL: the file is not open, or there is no memory); @user is that of _new. It must only post.
 */
#define TG_SPOOL_ASIDE 256u
struct tg_spool_aside {
	size_t n;
	struct tg_spool_aside_pack {
		uint64_t seq;
		int64_t made_wall_us;
		uint64_t bytes;
		char device[TG_NAME_MAX + 1];
	} packs[];
};
typedef void (*tg_spool_aside_fn)(void *user, uint64_t client, struct tg_spool_aside *list);
int tg_spool_list_aside(struct tg_spool *s, uint64_t client, tg_spool_aside_fn fn) TG_CHECKED;
/* The cloud knows of so many of the dropped packs; kept in the file. */
int tg_spool_dropped_told(struct tg_spool *s, uint64_t total) TG_CHECKED;
/* Writes at once what only memory has. 0 or -EAGAIN. */
int tg_spool_commit(struct tg_spool *s) TG_CHECKED;
/* How much only memory has, once the last tg_spool_commit() has been carried out; before that, not 0. Never fails. */
size_t tg_spool_stranded(struct tg_spool *s);
/*
 * Commits what is not acknowledged, closes, ends the thread. Waits at most @timeout_us; returns 0 when all is on stable
 * storage, -ETIMEDOUT or the medium's -errno otherwise.
 */
int tg_spool_stop(struct tg_spool *s, uint64_t timeout_us) TG_CHECKED;
struct tg_spool *tg_spool_free(struct tg_spool *s);
