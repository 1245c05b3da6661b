/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stddef.h>
#include <sys/types.h>

/*
 * Files of the state directory: durable replacement and bounded reading.
 *
 * Paths are relative to a directory fd (AT_FDCWD allowed). Nothing follows a
 * symbolic link in the last component unless it says so. Everything may block
 * as long as the disk does: never on the loop thread when it writes.
 */

/*
 * Replaces @name by @len bytes of @data so that after a power cut at any instant either the old
 * or the new contents are there, whole: temp file in the same directory, write, fsync, rename, fsync of the directory.
 * Returns 0 or -errno; on failure the old file is untouched and the temp file is gone.
 */
int tg_file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode, struct tg_fault *reterr) TG_CHECKED;

/*
 * The same in two halves for many files of a new directory: writes and fsyncs @name, which must not exist (-EEXIST).
 * The caller fsyncs the directory with tg_file_sync_dir() when all are there.
 */
int tg_file_create(int dirfd, const char *name, const void *data, size_t len, mode_t mode, struct tg_fault *reterr) TG_CHECKED;
int tg_file_sync_dir(int dirfd, const char *dir, struct tg_fault *reterr) TG_CHECKED;

/* Points the symbolic link @name at @target by rename, and fsyncs the directory that holds it. */
int tg_file_relink(int dirfd, const char *name, const char *target, struct tg_fault *reterr) TG_CHECKED;

/*
 * Reads a regular file of at most @max bytes. Returns 0 with an owned, NUL-terminated buffer, or -errno:
 * -EFBIG when it is longer, -EINVAL when it is no regular file. @ret_len may be NULL.
 */
int tg_file_read(int dirfd, const char *name, size_t max, char **ret_data, size_t *ret_len, struct tg_fault *reterr) TG_CHECKED;

/* mkdir -p of @path with @mode for what is new. Returns 0 or -errno; -ENOTDIR when a file is in the way. */
int tg_file_mkdirs(const char *path, mode_t mode, struct tg_fault *reterr) TG_CHECKED;

/*
 * Removes what tg_file_replace() and tg_file_relink() left in @dir when the power failed between their steps. Only for
 * whoever has the directory for itself, at start-up. Returns 0 or -errno.
 */
int tg_file_sweep(int dirfd, const char *dir, struct tg_fault *reterr) TG_CHECKED;

/*
 * Opens /dev/null in the place of standard input, output and error where the starter has closed them: the next file or
 * device would get that number, and what is said be written into it. First of all in main(). Never fails.
 */
void tg_file_hold_standard(void);
