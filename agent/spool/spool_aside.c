/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spool/spool_aside.h"

#include <stdlib.h>
#include <string.h>

static int on_pack(void *user, const struct tg_row *row, enum tg_row_state state)
{
	struct tg_spool_aside *list = user;
	struct tg_spool_aside_pack *p = &list->packs[list->n];

	(void) state;
	if (list->n == TG_SPOOL_ASIDE)
		return 1;
	*p = (struct tg_spool_aside_pack){ .seq = row->seq, .made_wall_us = row->made_wall_us, .bytes = row->len };
	(void) tg_printable(p->device, sizeof(p->device), row->device, strlen(row->device));
	list->n++;
	return 0;
}

struct tg_spool_aside *tg_spool_read_aside(struct tg_db *db)
{
	struct tg_spool_aside *list = calloc(1, sizeof(*list) + TG_SPOOL_ASIDE * sizeof(list->packs[0]));

	if (list && tg_db_aside_read(db, on_pack, list) < 0) {
		free(list);
		list = NULL;
	}
	return list;
}
