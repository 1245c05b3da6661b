/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/error.h>

#include <stddef.h>
#include <sys/types.h>

/*
 * Reading of files that people have made: unlike those of the state directory they may be symbolic
 * links.
 */

/*
 * Reads a regular file of at most @max bytes. Returns 0 with owned, NUL-terminated data and its
 * mode, or -errno with words for it: -EFBIG, -EINVAL when it is no regular file. Never waits for a
 * FIFO or a device.
 */
int tg_source_read(const char *path, size_t max, char **ret_data, size_t *ret_len, mode_t *ret_mode,
		   struct tg_fault *reterr) TG_CHECKED;
