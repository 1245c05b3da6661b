/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/db.h"

/*
 * The events for the cloud that wait for their PUBACK, as the spool keeps them:
 * in memory all of them, in the file as far as it lets itself be written.
 *
 * Whoever publishes them gives the numbers, which rise and never repeat, and
 * says when one is done with. At most TG_SHELF_EVENTS wait; for one more the
 * oldest goes, and is counted.
 *
 * No thread, no clock; what takes a tg_db blocks as long as the disk does.
 */
#define TG_SHELF_EVENTS 64u
/* Those that are done with stay until the file has forgotten them; of more than so many it may keep some. */
#define TG_SHELF_ITEMS (2 * TG_SHELF_EVENTS)

struct tg_shelf_item {
	uint64_t number;
	char *text;  /* owned; NULL once it is done with */
	bool stored; /* in the file */
	bool tried;  /* may be in it: a commit has failed */
	bool given;  /* the publisher has it */
};

struct tg_shelf {
	struct tg_shelf_item items[TG_SHELF_ITEMS]; /* by number */
	size_t n;
	uint64_t lost; /* not yet in the file's own count */
};

void tg_shelf_done(struct tg_shelf *s);
/* Takes over @text (NULL: nothing happens). A number that is there already is left as it is. Never fails. */
void tg_shelf_put(struct tg_shelf *s, uint64_t number, char *text);
/* The publisher is done with it; not @delivered: it is lost. An unknown number is ignored. */
void tg_shelf_finish(struct tg_shelf *s, uint64_t number, bool delivered);
/* Of those that wait: all, and the part that is in the file. */
size_t tg_shelf_waiting(const struct tg_shelf *s);
size_t tg_shelf_stored(const struct tg_shelf *s);
/* The first that was read from the file and the publisher has not got; NULL: none. */
struct tg_shelf_item *tg_shelf_next(struct tg_shelf *s);

/* Whether the file is behind. */
bool tg_shelf_is_dirty(const struct tg_shelf *s);
/* In a transaction: brings the file up to date. 0 or the file's -errno; tg_shelf_written() follows the commit. */
int tg_shelf_write(struct tg_shelf *s, struct tg_db *db) TG_CHECKED;
void tg_shelf_written(struct tg_shelf *s, bool committed);
/*
 * Of a file that was opened: takes in what it has, and finds out what it has not. Damaged ones are lost. Returns 0 or the
 * file's -errno; -ENOMEM.
 */
int tg_shelf_load(struct tg_shelf *s, struct tg_db *db) TG_CHECKED;
