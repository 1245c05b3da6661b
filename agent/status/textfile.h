/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Writes figures for monitoring to a file, on a thread that lives for one
 * write: the loop must not wait for a disk. The file is replaced as a whole, so
 * that who reads it finds no half of it; it is not fsynced, as after a power
 * cut nobody wants old figures. Readable by all.
 *
 * The loop's thread.
 */
#define TG_TEXTFILE_EVERY_US UINT64_C(15000000)

struct tg_textfile;

int tg_textfile_new(struct tg_textfile **ret) TG_CHECKED;
/* Whether the file at @path ("": there is none) wants to be written; one write at a time. */
bool tg_textfile_due(struct tg_textfile *t, const char *path, uint64_t now_us);
/* Begins to write @text, which is taken over (NULL: nothing is done). A failure is told once, and when it is over. */
void tg_textfile_write(struct tg_textfile *t, const char *path, char *text, uint64_t now_us);
/* Waits for a write that is under way. Returns 0, or -ETIMEDOUT: then it keeps what it uses. Accepts NULL. */
int tg_textfile_stop(struct tg_textfile *t, uint64_t timeout_us) TG_CHECKED;
/* Accepts NULL. */
struct tg_textfile *tg_textfile_free(struct tg_textfile *t);
