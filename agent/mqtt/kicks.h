/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * What the ends of sessions say when there are several in a row: that another
 * client uses our client id and the two throw each other out, or that the
 * broker ends the connection on every reading. It decides how long to stay away,
 * and what to tell.
 *
 * Pure: no clock, no I/O, no allocation. Times are microseconds. Nothing here
 * fails.
 */
#define TG_KICKS_RIVAL                                                                             \
	3u /* short sessions in a row that the broker ended after it took packs, and without one that could be why */
#define TG_KICKS_SILENCE_US (UINT64_C(10) * 1000 * 1000) /* no connection is forgotten sooner */
#define TG_KICKS_STABLE_US                                                                         \
	(UINT64_C(60) * 1000 * 1000) /* a session that lasted so long has proved itself */
/* The same while a rival is about, who stays away no longer than TG_KICKS_CAP_US if it is as polite as we are. */
#define TG_KICKS_PEACE_US    (UINT64_C(600) * 1000 * 1000)
#define TG_KICKS_CAP_US      (UINT64_C(300) * 1000 * 1000) /* the longest pause */
#define TG_KICKS_READINGS_US (UINT64_C(900) * 1000 * 1000) /* the same when no reading is taken */

enum tg_kicks_word {
	TG_KICKS_NOTHING,
	TG_KICKS_CLIENT_ID, /* somebody else uses it, or the broker limits this client */
	TG_KICKS_READINGS,  /* none is taken */
};

struct tg_kicks {
	enum tg_kicks_word word;        /* what is known now */
	unsigned short_ends, fruitless; /* in a row */
	bool foreign;                   /* the other client was seen */
};
#define TG_KICKS_INIT                                                                              \
	{                                                                                          \
		.word = TG_KICKS_NOTHING                                                           \
	}

/* How a session went that had proved itself. */
struct tg_kicks_end {
	uint64_t lasted_us;
	bool by_peer;    /* the other side ended it */
	bool unanswered; /* the other side did not acknowledge what was in flight */
	bool excused;    /* an event or a result was in flight, which may be why */
	bool forgotten;  /* it was reset after silence: a router does that which has forgotten the connection */
	bool packs;      /* packs were in flight */
	bool again;      /* one of them at an earlier such end, too */
	bool acked;      /* packs were acknowledged */
};
/* Returns what was found out by this end, and not known before: tell it. */
enum tg_kicks_word tg_kicks_ended(struct tg_kicks *k, const struct tg_kicks_end *e);
/* Whether such an end lets the next attempt begin anew with the shortest pause. */
bool tg_kicks_is_stable(const struct tg_kicks *k, const struct tg_kicks_end *e);
/* While a session goes on. Returns whether this ends what was known. */
bool tg_kicks_lasts(struct tg_kicks *k, uint64_t lasted_us, bool acked);
/* Somebody else has been seen under our client id. Returns whether that is news. */
bool tg_kicks_seen(struct tg_kicks *k);
/* The longest pause. */
uint64_t tg_kicks_cap_us(const struct tg_kicks *k);
