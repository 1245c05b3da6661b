/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <tidegate/sample.h>

#include <stddef.h>

/*
 * One pack as a row of the spool's file, and the checksums that say whether it
 * is still the one that was written: CRC-32C over its key alone, so that a row
 * whose bytes are damaged can still be told as a gap of the right device, and
 * over key and bytes. SQLite itself has no checksum over its pages.
 *
 * Pure.
 */
#define TG_ROW_SEQ_MAX ((UINT64_C(1) << 53) - 1)

struct tg_row {
	uint64_t seq;
	const char *device; /* borrowed */
	int64_t made_wall_us;
	uint64_t gap, gap_first; /* as in struct tg_item */
	const uint8_t *bytes;    /* borrowed */
	size_t len;
};

enum tg_row_state {
	TG_ROW_GOOD,
	TG_ROW_BAD_BYTES, /* the key can be trusted, bytes is NULL */
	TG_ROW_BAD,       /* only the number under which it was found */
};

uint32_t tg_row_key_crc(const struct tg_row *row);
/* @key_crc: tg_row_key_crc() of the same row. */
uint32_t tg_row_crc(const struct tg_row *row, uint32_t key_crc);
/* What the stored checksums say. Sets bytes to NULL when they are bad. */
enum tg_row_state tg_row_check(struct tg_row *row, uint64_t key_crc, uint64_t crc);
