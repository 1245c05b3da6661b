/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/load.h"

/*
 * Where a problem is, and the list that problems are collected in while a
 * configuration is loaded.
 */
struct tg_source {
	const char *path; /* as the user gave it, or as found from that */
	unsigned order;   /* in which files are read */
};

struct tg_place {
	const struct tg_source *source; /* NULL: nowhere in particular */
	unsigned line;                  /* 0: the file as a whole */
};

struct tg_complainer {
	struct tg_complaint_kept {
		struct tg_place place;
		size_t nth;
		struct tg_complaint complaint;
	} kept[TG_CONFIG_COMPLAINTS];
	size_t n, errors, warnings;
	int failure; /* -ENOMEM once a text could not be kept */
};

/* Each adds one line, "PATH:LINE: text". */
void tg_complain(struct tg_complainer *c, struct tg_place place, const char *fmt, ...)
	TG_PRINTF(3, 4);
void tg_warn(struct tg_complainer *c, struct tg_place place, const char *fmt, ...) TG_PRINTF(3, 4);

/* Whether one more error would be kept. Where not, what it should say need not be worked out: a
 * file can have a million. */
bool tg_complainer_has_room(const struct tg_complainer *c);

/* Hands everything over to @ret in the order of files and lines, and leaves @c empty. Returns 0 or
 * -ENOMEM. */
int tg_complainer_finish(struct tg_complainer *c, struct tg_complaints *ret) TG_CHECKED;
void tg_complainer_done(struct tg_complainer *c);
