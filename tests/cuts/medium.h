/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/cuts/image.h"

/*
 * The medium under one directory. A program that links this defines open(),
 * pwrite(), ftruncate(), fsync(), unlink(), renameat() and the like itself, so
 * that the calls of the code under test and of libsqlite3 land here: while a
 * recording runs, every call that changes the directory is written down in
 * order, and may be made to fail. Syncs do not reach the kernel: what they would
 * do is what outage.h imitates.
 *
 * One recording at a time, one thread.
 */
enum medium_kind {
	MEDIUM_OPEN,   /* of an existing name; only fails, never recorded */
	MEDIUM_CREATE, /* name, file */
	MEDIUM_WRITE,  /* file, offset, data */
	MEDIUM_RESIZE, /* file, offset: the new length */
	MEDIUM_SYNC,   /* file */
	MEDIUM_SYNC_DIR,
	MEDIUM_RENAME, /* name, to, file */
	MEDIUM_UNLINK, /* name */
	MEDIUM_KINDS_
};

struct medium_op {
	enum medium_kind kind;
	unsigned file; /* which one, whatever it is called: 0, 1 ... in order of appearance */
	uint64_t offset;
	uint8_t *data; /* owned */
	size_t len;
	char name[IMAGE_NAME], to[IMAGE_NAME];
	bool failed; /* a sync that returned an error */
};

struct medium_log {
	struct image base; /* the directory at the start; its files are the first numbers */
	struct medium_op *ops;
	size_t n, room;
	unsigned files;
};

/* Syncs that are told to have happened, and have not: the test of the test. */
enum medium_lie {
	MEDIUM_HONEST,
	MEDIUM_LOSES_SYNCS,
	MEDIUM_LOSES_DIR_SYNCS,
	MEDIUM_LOSES_FILE_SYNCS
};
void medium_set_lie(enum medium_lie lie);

/* Fills @dir with @base and records into @log, which must be zero, until medium_stop(). */
void medium_start(struct medium_log *log, const char *dir, const struct image *base);
void medium_stop(void);
/* Records more into a log whose recording was stopped; nothing may have changed the directory since. */
void medium_go_on(struct medium_log *log);
void medium_log_done(struct medium_log *log);
/* Operations so far; 0 when nothing is recorded. */
size_t medium_position(void);

/*
 * Lets calls fail from now, with or without a recording: the @nth (from 1) that is of a kind in @kinds (bits)
 * and, if @for_good, all of them after it. @error: an errno, or MEDIUM_SHORT: a write does half of its work,
 * and the next one finds the disk full. medium_heal() ends it.
 */
#define MEDIUM_SHORT (-1)
#define MEDIUM_ALL   ((1u << MEDIUM_KINDS_) - 1)
void medium_fail(const char *dir, unsigned kinds, unsigned nth, bool for_good, int error);
/* Returns how many calls failed. */
unsigned medium_heal(void);
const char *medium_kind_name(enum medium_kind k);
