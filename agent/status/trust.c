/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status/trust.h"

#include "agent/status/member.h"

#include <jansson.h>

static json_t *anchors(const struct tg_link_trust *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < TG_LINK_TRUST_NAMES && i < t->n; i++) {
		json_t *o = json_object();

		tg_member_put(o, "subject", tg_member_text(t->anchors[i].name));
		tg_member_put(o, "not_after", tg_member_date(t->anchors[i].not_after));
		(void) json_array_append_new(list, o);
	}
	return list;
}

json_t *tg_status_trust(const struct tg_picture *p, bool brief)
{
	const struct tg_link_trust *t = &p->link.trust;
	json_t *o = json_object();

	if (!brief)
		tg_member_put(o, "ca", tg_member_text(p->cfg->mqtt.ca));
	tg_member_put(o, "from_enrolment", json_boolean(p->cfg->mqtt.ca_from_enrolment));
	tg_member_put(o, "anchors_total", tg_member_number(t->n));
	tg_member_put(o, "anchors", anchors(t));
	tg_member_put(o, "error", tg_member_text(t->problem));
	return o;
}
