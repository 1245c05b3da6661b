/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/error.h>

#include <stddef.h>

/*
 * Files that an operator has put on the gateway and the configuration names. What is wrong with one
 * is said with the configuration's word for it (@what) and its path.
 *
 * Blocks on the disk.
 */
#define TG_OPERATOR_FILE_MAX   (64u * 1024)
#define TG_OPERATOR_SECRET_MAX 1024

/*
 * Reads a regular file of at most @max bytes. A symbolic link is followed, as secrets are often
 * mounted behind one. 0 and owned, NUL-terminated text, or -errno as of tg_file_read().
 */
int tg_operator_file_read(const char *what, const char *path, size_t max, char **ret,
			  size_t *ret_len, struct tg_fault *reterr) TG_CHECKED;

/*
 * Reads a secret of one line. A name without a slash is looked up in $CREDENTIALS_DIRECTORY first,
 * where systemd puts what a unit loads. The newline at the end is no part of it. 0 and owned text
 * (tg_operator_secret_free), -EINVAL when it is more than a line, or another -errno.
 */
int tg_operator_secret_read(const char *what, const char *file, char **ret,
			    struct tg_fault *reterr) TG_CHECKED;

/* Clears and frees it. Accepts NULL, returns NULL. */
char *tg_operator_secret_free(char *secret);
