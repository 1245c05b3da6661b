/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/config.h"

/*
 * From files to a struct tg_config, or to every complaint about them.
 *
 * Strict: an unknown section or key, a bad value, a duplicate, a missing
 * reference is an error with file:line and, where one is near, "did you
 * mean". All problems of a load are collected, not only the first. Warnings
 * (a key that will have no effect, a claim file where it cannot be removed)
 * do not refuse. Reads files, so it may block; not thread-safe (inih's
 * options are process-wide): call from one thread at a time.
 */
#define TG_CONFIG_DEFAULT "/etc/tidegate/tidegate.conf"
#define TG_CONFIG_COMPLAINTS 64 /* more are counted, not kept */

struct tg_complaint {
	bool warning;
	char *text; /* "conf.d/boiler.conf:12: unknown key 'adress', did you mean 'address'?" */
};

struct tg_complaints {
	struct tg_complaint *items;
	size_t n;
	size_t errors, warnings; /* of all, kept or not */
};
void tg_complaints_done(struct tg_complaints *c);

/*
 * Loads the file @path and, beside it, conf.d with its .conf files in lexical order; @path may also be a directory, which
 * then holds tidegate.conf and conf.d. Returns 0 and an owned configuration, or -errno: -EBADMSG when the contents are
 * refused, -ENOENT and the like when @path cannot be read; @c says why in both cases. @c is initialised by the call
 * and gets warnings on success too, in the order of files and lines; the caller frees it.
 */
int tg_config_load(const char *path, struct tg_complaints *c, struct tg_config **ret) TG_CHECKED;

/*
 * Calls @line for each key with its effective value and "file:line" or "default" as origin, in the order of the table:
 * `tidegate check --dump`. Stops at the first non-zero result and returns it.
 */
typedef int (*tg_config_dump_fn)(void *user, const char *section, const char *key, const char *value, const char *origin);
int tg_config_dump(const struct tg_config *c, tg_config_dump_fn line, void *user) TG_CHECKED;
