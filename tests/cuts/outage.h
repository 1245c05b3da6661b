/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/cuts/medium.h"

/*
 * What a power cut may leave of a directory. For a cut after the first N
 * operations of a recording, what was synced is there, and of the rest:
 *
 *	nothing; everything; names and lengths without their bytes (zeros)
 *	everything, but the last write torn: its first or last half, or cut at a sector
 *	everything but one write; one write alone; a random choice of writes
 *
 * Names become durable by a sync of the directory alone. Without it, any first
 * part of the changes may be there (a journal keeps their order), or all but one
 * (nothing keeps it). A sync of a file that failed makes what it was about doubtful for
 * ever: the kernel has given those writes up, and a later sync does not bring them back.
 *
 * Pure, apart from memory.
 */
struct outage_options {
	size_t from, step; /* positions looked at: from, from + step ...; step 0 is 1 */
	bool full;         /* every choice; else a sample of torn, missing and lonely writes */
	bool few;          /* only the plain ones: nothing, everything, zeros, one torn */
	uint64_t seed;
};

/* One image, valid during the call. Returns false to end. */
typedef bool (*outage_fn)(void *user, const struct image *im, size_t position, const char *what);

/* Returns how many positions were looked at. */
size_t outage_each(const struct medium_log *log, const struct outage_options *o, outage_fn fn,
		   void *user);
