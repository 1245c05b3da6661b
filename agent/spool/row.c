/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/row.h"

#include "base/crc32c.h"

#include <string.h>

static uint32_t crc_u64(uint32_t crc, uint64_t v)
{
	uint8_t le[8];

	for (size_t i = 0; i < sizeof(le); i++)
		le[i] = (uint8_t) (v >> 8 * i);
	return tg_crc32c(crc, le, sizeof(le));
}

uint32_t tg_row_key_crc(const struct tg_row *row)
{
	uint32_t crc = crc_u64(0, row->seq);

	crc = crc_u64(crc, (uint64_t) row->made_wall_us);
	crc = crc_u64(crc, row->gap);
	crc = crc_u64(crc, row->gap_first);
	return tg_crc32c(crc, row->device, strlen(row->device) + 1);
}

uint32_t tg_row_crc(const struct tg_row *row, uint32_t key_crc)
{
	return tg_crc32c(crc_u64(key_crc, row->len), row->bytes, row->len);
}

enum tg_row_state tg_row_check(struct tg_row *row, uint64_t key_crc, uint64_t crc)
{
	enum tg_row_state state = TG_ROW_GOOD;

	if (row->seq == 0 || row->seq > TG_ROW_SEQ_MAX || !row->device ||
	    strlen(row->device) > TG_NAME_MAX || tg_row_key_crc(row) != key_crc)
		state = TG_ROW_BAD;
	else if (!row->bytes || tg_row_crc(row, (uint32_t) key_crc) != crc)
		state = TG_ROW_BAD_BYTES;
	if (state != TG_ROW_GOOD) {
		row->bytes = NULL;
		row->len = 0;
	}
	return state;
}
