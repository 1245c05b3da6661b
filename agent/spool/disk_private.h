/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/spool/disk.h"
#include "agent/spool/drop.h"

/*
 * What disk.c and disk_upkeep.c share, and nobody else. All functions want an
 * open file, and return -errno as db.h says for the caller to deal with.
 */
struct tg_db *tg_disk_db(const struct tg_disk *d);
/* Takes over what the file counts. Never fails. */
void tg_disk_look(struct tg_disk *d);
/* Before a commit: max-size. */
int tg_disk_make_room(struct tg_disk *d) TG_CHECKED;
/* @drop says what; @why goes to the log. */
int tg_disk_drop_oldest(struct tg_disk *d, struct tg_drop *drop, const char *why) TG_CHECKED;
/* Events that are not in the file, and counts that go with them. */
int tg_disk_events(struct tg_disk *d) TG_CHECKED;
/* When that is due: TG_US_FOREVER: there are none. */
uint64_t tg_disk_events_due_us(const struct tg_disk *d);
/* Finds out which device has made the pack that was set aside last. Never fails. */
void tg_disk_name_aside(struct tg_disk *d);
/* Once a second: age, the log, the rows that the queue does not see, the size of the file. */
int tg_disk_upkeep(struct tg_disk *d) TG_CHECKED;
