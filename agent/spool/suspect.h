/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/sample.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which packs the broker may be ending the connection for, and what to do
 * about it: a pack that it cannot take must cost a bounded number of sessions,
 * and a broker that takes none must cost no pack.
 *
 * 1. After TG_SUSPECT_ENDS ends in a row with the same pack in flight, packs
 *    go out one at a time (careful), until those suspects are acknowledged.
 * 2. A pack that was alone in flight at TG_SUSPECT_ALONE ends is held: it is
 *    passed over, and others are tried, those of other devices first. Where
 *    there is no other it is tried itself now and then, which proves nothing
 *    against it.
 * 3. An acknowledgement of another pack shows that the connection is good for
 *    packs. The held one is tried once more, and condemned when the session
 *    ends for it again; or at once, if that other one is a later pack of its
 *    device and stream, behind which it would break the order. Condemned packs
 *    are set aside.
 * 4. If TG_SUSPECT_HELD packs are held and none was acknowledged in between,
 *    it is not the packs: all are released, and whatever is first in line is tried
 *    (refused). Only after TG_SUSPECT_PATIENCE ends more are packs held again, and
 *    twice as many as the last time, should several in a row be bad.
 *
 * An end that the broker did not make says nothing, and neither does the
 * restart of the agent: all this is in memory only.
 *
 * Pure: no clock, no I/O, no allocation. Nothing here fails. One thread.
 */
#define TG_SUSPECT_ENDS     3u
#define TG_SUSPECT_ALONE    3u
#define TG_SUSPECT_HELD     3u
#define TG_SUSPECT_HELD_MAX 48u
#define TG_SUSPECT_PATIENCE 12u
/* As many as can be in flight. */
#define TG_SUSPECT_SEEN 512u
/* So many acknowledged one at a time, and the suspects have not come: they are gone (max-age, max-size). */
#define TG_SUSPECT_CAREFUL_ACKS 1024u
/* Ends without one acknowledgement after which the packs are not to blame (rule 4). */
#define TG_SUSPECT_REFUSED_ENDS (TG_SUSPECT_ENDS + TG_SUSPECT_HELD * TG_SUSPECT_ALONE)

struct tg_suspect_pack {
	uint64_t seq;
	enum tg_stream stream;
	char device[TG_NAME_MAX + 1];
};

struct tg_suspect_held {
	struct tg_suspect_pack pack;
	enum { TG_SUSPECT_WAITS, TG_SUSPECT_RETRIED, TG_SUSPECT_CONDEMNED } state;
};

struct tg_suspect {
	bool careful;
	bool refused; /* it is not the packs */
	struct {
		uint64_t seq;
		unsigned ends, alone; /* at which it was in flight, of these alone */
	} seen[TG_SUSPECT_SEEN];
	size_t n_seen;
	struct tg_suspect_held held[TG_SUSPECT_HELD_MAX];
	size_t n_held;
	unsigned held_most;         /* of them before they are released */
	unsigned refused_ends;      /* since then */
	unsigned careful_acks;      /* since it is careful */
	struct tg_suspect_pack out; /* handed out last while careful */
};
#define TG_SUSPECT_INIT                                                                            \
	{                                                                                          \
		.held_most = TG_SUSPECT_HELD                                                       \
	}

/* How many may be in flight, where @window are allowed. */
unsigned tg_suspect_window(const struct tg_suspect *s, unsigned window);

enum tg_suspect_view {
	/* From good to bad: */
	TG_SUSPECT_GO,
	TG_SUSPECT_LATER, /* an older one of its device and stream is held: only if nothing else can go */
	TG_SUSPECT_SKIP,  /* held: only if nothing else is there for long */
	TG_SUSPECT_ASIDE, /* condemned: set it aside, and say so by tg_suspect_gone() */
};
enum tg_suspect_view tg_suspect_look(const struct tg_suspect *s, enum tg_stream stream,
				     uint64_t seq, const char *device);

void tg_suspect_handed(struct tg_suspect *s, enum tg_stream stream, uint64_t seq,
		       const char *device);
/* The pack has left the live stream: it will be replayed. */
void tg_suspect_replays(struct tg_suspect *s, uint64_t seq);
void tg_suspect_acked(struct tg_suspect *s, uint64_t seq);
/* The pack is set aside, refused or dropped: nothing is known of it any more. */
void tg_suspect_gone(struct tg_suspect *s, uint64_t seq);
/*
 * The broker ended the session, or left packs without an answer, while the @n of @seqs were in flight. Returns the pack that is
 * condemned for it, or NULL.
 */
const struct tg_suspect_pack *tg_suspect_ended(struct tg_suspect *s, const uint64_t *seqs, size_t n);
/* Nothing of @device goes out any more, and none of its packs is set aside. */
void tg_suspect_refused(struct tg_suspect *s, const char *device);
