/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stddef.h>

/*
 * The only way between threads: a bounded ring of messages of one size, and
 * an eventfd that is readable while the ring is not empty.
 *
 * Any number of posters, one taker. Messages are copied; a pointer inside one
 * changes hands with it. Nothing here blocks for longer than a copy.
 */
struct tg_mailbox;

/* Called for each message that is still in the ring when the mailbox is freed. */
typedef void (*tg_mailbox_drop_fn)(void *msg);

/* Returns 0 and an owned mailbox of @slots messages of @size bytes, or -ENOMEM, -EMFILE. @drop may be NULL. */
int tg_mailbox_new(size_t slots, size_t size, tg_mailbox_drop_fn drop, struct tg_mailbox **ret) TG_CHECKED;
/* Accepts NULL. No poster may be left. */
struct tg_mailbox *tg_mailbox_free(struct tg_mailbox *m);
TG_DEFINE_CLEANUP(struct tg_mailbox *, tg_mailbox_free)

/* Copies @msg in. Returns 0, or -EAGAIN when the ring is full (@msg stays the caller's). Any thread. */
int tg_mailbox_post(struct tg_mailbox *m, const void *msg) TG_CHECKED;
/* Copies the oldest message to @ret_msg. Returns 1, or 0 when the ring is empty. The taker's thread only. */
int tg_mailbox_take(struct tg_mailbox *m, void *ret_msg) TG_CHECKED;
/* The eventfd, for poll(): readable while messages wait. Owned by the mailbox. Never fails. */
int tg_mailbox_fd(const struct tg_mailbox *m);
/* Messages waiting now; for status only, as it may have changed when it is read. */
size_t tg_mailbox_count(struct tg_mailbox *m);
/*
 * Waits until a message arrives, until @deadline_us on CLOCK_BOOTTIME (UINT64_MAX: for ever), or for a signal.
 * Returns 1 when a message is there, 0 otherwise. The taker's thread only; never on the loop thread.
 */
int tg_mailbox_wait(struct tg_mailbox *m, unsigned long long deadline_us);
