/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/cleanup.h>
#include <tidegate/sample.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The total behind a counter that wraps or starts over, and how totals stand in
 * their file.
 *
 *	tidegate totals 1
 *	NAME LAST TOTAL		one line a counter, decimal
 *	crc 0a1b2c3d		CRC-32C of all before this line
 *
 * Pure. The file comes from a disk that may be damaged: the decoder trusts nothing.
 */
struct tg_total {
	bool begun;
	bool fresh;     /* the next count is since the bus was opened: all of it is new */
	uint64_t last;  /* raw */
	uint64_t total; /* modulo 2^64 */
};

/*
 * The counter of @bits bits, 1..64, shows @raw (which is below 2^bits) now. What it shows first is the total. A step back by more than
 * half of the range is a wrap; a smaller one is a device that started over, and what it has counted since then is
 * added. Never fails.
 */
void tg_total_step(struct tg_total *t, unsigned bits, uint64_t raw);

#define TG_TOTALS_LINE_MAX (TG_NAME_MAX + 44)
#define TG_TOTALS_FILE_MAX ((size_t) (TG_PACK_SAMPLES + 2) * TG_TOTALS_LINE_MAX)

struct tg_buffer;
/* A whole file is the head, one line for each, and the tail. */
void tg_totals_put_head(struct tg_buffer *b);
void tg_totals_put(struct tg_buffer *b, const char *name, const struct tg_total *t);
void tg_totals_put_tail(struct tg_buffer *b);

/* Called for each line; @name ends with a NUL. */
typedef void (*tg_totals_line_fn)(void *user, const char *name, uint64_t last, uint64_t total);
/* Returns 0, or -EBADMSG, before the first call, when the text is not a whole file. */
int tg_totals_parse(const char *text, size_t len, tg_totals_line_fn line, void *user) TG_CHECKED;
