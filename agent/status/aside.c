/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/aside.h"

#include "agent/status/member.h"
#include "base/clock.h"

#include <jansson.h>

char *tg_status_aside_json(const struct tg_spool_aside *list)
{
	json_t *o = json_object(), *a = json_array();
	char *text;

	for (size_t i = 0; i < list->n; i++) {
		const struct tg_spool_aside_pack *p = &list->packs[i];
		json_t *pack = json_object();

		tg_member_put(pack, "device", tg_member_text(p->device));
		tg_member_put(pack, "seq", tg_member_number(p->seq));
		tg_member_put(pack, "made", tg_member_date(p->made_wall_us / (int64_t) TG_US_PER_S));
		tg_member_put(pack, "bytes", tg_member_number(p->bytes));
		(void) json_array_append_new(a, pack);
	}
	tg_member_put(o, "aside", a);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}
