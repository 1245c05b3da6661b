/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Files of sysfs: one value each, read whole in one read(2), which asks the
 * chip. A read may block as long as the chip's driver does.
 *
 * Bounded, and trusts nothing: the tree may be a container's.
 */
#define TG_ATTR_MAX 1024 /* bytes of a value; longer ones are -EFBIG */

/*
 * Reads @name in the directory @dir into @out, NUL-terminated, without the line's end. Returns 0, -ENODATA when it is
 * empty, or -errno; the words are those of tg_attr_words().
 */
int tg_attr_read(int dir, const char *name, char out[static TG_ATTR_MAX + 1],
		 struct tg_fault *reterr) TG_CHECKED;
/* The same of a whole number, -EBADMSG when it is none. */
int tg_attr_int(int dir, const char *name, int64_t *ret, struct tg_fault *reterr) TG_CHECKED;
/* The same of a decimal number. */
int tg_attr_real(int dir, const char *name, double *ret, struct tg_fault *reterr) TG_CHECKED;
/* What -@error means when a chip is read: "the chip does not answer". Never NULL. */
const char *tg_attr_words(int error);
