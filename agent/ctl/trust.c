/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl/ctl.h"

#include "base/append.h"

const char *tg_ctl_trust(json_t *trust, char *out, size_t size)
{
	json_t *anchors = json_object_get(trust, "anchors"), *a;
	const char *ca = tg_ctl_text(trust, "ca", NULL);
	long long n = tg_ctl_number(trust, "anchors_total", 0);
	size_t i;

	(void) snprintf(out, size, "%s", ca ? ca : "");
	if (n <= 0)
		return out;
	tg_append(out, size, "%s%lld of the enrolment", ca ? ", and " : "", n);
	json_array_foreach (anchors, i, a)
		tg_append(out, size, "%s%s until %.10s", i ? ", " : ": ",
			  tg_ctl_text(a, "subject", "?"), tg_ctl_text(a, "not_after", "?"));
	if ((size_t) n > json_array_size(anchors))
		tg_append(out, size, ", ...");
	return out;
}
