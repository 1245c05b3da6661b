/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>

#include <stddef.h>

/*
 * A strict INI reader: events for what stands in one file, and a problem for
 * every line that does not belong there. Knows no keys and keeps nothing.
 *
 * UTF-8 without BOM, Unix line ends, lines of [SECTION], KEY = VALUE, or
 * comments that start with '#' or ';'. A value ends with its line; comments
 * stand on lines of their own. inih splits KEY = VALUE; everything that it
 * lets pass or cuts silently is looked at before it gets a line.
 *
 * Not thread-safe: inih's options are variables of the process.
 */
#define TG_INI_LINE_MAX                                                                            \
	1024 /* bytes of a line; the longest sensible value is a subject or a topic */
#define TG_INI_SECTION_MAX 160 /* bytes of a section's name: "point " and two names of 64 fit */

/* Each returns 0 to go on, or -errno, which ends the reading. Strings are valid during the call.
 * Lines count from 1. */
struct tg_ini_events {
	/* @name is NULL behind an unusable header, which has been told: the settings that follow
	 * belong nowhere. */
	int (*section)(void *user, const char *name, unsigned line);
	/* @key is never empty; @value may be. Both are without surrounding blanks. */
	int (*setting)(void *user, const char *key, const char *value, unsigned line);
	int (*problem)(void *user, unsigned line, const char *text);
};

/*
 * Reads @len bytes at @data, which need no NUL behind them. Returns 0 when every line has been
 * told, whatever it was, or the first failure of an event, or -ENOMEM.
 */
int tg_ini_read(const char *data, size_t len, const struct tg_ini_events *events,
		void *user) TG_CHECKED;
