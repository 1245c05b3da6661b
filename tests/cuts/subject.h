/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/disk.h"
#include "tests/cuts/medium.h"
#include "tests/cuts/verdict.h"

/*
 * The spool under test: the real queue, disk and file, under a clock of the
 * test's own, and the ledger that is kept of it by its operations.
 *
 * What counts as promised: with durability = full a pack whose commit has returned success; with normal one that was
 * committed before a checkpoint that has. What counts as settled: an acknowledged pack when nothing waits for a delete any
 * more (with normal: and behind a checkpoint).
 */
#define SUBJECT_FLYING 64u

struct subject_limits {
	struct tg_queue_limits queue;
	struct tg_disk_limits disk;
};
/* 1 MiB of memory, commits each second, 8 MiB on the disk, full durability. */
struct subject_limits subject_limits(void);

struct subject {
	char dir[64];
	struct subject_limits limits;
	struct verdict_ledger *ledger;
	struct tg_queue q;
	struct tg_disk disk;
	bool running,
		closed_well; /* closed_well: the last close had everything on stable storage */
	uint64_t now, seq;
	uint64_t dropped_seen;  /* dropped packs that the ledger knows of */
	struct tg_parcel *made; /* the last; for scripts that want its clock */

	uint64_t flying[SUBJECT_FLYING]; /* handed out, not acknowledged, oldest first */
	size_t n_flying;
	struct verdict_arrival *arrivals; /* of this session; owned */
	size_t n_arrivals, room;
};

/* A directory of its own under /dev/shm, or where there is none, /tmp. */
void subject_init(struct subject *s, const struct subject_limits *limits,
		  struct verdict_ledger *ledger);
void subject_done(struct subject *s);

/* Starts on what the directory holds. Returns what tg_disk_init() did. */
int subject_open(struct subject *s);
/* Ends as by SIGTERM: one last commit. */
void subject_close(struct subject *s);
/* Ends as by a kill: no last commit. */
void subject_kill(struct subject *s);

/* @n packs, one after another of three devices, with @points readings each. */
void subject_put(struct subject *s, unsigned n, size_t points);
/* The same parcel as subject_put() makes, if it had @points. */
struct tg_parcel *subject_parcel(uint64_t seq, size_t points);
/* Takes over the parcel. */
void subject_put_parcel(struct subject *s, struct tg_parcel *p);
/* A second passes; everything that is due is done. */
void subject_turn(struct subject *s);
void subject_turns(struct subject *s, unsigned n);
void subject_up(struct subject *s, unsigned window);
void subject_down(struct subject *s);
/* Takes all that is handed out. Returns how many those were. */
size_t subject_take(struct subject *s);
/* Acknowledges the @n oldest that are in flight, or refuses them. */
void subject_ack(struct subject *s, size_t n);
void subject_refuse(struct subject *s, size_t n);
/* Link up, all acknowledged, until nothing is left. Returns false when that does not come to an end. */
bool subject_drain(struct subject *s, unsigned window);

/* A row that a damaged or altered spool has told of: it was repaired, or counts bad rows. */
bool subject_has_told(const struct subject *s);
