/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stddef.h>
#include <stdint.h>

/*
 * The last good time, in a file of the state directory, for the next start
 * behind an empty battery. One line; read as if an enemy had written it.
 */
#define TG_FILE_SAVED_TIME "last-time"

struct tg_saved_time {
	int64_t wall_s;      /* seconds since 1970, good when it was saved */
	uint64_t boot_us;    /* CLOCK_BOOTTIME at that moment ... */
	uint8_t boot_id[16]; /* ... of this boot */
};

#define TG_SAVED_TIME_LINE 96 /* bytes, more than any line takes */

/* The line, with its newline, and its length. Never fails. Pure. */
size_t tg_saved_time_print(const struct tg_saved_time *t, char out[static TG_SAVED_TIME_LINE]);
/* Reads one line and nothing behind it. Returns 0 or -EBADMSG. Pure. */
int tg_saved_time_parse(const char *text, size_t len, struct tg_saved_time *ret) TG_CHECKED;
/* Replaces the file durably. Blocks as long as the disk does. Returns 0 or -errno. */
int tg_saved_time_write(const char *state_dir, const struct tg_saved_time *t,
			struct tg_fault *reterr) TG_CHECKED;
/* Returns 0, -ENOENT, -EBADMSG when it holds no such line, or another -errno. */
int tg_saved_time_read(const char *state_dir, struct tg_saved_time *ret,
		       struct tg_fault *reterr) TG_CHECKED;
/*
 * A moment on this boot's CLOCK_BOOTTIME by which @t had certainly passed: the same one in the same boot, the start of
 * this boot (0) for a time of an earlier one. Pure.
 */
uint64_t tg_saved_time_boot_us(const struct tg_saved_time *t, const uint8_t boot_id[static 16]);
